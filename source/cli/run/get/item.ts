// One download of a run.
import type {AddRequest, Download, DownloadId} from '../../../downstream.ts';
import type {Waits} from '../../output/patience.ts';

export type Item = {
	readonly id: DownloadId;
	/** Its operand. */
	readonly word: string;
	readonly request: AddRequest;
	/** Its state in the list before this run; undefined if this run added it. */
	readonly before: Download | undefined;
	/** Its bytes may be in a user's file, which must stay. */
	readonly wasExported: boolean;
	readonly waits: Waits;
	/** Name and size are known, and no other file is in the way. */
	hasPlace: boolean;
	/** Number of changes of the file handled so far. */
	answers: number;
	/** Bytes written to standard output, and their version. */
	readonly streamed: {offset: number; etag?: string | undefined};
};
