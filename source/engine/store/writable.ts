// Permission to write, as the writers see it. `StorageAccess` grants it.
import type {DownStreamError} from '../../downstream.ts';

/** Writes are allowed while there is no refusal. */
export type Writable = {
	/** Why nothing may be written now. */
	readonly refusal: DownStreamError | undefined;
	/** Replaces the error of a write by its cause: the storage folder itself may be gone. */
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
