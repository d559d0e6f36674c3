// The error for recorded bytes that are lost.
import {DownStreamError} from '../../downstream.ts';
import type {Range} from './range-set.ts';

/** Recorded bytes that the disk does not return, or that may have been changed. They must be fetched again. */
export class DamagedFile extends DownStreamError {
	/** The lost range; undefined if the file was replaced and the extent is unknown. */
	readonly lost: Range | undefined;

	constructor(message: string, lost: Range | undefined, cause?: unknown) {
		super('disk-failed', message, {cause});
		this.lost = lost;
	}
}
