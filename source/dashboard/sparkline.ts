// Speeds of the last minute, drawn in eighths, which nothing else on the screen uses.
const eighths = '▁▂▃▄▅▆▇█';
const plainLevels = '_.-:=+*#';
const seconds = 60;

/** What somebody had in each of the last 60 seconds. */
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
			// Nobody told of anything.
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

/** One cell for each value, the newest at the right, at most `width`; the highest of them is a full block. */
export function sparkline(values: readonly number[], width: number, ascii = false): string {
	const levels = ascii ? plainLevels : eighths;
	const shown = values.slice(-width);
	const most = Math.max(...shown, 1);
	return shown
		.map(value => levels[Math.min(levels.length - 1, Math.floor((value / most) * levels.length))])
		.join('');
}
