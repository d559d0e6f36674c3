// Refuses the pledges of one download for which the disk has no room.
import path from 'node:path';
import {missingOf, type Resolved} from '../film/pledge.ts';
import {freeBytes} from '../store/free-space.ts';
import {RangeSet, type Range} from '../store/range-set.ts';
import type {DownloadState} from './download-state.ts';

/** Milliseconds between two measurements while pledges are refused. */
const measureMs = 2000;

type RoomContext = {
	/** Finite ranges of pledges that are fetched. */
	readonly pledged: () => readonly Range[];
	/** The bytes of a pledge; undefined once it is lifted. */
	readonly resolve: (n: number) => Resolved | undefined;
	/** A pledge is refused, or no longer. */
	readonly changed: () => void;
};

export class PledgeRoom {
	readonly #state: DownloadState;
	readonly #context: RoomContext;
	/** The reason of each refusal, by the number of the pledge. */
	readonly #refused = new Map<number, string>();
	/** Numbers of pledges whose bytes are unknown yet. */
	readonly #unmeasured = new Set<number>();
	#timer: NodeJS.Timeout | undefined;

	constructor(state: DownloadState, context: RoomContext) {
		this.#state = state;
		this.#context = context;
	}

	/** A pledge is new or lifted. */
	forget(n: number, isMeasured: boolean): void {
		this.#refused.delete(n);
		this.#unmeasured.delete(n);
		if (!isMeasured) {
			this.#unmeasured.add(n);
		}
	}

	/** The reason why a pledge is not fetched, if any. Measures once its bytes are known. */
	refusal(n: number, resolved: Resolved): string | undefined {
		if (isMeasured(resolved) && this.#unmeasured.delete(n)) {
			void this.#measure(n, resolved);
		}

		return this.#refused.get(n);
	}

	/** Resolves with the reason for a refusal if the disk has no room for the bytes. */
	async measure(resolved: Resolved): Promise<string | undefined> {
		if (!isMeasured(resolved)) {
			return undefined;
		}

		const {file, record, recordFile, services} = this.#state;
		// Bytes of other pledges of this download count once.
		const ranges = new RangeSet([...resolved.ranges, ...this.#context.pledged()]);
		const needed = missingOf([...ranges], file.present);
		const folder = path.dirname(recordFile.dataPath);
		const free = await freeBytes(folder);
		const lacking = needed + services.pledgedElsewhere(record.id) - (free ?? Infinity);
		return needed > 0 && lacking > 0
			? `The disk of ${folder} has ${free} bytes free; this and all other pledges need ${lacking} more`
			: undefined;
	}

	async #measure(n: number, resolved: Resolved): Promise<void> {
		const refusal = await this.measure(resolved);
		const wasRefused = this.#refused.delete(n);
		if (refusal !== undefined) {
			this.#refused.set(n, refusal);
			if (!this.#timer) {
				this.#timer = setTimeout(() => void this.#measureRefused(), measureMs).unref();
			}
		}

		if (wasRefused !== (refusal !== undefined)) {
			this.#context.changed();
		}
	}

	/** In series: the next pledge gets only the room that is left. */
	async #measureRefused(): Promise<void> {
		this.#timer = undefined;
		// A measurement that refuses again moves its entry to the end.
		for (const n of [...this.#refused.keys()]) {
			const resolved = this.#context.resolve(n);
			if (resolved && !this.#state.isClosed) {
				await this.#measure(n, resolved);
			}
		}
	}
}

/** False while the size of the file or its index is unknown. */
export function isMeasured(resolved: Resolved): resolved is Extract<Resolved, {ranges: unknown}> {
	return 'ranges' in resolved && resolved.ranges.every(({end}) => end < Infinity);
}
