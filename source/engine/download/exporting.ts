// Runs an export of a download: shows its progress and records the new place of the file.
import {DownStreamError} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {RecordFile} from '../store/record-store.ts';
import {SparseFile} from '../store/sparse-file.ts';
import type {Checkpoints} from './checkpoints.ts';
import type {DownloadState} from './download-state.ts';

/** Copies or moves the file at `dataPath`; resolves with its new path. */
export type Export = (dataPath: string, steps: ExportSteps) => Promise<string>;

type ExportSteps = {
	readonly onProgress: (fraction: number) => void;
	/**
	 * Called before the file takes a name, and with undefined if it does not take it, if the next attempt or start must find
	 * it there.
	 */
	readonly onPlacing: (path: string | undefined) => Promise<void>;
	/** A move calls it before it removes the old file, and keeps that if the call resolves with false. */
	readonly onPlaced: (path: string) => Promise<boolean>;
};

/** Resolves with the new path. Rejects as `run` does, or with `disk-full` or `disk-failed`. */
export async function exporting(
	state: DownloadState,
	checkpoints: Checkpoints,
	run: Export,
): Promise<string> {
	// A copy with holes is not the file, even if the last holes are filled meanwhile.
	const {file, isComplete: isWhole, recordFile, version} = state;
	const {size} = file;
	const showProgress = (fraction: number | null) => {
		state.exportProgress = fraction;
		state.changed();
	};

	showProgress(0);
	try {
		const path = await run(file.path, {
			onProgress: showProgress,
			onPlacing: async placing => saveIfPossible(recordFile, {placing}),
			async onPlaced(movedTo) {
				const moved = await SparseFile.open(movedTo, size, [{start: 0, end: size}]);
				if (version !== state.version) {
					return false;
				}

				await recordFile.save({
					movedTo,
					exportedTo: movedTo,
					exportWhenComplete: undefined,
					placing: undefined,
				});
				// The download may have started over during the save.
				if (version !== state.version) {
					return false;
				}

				// Running reads keep the old descriptor; the next read opens the new place.
				const old = state.file;
				state.file = moved;
				moved.trust();
				await old.retire();
				void checkpoints.run();
				return true;
			},
		});
		const change =
			isWhole && version === state.version
				? {exportedTo: path, exportWhenComplete: undefined}
				: {exportedPartTo: path};
		await saveIfPossible(recordFile, {...change, placing: undefined});
		return path;
	} finally {
		showProgress(null);
	}
}

/** Only logs a failure: the export has succeeded, even if the store has no room to record it. */
async function saveIfPossible(recordFile: RecordFile, change: Partial<DownloadRecord>): Promise<void> {
	await recordFile.save(change).catch((error: unknown) => {
		Logger.warn(`${recordFile.record.id}: ${String(error)}`);
	});
}

/** Shows the failure of an export that was to follow completion; it is not retried. */
export function exportFailed(state: DownloadState, cause: unknown): void {
	const {record, recordFile, retries} = state;
	const error =
		cause instanceof DownStreamError ? cause : new DownStreamError('disk-failed', String(cause), {cause});
	Logger.error(`${record.id}: not exported: ${error.message}`);
	retries.note(new DownStreamError(error.code, `Not exported: ${error.message}`));
	void recordFile.save({exportWhenComplete: undefined}).catch(() => undefined);
	state.changed();
}
