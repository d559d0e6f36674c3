// Evaluates a request's Range and conditional headers by RFC 9110 sections 13 and 14. Pure.
import type {IncomingHttpHeaders} from 'node:http';
import {parseHttpDate} from '../engine/origin/http-date.ts';
import type {Range} from '../engine/store/range-set.ts';

/** No player requests more at once; a longer list is an attack (RFC 9110 section 17.15). */
const maxRanges = 16;

/**
 * The bytes that a Range header selects from a file of `size` bytes, in the order of the header:
 * - undefined: send the whole file, because the header is missing, invalid or in another unit, its ranges
 *   overlap or are too many (section 14.2), or the size is unknown
 * - empty: no range is satisfiable; respond with 416
 */
export function requestedRanges(header: string | undefined, size: number): Range[] | undefined {
	const rangeSet = /^bytes=(.*)$/i.exec(header ?? '')?.[1];
	// A Content-Range cannot describe a byte of an empty file, and some clients always send Range.
	if (rangeSet === undefined || size === 0 || size === Infinity) {
		return undefined;
	}

	const specs = rangeSet
		.split(',')
		.map(spec => spec.trim())
		.filter(spec => spec !== '');
	if (specs.length === 0 || specs.length > maxRanges) {
		return undefined;
	}

	const ranges: Range[] = [];
	for (const spec of specs) {
		const range = parseRangeSpec(spec, size);
		if (range === undefined) {
			return undefined;
		}

		if (range.start < range.end) {
			ranges.push(range);
		}
	}

	return overlap(ranges) ? undefined : ranges;
}

/** The bytes of one range-spec (section 14.1.2): empty if unsatisfiable, undefined if invalid. */
function parseRangeSpec(spec: string, size: number): Range | undefined {
	const [, first, last, suffix] = /^(?:(\d+)-(\d*)|-(\d+))$/.exec(spec) ?? [];
	if (suffix !== undefined) {
		return {start: Math.max(0, size - Number(suffix)), end: size};
	}

	if (first === undefined || (last !== '' && Number(last) < Number(first))) {
		return undefined;
	}

	const end = last === '' ? size : Math.min(size, Number(last) + 1);
	return {start: Number(first), end};
}

function overlap(ranges: readonly Range[]): boolean {
	const sorted = ranges.toSorted((a, b) => a.start - b.start);
	return sorted.some((range, index) => range.start < (sorted[index - 1]?.end ?? 0));
}

/** The version of the file being served. The ETag is strong and includes its quotes. */
type CurrentVersion = {
	readonly etag: string | undefined;
	readonly lastModified: string | undefined;
	/** `lastModified` is a strong validator (RFC 9110 section 8.8.2.2). */
	readonly hasStrongDate: boolean;
};

/**
 * Evaluates the conditional headers of a GET or HEAD in the order of RFC 9110 section 13.2.2. Respond to `failed`
 * with 412, and to `not-modified` with 304.
 */
export function evaluatePreconditions(
	headers: IncomingHttpHeaders,
	version: CurrentVersion,
): 'passed' | 'failed' | 'not-modified' {
	const modified = parseHttpDate(version.lastModified);
	const ifMatch = headers['if-match'];
	const ifNoneMatch = headers['if-none-match'];
	if (ifMatch !== undefined) {
		if (!listsEtag(ifMatch, version.etag, 'strong')) {
			return 'failed';
		}
	} else if (modified > parseHttpDate(headers['if-unmodified-since'])) {
		return 'failed';
	}

	if (ifNoneMatch !== undefined) {
		return listsEtag(ifNoneMatch, version.etag, 'weak') ? 'not-modified' : 'passed';
	}

	return modified <= parseHttpDate(headers['if-modified-since']) ? 'not-modified' : 'passed';
}

/** True if the Range header applies (RFC 9110 section 13.1.5): only an identical strong validator matches. */
export function ifRangeHolds(
	headers: IncomingHttpHeaders,
	{etag, lastModified, hasStrongDate}: CurrentVersion,
): boolean {
	const ifRange = headers['if-range'];
	return ifRange === undefined || ifRange === etag || (hasStrongDate && ifRange === lastModified);
}

/** True if the list of entity tags, or `*`, matches (RFC 9110 section 8.8.3.2). */
function listsEtag(list: string, etag: string | undefined, comparison: 'strong' | 'weak'): boolean {
	if (list.trim() === '*') {
		return true;
	}

	const tags = list.matchAll(/(W\/)?("[^"]*")/g);
	return [...tags].some(([, weak, tag]) => tag === etag && (comparison === 'weak' || weak === undefined));
}
