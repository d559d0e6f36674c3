// Bytes per second over the last seconds, from bytes written.

const bucketMs = 250;
const buckets = 80;

export class SpeedMeter {
	readonly #bytes = new Float64Array(buckets);
	#newest = 0;
	#started: number | undefined;

	add(bytes: number, now: number): void {
		this.#advance(now);
		this.#started ??= now;
		this.#bytes[this.#newest % buckets]! += bytes;
	}

	/** Average of the last `windowMs` (at most 20 s), or of the time since the first byte if that is shorter. */
	rate(windowMs: number, now: number): number {
		if (this.#started === undefined) {
			return 0;
		}

		this.#advance(now);
		let sum = 0;
		const count = Math.min(buckets, Math.ceil(windowMs / bucketMs));
		for (let index = 0; index < count; index++) {
			sum += this.#bytes[(((this.#newest - index) % buckets) + buckets) % buckets]!;
		}

		if (sum === 0) {
			this.#started = undefined;
			return 0;
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
