// Bytes per second over the last seconds, from bytes written.

const bucketMs = 250;
const buckets = 80;
/** Milliseconds without a byte after which a new average begins: a pause or an outage is no part of an average. */
const longestGapMs = 10_000;
/** Milliseconds without a byte after which the rate is 0: an average does not fade on a screen without updates. */
const stillMs = 3000;

export class SpeedMeter {
	readonly #bytes = new Float64Array(buckets);
	#newest = 0;
	/** Times of the first and the last byte of the average. */
	#started = 0;
	#lastAt = -Infinity;

	add(bytes: number, now: number): void {
		this.#advance(now);
		if (now - this.#lastAt > longestGapMs) {
			this.#bytes.fill(0);
			this.#started = now;
		}

		this.#lastAt = now;
		this.#bytes[this.#newest % buckets]! += bytes;
	}

	/**
	 * Average of the last `windowMs` (at most 20 s), or since the first byte if that is shorter; 0 while no bytes
	 * arrive.
	 */
	rate(windowMs: number, now: number): number {
		if (now - this.#lastAt > stillMs) {
			return 0;
		}

		this.#advance(now);
		let sum = 0;
		const count = Math.min(buckets, Math.ceil(windowMs / bucketMs));
		for (let index = 0; index < count; index++) {
			sum += this.#bytes[(((this.#newest - index) % buckets) + buckets) % buckets]!;
		}

		return (sum * 1000) / Math.min(windowMs, Math.max(1000, now - this.#started));
	}

	#advance(now: number): void {
		const bucket = Math.floor(now / bucketMs);
		for (let index = Math.max(this.#newest + 1, bucket - buckets + 1); index <= bucket; index++) {
			this.#bytes[index % buckets] = 0;
		}

		this.#newest = Math.max(this.#newest, bucket);
	}
}
