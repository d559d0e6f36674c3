// Whether something may be written, as those who write ask. Who answers is `StorageAccess`.
import type {DownStreamError} from '../downstream.ts';

/** What may be written while there is no refusal. */
export type Writable = {
	/** Why nothing may be written now. */
	readonly refusal: DownStreamError | undefined;
};

/** Outside of a storage folder. */
export const alwaysWritable: Writable = {refusal: undefined};

/** Throws the refusal, if there is one. */
export function refuseUnlessWritable({refusal}: Writable): void {
	if (refusal) {
		throw refusal;
	}
}
