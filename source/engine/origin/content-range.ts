// Content-Range (RFC 9110 section 14.4): formatting, and lenient parsing.
import {withoutDuplicate} from '../http/header-text.ts';
import type {Range} from '../store/range-set.ts';

export type ContentRange = {
	readonly range: Range;
	/** Size of the whole file in bytes; Infinity while unknown. Above 2^53, an inexact copy of the server's statement. */
	readonly size: number;
};

/** Formats the header of a 206, or of a 416 if there is no range. */
export function contentRange(range: Range | undefined, size: number): string {
	return range ? `bytes ${range.start}-${range.end - 1}/${size}` : `bytes */${size}`;
}

/** `bytes 0-99/1000`. Servers omit the unit, the end or the total, write `=` or `:` after the unit, and add spaces. */
const partPattern = /^(?:bytes\b)? ?[:=]? ?(\d+) ?- ?(\d+)? ?(?:\/ ?(\d+|\*)?)?$/i;
const sizePattern = /^(?:bytes\b)? ?[:=]? ?(?:\*|\d+ ?- ?\d*)? ?\/ ?(\d+)$/i;

/**
 * Parses the header of a 206. The start is required; a missing end follows from `length`, the bytes of the body.
 * Returns undefined for an inconsistent header.
 */
export function parseContentRange(text: string | undefined, length?: number): ContentRange | undefined {
	const [, first, last, total = '*'] = partPattern.exec(normalized(text)) ?? [];
	if (first === undefined || (last === undefined && length === undefined)) {
		return undefined;
	}

	const start = Number(first);
	const range = {start, end: last === undefined ? start + length! : Number(last) + 1};
	const size = total === '*' ? Infinity : Number(total);
	const isExact = Number.isSafeInteger(range.start) && Number.isSafeInteger(range.end);
	return isExact && range.start < range.end && range.end <= size ? {range, size} : undefined;
}

/** Parses the size of the whole file from the header of a 416. */
export function unsatisfiedSize(text: string | undefined): number | undefined {
	const [, total] = sizePattern.exec(normalized(text)) ?? [];
	return Number.isSafeInteger(Number(total)) ? Number(total) : undefined;
}

function normalized(text = ''): string {
	return withoutDuplicate(text.replaceAll(/[ \t]+/g, ' ').trim());
}
