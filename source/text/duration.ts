// Parses durations.

const seconds = {s: 1, m: 60, h: 3600, d: 86_400} as const;

/**
 * Parses `90s`, `5m`, `1.5h`, `2d`, or a plain number of seconds. Returns milliseconds, or undefined if the text is
 * not a duration.
 */
export function parseDuration(text: string): number | undefined {
	const [, amount, unit = 's'] = /^\s*(\d{1,9}(?:\.\d{1,3})?)\s*([smhd])?\s*$/i.exec(text) ?? [];
	return amount === undefined
		? undefined
		: Number(amount) * seconds[unit.toLowerCase() as keyof typeof seconds] * 1000;
}
