// Typed words → the stretch to make safe. Pure.
import bytes from 'bytes';
import {DownStreamError, type SafeRequest} from '../downstream.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
/** A time of day that has passed means tomorrow if that is at most this far away. */
const tomorrowWithin = 12 * hour;
/** Bytes from the start, for a file without a timeline. */
const startBytes = 8 * 1024 * 1024;

/** The start of a download, long enough to play at once. */
export function startOf(ms: number): SafeRequest {
	return {from: 'start', forMs: ms, orBytes: startBytes};
}

type SafeWords = {
	/** `45m`, `1h30m`, `1:30:00`, `200M`, `first 200M`, `all`. */
	readonly amount: string;
	/** `41:07`, `41m`, `player`, `start`; undefined or empty for the usual place. */
	readonly from?: string | undefined;
	/** `18:40`, `2026-11-30T18:40`, `2h`; undefined or empty for no time. */
	readonly by?: string | undefined;
};

/** `now`: milliseconds since the epoch. Throws `bad-request`; `labels` name the words there. */
export function safeRequestOf(
	{amount, from = '', by = ''}: SafeWords,
	now: number,
	labels: {readonly amount?: string; readonly from?: string; readonly by?: string} = {},
): SafeRequest {
	const labelled = (name: keyof typeof labels, word: string) =>
		`${labels[name] === undefined ? '' : `${labels[name]} `}${JSON.stringify(word)}`;
	const [, first, size = ''] = /^\s*(first\s+)?(.*?)\s*$/i.exec(amount) ?? [];
	const length = size.toLowerCase() === 'all' ? {} : amountOf(size);
	if (!length) {
		throw refusal(labelled('amount', amount), 'write 45m or 1h30m, 200M, or all');
	}

	const begin: Pick<SafeRequest, 'from' | 'fromMs'> =
		from.trim() === '' ? (first === undefined ? {} : {from: 'start'}) : beginOf(from, labelled('from', from));
	if (begin.fromMs !== undefined && 'bytes' in length) {
		throw refusal(
			labelled('from', from),
			'bytes begin at start or player; a time requires minutes, such as 45m',
		);
	}

	return {...length, ...begin, ...(by.trim() !== '' && {by: timeOf(by, now, labelled('by', by))})};
}

function beginOf(from: string, shown: string): Pick<SafeRequest, 'from' | 'fromMs'> {
	const word = from.trim().toLowerCase();
	if (word === 'player' || word === 'start') {
		return {from: word};
	}

	const fromMs = filmTimeOf(word);
	if (fromMs === undefined) {
		throw refusal(shown, 'write a time such as 41:07, player or start');
	}

	return {fromMs};
}

/** Undefined unless it is a duration with its unit, or a size with a capital unit. */
function amountOf(text: string): {forMs: number} | {bytes: number} | undefined {
	const forMs = filmTimeOf(text);
	if (forMs !== undefined) {
		return forMs > 0 ? {forMs} : undefined;
	}

	const [, amount, unit] = /^(\d{1,9}(?:\.\d{1,3})?) ?([KMGT])(?:i?B)?$/.exec(text) ?? [];
	const size = amount === undefined ? null : bytes.parse(`${amount}${unit}b`);
	return size === null || size <= 0 ? undefined : {bytes: size};
}

/** `41:07`, `1:02:10`, `45m`, `1h30m`, `90s`, `1.5h` in milliseconds; undefined for any other text. */
export function filmTimeOf(text: string): number | undefined {
	const [, hours = '0', minutes, seconds] = /^(?:(\d{1,3}):(?=\d\d:))?(\d{1,3}):([0-5]\d)$/.exec(text) ?? [];
	if (minutes !== undefined) {
		const isMixed = text.split(':').length === 3;
		return isMixed && Number(minutes) > 59
			? undefined
			: Number(hours) * hour + Number(minutes) * minute + Number(seconds) * second;
	}

	const [matched, h = '0', m = '0', s = '0'] =
		/^(?:(\d{1,4}(?:\.\d{1,3})?)h)?(?:(\d{1,6}(?:\.\d{1,3})?)m)?(?:(\d{1,7}(?:\.\d{1,3})?)s)?$/.exec(text) ??
		[];
	return matched === undefined || matched === ''
		? undefined
		: Math.round(Number(h) * hour + Number(m) * minute + Number(s) * second);
}

/** Milliseconds since the epoch. */
function timeOf(by: string, now: number, shown: string): number {
	const text = by.trim();
	const span = text.includes(':') ? undefined : filmTimeOf(text);
	if (span !== undefined && span > 0) {
		return now + span;
	}

	const [, hours, minutes] = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
	if (hours !== undefined) {
		const today = new Date(now).setHours(Number(hours), Number(minutes), 0, 0);
		if (today > now) {
			return today;
		}

		const tomorrow = new Date(today);
		tomorrow.setDate(tomorrow.getDate() + 1);
		if (tomorrow.getTime() - now <= tomorrowWithin) {
			return tomorrow.getTime();
		}

		throw refusal(shown, `it has passed; for tomorrow give the date too, such as ${localDate(tomorrow)}`);
	}

	const at = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?$/.test(text)
		? Date.parse(text.replace(' ', 'T'))
		: Number.NaN;
	if (Number.isNaN(at)) {
		throw refusal(shown, 'write a time such as 18:40 or 2026-11-30T18:40, or a duration such as 2h');
	}

	if (at <= now) {
		throw refusal(shown, 'it has passed');
	}

	return at;
}

/** `2026-11-30T18:40`. */
function localDate(date: Date): string {
	const pad = (value: number) => String(value).padStart(2, '0');
	const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
	return `${day}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

function refusal(shown: string, allowed: string): DownStreamError {
	return new DownStreamError('bad-request', `${shown}: ${allowed}`);
}
