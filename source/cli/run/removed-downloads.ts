// Removed downloads that can be resumed: adding the URL again continues from the stored bytes.
import {DownStreamError, type DownloadError, type DownloadId} from '../../downstream.ts';
import {maskUrl} from '../../text/mask-url.ts';
import {RecordStore} from '../../engine/store/record-store.ts';

type RemovedDownload = {
	readonly id: DownloadId;
	readonly status: 'removed';
	/** Without secrets. */
	readonly url: string;
	/** The URL until the first response. */
	readonly name: string;
	/** Bytes; null while unknown. */
	readonly size: number | null;
	/** Stored bytes, in the store or in the moved file. */
	readonly present: number;
	readonly exportedTo: string | null;
	readonly error: DownloadError | null;
};

/** Only reads the records, even beside a running instance. Rejects with `disk-failed`. */
export async function removedDownloads(storageDir: string): Promise<RemovedDownload[]> {
	const refusal = new DownStreamError('storage-locked', 'The records are only read');
	const store = await RecordStore.open(storageDir, {refusal, explain: error => error});
	const {records} = await store.readAll();
	return records
		.map(({record}) => record)
		.filter(({removed}) => removed === 'keep')
		.toSorted((a, b) => a.addedAt - b.addedAt)
		.map(({id, url, item, givenName, info, ranges, exportedTo, error}) => ({
			id,
			status: 'removed',
			url: maskUrl(item ?? url),
			name: givenName ?? info?.name ?? maskUrl(item ?? url),
			size: info?.size ?? null,
			present: ranges.reduce((sum, [start, end]) => sum + end - start, 0),
			exportedTo: exportedTo ?? null,
			error: error ?? null,
		}));
}
