// Times in a film.

/** `0:41`, `4:52`, `1:02:10`: rounded down. */
export function formatTime(ms: number): string {
	const seconds = Math.floor(ms / 1000);
	const pad = (value: number) => String(value).padStart(2, '0');
	const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
	return hours > 0 ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
}

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
