// Content-Range (RFC 9110 section 14.4), as the program writes it and as servers write it.
import {onlyValue} from '../http/header-text.ts';
import type {Range} from '../store/range-set.ts';

export type ContentRange = {
	readonly range: Range;
	/** Bytes of the whole file; Infinity while unknown. More than 2^53 is no number of bytes, but what the server says. */
	readonly size: number;
};

/** `Content-Range` of a 206, or of a 416 where there is no range. */
export function contentRange(range: Range | undefined, size: number): string {
	return range ? `bytes ${range.start}-${range.end - 1}/${size}` : `bytes */${size}`;
}

/** `bytes 0-99/1000`. Servers leave out the unit, the end or the total, write `=` or `:` after the unit, and add spaces. */
const partForm = /^(?:bytes\b)? ?[:=]? ?(\d+) ?- ?(\d+)? ?(?:\/ ?(\d+|\*)?)?$/i;
const sizeForm = /^(?:bytes\b)? ?[:=]? ?(?:\*|\d+ ?- ?\d*)? ?\/ ?(\d+)$/i;

/**
 * The range that the header of a 206 states. The start must be stated; a missing end follows from `length`, the bytes of
 * the body. Undefined for anything that does not hold together.
 */
export function parseContentRange(text: string | undefined, length?: number): ContentRange | undefined {
	const [, first, last, total = '*'] = partForm.exec(normalized(text)) ?? [];
	if (first === undefined || (last === undefined && length === undefined)) {
		return undefined;
	}

	const start = Number(first);
	const range = {start, end: last === undefined ? start + length! : Number(last) + 1};
	const size = total === '*' ? Infinity : Number(total);
	const isExact = Number.isSafeInteger(range.start) && Number.isSafeInteger(range.end);
	return isExact && range.start < range.end && range.end <= size ? {range, size} : undefined;
}

/** The bytes of the whole file, as a 416 states them. */
export function unsatisfiedSize(text: string | undefined): number | undefined {
	const [, total] = sizeForm.exec(normalized(text)) ?? [];
	return Number.isSafeInteger(Number(total)) ? Number(total) : undefined;
}

function normalized(text = ''): string {
	return onlyValue(text.replaceAll(/[ \t]+/g, ' ').trim());
}
