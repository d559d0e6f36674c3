// Learns the name, type and size of the file from responses and their first bytes.
import {DownStreamError} from '../../downstream.ts';
import type {OriginResponse} from '../origin/data-source.ts';
import {correctedType, fileName, sniffType} from '../origin/file-info.ts';
import type {FetchContext} from './fetch-context.ts';

/** Sets the size of the file, once it is known. */
export async function setSize(context: FetchContext, size: number): Promise<void> {
	const {file, recordFile, segments, state} = context;
	await file.resize(size);
	const {info} = recordFile.record;
	if (info) {
		await recordFile.save({info: {...info, size}});
	}

	segments.clip(size);
	state.readers.recheck();
	if (state.hasFileInfo) {
		publish(context);
	}
}

/** Records the facts of the response that the record lacks. */
export async function recordFacts(
	{file, record, recordFile}: FetchContext,
	{info, validator, acceptsRanges}: OriginResponse,
): Promise<void> {
	const size = file.size === Infinity ? null : file.size;
	if (!record.info || record.info.size !== size || record.acceptsRanges !== acceptsRanges) {
		await recordFile.save({
			info: {...(record.info ?? {name: info.name, type: info.type}), size},
			validator: record.validator ?? validator,
			acceptsRanges,
		});
	}
}

/** Shows the facts known so far to players and in the snapshot. */
export function publish(context: FetchContext): void {
	const {services, state} = context;
	if (!state.hasFileInfo) {
		state.hasFileInfo = true;
		state.readers.identified();
		services.queueChanged();
	}

	context.target.identified();
	context.wake();
}

/** Learns the type from the first bytes of the file, or of the first response. */
export async function takeFirstBytes(context: FetchContext, bytes: Uint8Array): Promise<void> {
	const {record, recordFile, state, target} = context;
	const {hasFileInfo} = state;
	const {info, url} = record;
	const type = hasFileInfo
		? info && (await correctedType(fileName({url: new URL(url)}), info.type, bytes))
		: await sniffType(bytes);
	if (info && type !== undefined) {
		await recordFile.save({info: {...info, type}});
	}

	if (!hasFileInfo) {
		publish(context);
	} else if (type !== undefined) {
		target.identified();
	}
}

/**
 * A body of unknown length has ended. A closed connection proves no end (RFC 9112 section 8); two that end at the same
 * byte do. Throws `origin-truncated`.
 */
export async function reachedEnd(context: FetchContext, end: number, isProven: boolean): Promise<void> {
	const {file, host, record, traits} = context;
	if (!record.info) {
		return;
	}

	if (file.size !== Infinity) {
		throw truncated(`${host.name} sent ${file.size - end} bytes less than the file has`);
	}

	if (!isProven && traits.unprovenEnd !== end) {
		traits.unprovenEnd = end;
		throw truncated(
			`${host.name} closed the connection without stating the size of the file; reading it again to be sure`,
		);
	}

	const missing = file.minSize - end;
	if (missing > 0) {
		throw truncated(`${host.name} sent ${missing} bytes less than were downloaded`);
	}

	await setSize(context, end);
	publish(context);
}

function truncated(message: string): DownStreamError {
	return new DownStreamError('origin-truncated', message);
}
