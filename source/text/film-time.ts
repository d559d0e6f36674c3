// Times and shares of a film, as people type them.

/** Milliseconds of `41:07`, `1:02:10`, `90` (seconds) or `1h 2m 10s`; undefined for any other text. */
export function parseTime(typed: string): number | undefined {
	const [, hours, minutes, seconds] =
		/^\s*(?:(?:(\d{1,4}):(?=[0-5]?\d:))?(\d{1,4}):(?=[0-5]?\d\s*$))?(\d{1,6})\s*$/.exec(typed) ??
		/^\s*(?=\d)(?:(\d{1,4})\s*h)?\s*(?:(\d{1,4})\s*m)?\s*(?:(\d{1,6})\s*s)?\s*$/i.exec(typed) ??
		[];
	const parts = [hours, minutes, seconds].map(part => (part === undefined ? undefined : Number(part)));
	return parts.every(part => part === undefined)
		? undefined
		: ((parts[0] ?? 0) * 3600 + (parts[1] ?? 0) * 60 + (parts[2] ?? 0)) * 1000;
}

/** Percent of `42%` or `42.5 %`; undefined for any other text. */
export function parsePercent(typed: string): number | undefined {
	const [, percent] = /^\s*(\d{1,3}(?:[.,]\d{1,3})?)\s*%\s*$/.exec(typed) ?? [];
	return percent === undefined ? undefined : Number(percent.replace(',', '.'));
}
