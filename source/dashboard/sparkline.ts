// Speeds of the last minute in blocks of different heights. Bars use blocks of different widths.
const eighths = '▁▂▃▄▅▆▇█';
const plainLevels = '_.-:=+*#';
const seconds = 60;

/** One speed for each of the last 60 seconds. */
export class SpeedHistory {
	readonly #values: number[] = [];
	/** The second of the last value. */
	#last = 0;

	add(bytesPerSecond: number, now: number): void {
		const second = Math.floor(now / 1000);
		if (this.#values.length === 0) {
			this.#last = second;
			this.#values.push(bytesPerSecond);
			return;
		}

		// Snapshots a little more than a second apart skip one now and then. Longer gaps had no snapshot because nothing moved.
		const skipped = second - this.#last === 2 ? bytesPerSecond : 0;
		for (let at = Math.max(this.#last + 1, second - seconds); at < second; at++) {
			this.#values.push(skipped);
		}

		if (second > this.#last) {
			this.#values.push(bytesPerSecond);
			this.#last = second;
		}

		this.#values.splice(0, this.#values.length - seconds);
	}

	/** At most 60, oldest first. */
	get values(): readonly number[] {
		return this.#values;
	}
}

/** The room above the highest value: a steady speed as full blocks would look like a complete bar. */
const headroom = 4 / 3;

/** One cell per value, at most `width`, newest at the right. `highest` sets the scale of several charts. */
export function sparkline(values: readonly number[], width: number, ascii = false, highest?: number): string {
	const levels = ascii ? plainLevels : eighths;
	const shown = values.slice(-width);
	const top = (highest ?? Math.max(...shown, 1)) * headroom;
	return shown
		.map(value => levels[Math.min(levels.length - 1, Math.floor((value / top) * levels.length))])
		.join('');
}
