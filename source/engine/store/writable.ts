// Whether something may be written, as those who write ask. Who answers is `StorageAccess`.
import type {DownStreamError} from '../../downstream.ts';

/** What may be written while there is no refusal. */
export type Writable = {
	/** Why nothing may be written now. */
	readonly refusal: DownStreamError | undefined;
	/** What stands behind an error of a write: the storage folder itself may be gone. */
	explain(error: unknown): unknown;
};

/** Outside of a storage folder. */
export const alwaysWritable: Writable = {refusal: undefined, explain: error => error};

/** Throws the refusal, if there is one. */
export function refuseUnlessWritable({refusal}: Pick<Writable, 'refusal'>): void {
	if (refusal) {
		throw refusal;
	}
}
