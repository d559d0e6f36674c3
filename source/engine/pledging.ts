// Pledges across downloads: the room that they need together, and the download whose start is next.
import type {DownloadId, Pledge, SafeRequest} from '../downstream.ts';
import {Logger} from '../log.ts';
import {checkOptions, safeRequest} from '../schema.ts';
import {startOf} from '../text/safe-request.ts';
import type {Catalog} from './catalog.ts';

/** As `DownloadEngine.makeSafe`. */
export async function makeSafe(catalog: Catalog, id: DownloadId, request: SafeRequest): Promise<Pledge> {
	checkOptions(request, safeRequest.fields);
	const transfer = catalog.get(id);
	if (!request.dryRun) {
		catalog.request(id);
	}

	return transfer.makeSafe(request);
}

/** Bytes that pending pledges of other downloads lack. */
export function pledgedElsewhere(catalog: Catalog, id: DownloadId): number {
	let bytes = 0;
	for (const transfer of catalog.transfers.values()) {
		bytes += transfer.id === id ? 0 : transfer.pledgedBytes;
	}

	return bytes;
}

/** Makes the start of the first incomplete download after `id` safe: `ms` of it, none if 0. Logs errors. */
export async function makeNextSafe(catalog: Catalog, id: DownloadId, ms: number): Promise<void> {
	const list = [...catalog.transfers.values()];
	const after = list.slice(list.findIndex(transfer => transfer.id === id) + 1);
	const next = after.find(({isComplete, status}) => !isComplete && status !== 'cancelled');
	if (ms > 0 && next) {
		await makeSafe(catalog, next.id, startOf(ms)).catch((error: unknown) => {
			Logger.warn(`${next.id}: its start was not made safe: ${String(error)}`);
		});
	}
}
