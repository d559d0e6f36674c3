// Formats numbers for display.

const binary = {base: 1024, names: ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']};
const decimal = {base: 1000, names: ['B', 'kB', 'MB', 'GB', 'TB', 'PB']};

let units = binary;

/** Units of 1000 instead of 1024, for all numbers that this thread shows. */
export function useDecimalUnits(isDecimal: boolean): void {
	units = isDecimal ? decimal : binary;
}

/** `9.81 MiB` or `10.2 MB`: three digits (four from 1000 to 1023), rounded down. */
export function formatBytes(bytes: number): string {
	const {base, names} = units;
	const power = base === 1000 ? Math.log10(bytes) / 3 : Math.log2(bytes) / 10;
	const unit = bytes < base ? 0 : Math.min(names.length - 1, Math.floor(power));
	const value = bytes / base ** unit;
	const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
	return `${(Math.floor(value * 10 ** digits) / 10 ** digits).toFixed(digits)} ${names[unit]}`;
}

/** The amount before another one, without the unit that both share: `167` before `600 MiB`. */
export function withoutUnit(bytes: number, next: number): string {
	const [, unit] = formatBytes(next).split(' ');
	return formatBytes(bytes).replace(` ${unit}`, '');
}

/** `4.10, 11.1 and 30.2 MiB`. */
export function listBytes(amounts: readonly number[]): string {
	return inWords(
		amounts.map((bytes, index) =>
			index === amounts.length - 1 ? formatBytes(bytes) : withoutUnit(bytes, amounts[index + 1]!),
		),
	);
}

/** `1 download`, `3 downloads`. */
export function counted(count: number, noun: string): string {
	return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `VLC`, `VLC and mpv`, `VLC, mpv and curl`. */
export function inWords(words: readonly string[]): string {
	return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

export function formatSpeed(bytesPerSecond: number): string {
	return `${formatBytes(bytesPerSecond)}/s`;
}

/** Rounds down to 0.1; returns `100%` only when every byte is present. */
export function formatPercent(present: number, size: number): string {
	if (present >= size) {
		return '100%';
	}

	if (present === 0) {
		return '0%';
	}

	const tenths = Math.floor((present / size) * 1000);
	return tenths === 0 ? '<0.1%' : `${Math.min(999, tenths) / 10}`.replace(/^(\d+)$/, '$1.0') + '%';
}

/** `8s`, `2m14s`, `1h 12m`, `>1 day`, or `–` if unknown. */
export function formatDuration(seconds: number): string {
	if (!Number.isFinite(seconds)) {
		return '–';
	}

	const whole = Math.ceil(seconds);
	if (whole >= 86_400) {
		return '>1 day';
	}

	const pad = (value: number) => String(value).padStart(2, '0');
	if (whole >= 3600) {
		return `${Math.floor(whole / 3600)}h ${pad(Math.floor((whole % 3600) / 60))}m`;
	}

	return whole >= 60 ? `${Math.floor(whole / 60)}m${pad(whole % 60)}s` : `${whole}s`;
}

/** `1st`, `2nd`, `3rd`, `4th`, `11th`. */
export function ordinal(place: number): string {
	const isTeen = Math.floor(place / 10) % 10 === 1;
	return `${place}${(isTeen ? undefined : ['th', 'st', 'nd', 'rd'][place % 10]) ?? 'th'}`;
}

/** An offset in the unit of the file's size, with as many digits as the size: `0.36 G` in a file of 2.83 GiB. */
export function formatOffset(bytes: number, size: number): string {
	const [total, unit] = formatBytes(size).split(' ');
	const {base, names} = units;
	const digits = total!.split('.')[1]?.length ?? 0;
	const scale = 10 ** digits;
	const value = Math.floor((bytes / base ** names.indexOf(unit!)) * scale) / scale;
	return bytes === 0 ? '0' : `${value.toFixed(digits)} ${unit!.replace(/i?B$/, '')}`.trimEnd();
}

/** The local time of day, `HH:MM:SS`. `at`: milliseconds since the epoch. */
export function formatClock(at: number): string {
	return new Date(at).toTimeString().slice(0, 8);
}

/** The ID of a download as `list` prints it. */
export function shortId(id: string): string {
	return id.slice(0, 8);
}
