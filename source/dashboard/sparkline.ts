// Speeds of the last minute in eighth blocks, which mean a speed wherever they are on the screen.
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

		for (let at = Math.max(this.#last + 1, second - seconds); at < second; at++) {
			// No snapshot in these seconds.
			this.#values.push(0);
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

/** One cell per value, at most `width`, newest at the right; the highest value is a full block. */
export function sparkline(values: readonly number[], width: number, ascii = false): string {
	const levels = ascii ? plainLevels : eighths;
	const shown = values.slice(-width);
	const most = Math.max(...shown, 1);
	return shown
		.map(value => levels[Math.min(levels.length - 1, Math.floor((value / most) * levels.length))])
		.join('');
}
