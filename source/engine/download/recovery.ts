// Compares the record of a download with its data file when the program starts.
import {existsSync} from 'node:fs';
import {rm, stat} from 'node:fs/promises';
import path from 'node:path';
import {syncFolder} from '../store/durable-file.ts';
import type {RecordFile} from '../store/record-store.ts';
import {SparseFile} from '../store/sparse-file.ts';
import type {Checkpoints} from './checkpoints.ts';
import type {DownloadState} from './download-state.ts';
import type {Holes} from './holes.ts';
import type {Verification} from './verification.ts';

/** The data file with the recorded ranges that it can hold. Rejects with `disk-failed`. */
export async function openDataFile(recordFile: RecordFile): Promise<SparseFile> {
	await findMoved(recordFile);
	const {dataPath, record} = recordFile;
	return SparseFile.open(
		record.movedTo ?? dataPath,
		record.info?.size ?? Infinity,
		record.ranges.map(([start, end]) => ({start, end})),
		record.dataFile,
	);
}

/**
 * Records the new place of a moved file if the program ended between its rename and that record. The bytes are compared with
 * their checksums later, unless it is the recorded file.
 */
async function findMoved(recordFile: RecordFile): Promise<void> {
	const {dataPath, record} = recordFile;
	const {info, movedTo, placing} = record;
	if (placing === undefined || movedTo !== undefined || existsSync(dataPath)) {
		return;
	}

	const found = await stat(placing).catch(() => undefined);
	if (!found?.isFile() || found.size !== info?.size) {
		return;
	}

	// A disk that takes no writes must not keep the download from opening.
	const change = {movedTo: placing, exportedTo: placing, exportWhenComplete: undefined, placing: undefined};
	await syncFolder(path.dirname(placing))
		.then(async () => recordFile.save(change))
		.catch(() => undefined);
}

type Parts = {
	readonly checkpoints: Checkpoints;
	readonly holes: Holes;
	readonly verification: Verification;
};

/** Makes holes of lost blocks, doubts a changed file, and completes a move or a download that was interrupted at its end. */
export async function recover(
	state: DownloadState,
	{checkpoints, holes, verification}: Parts,
): Promise<void> {
	const {checks, file, recordFile, retries} = state;
	const {record} = recordFile;
	if (record.unsettled && !file.isChanged) {
		// After a crash the disk may lack the last writes. A reader of a block that cannot be read now gets the error.
		file.forget(await checks.damagedOf(file, record.unsettled).catch(() => []));
	}

	if (record.completedAt !== undefined && !file.isComplete) {
		// A disk that cannot record the loss must not keep the download from opening.
		await holes.loseCompletion().catch(() => undefined);
	}

	if (record.movedTo !== undefined && file.isComplete && !file.isChanged && !recordFile.refusal) {
		// The program ended between the record of the new place and the removal of the old file.
		await rm(recordFile.dataPath, {force: true}).catch(() => undefined);
	}

	if (file.isChanged) {
		await verification.startDoubt();
	}

	if (file.isComplete && !file.doubt && state.hasFileInfo && !state.isComplete && !retries.permanentError) {
		// The program ended between the last byte and the final check.
		void checkpoints.run();
	}
}
