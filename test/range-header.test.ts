import assert from 'node:assert/strict';
import {test} from 'node:test';
import {contentRange} from '../source/engine/origin/content-range.ts';
import {isStrongDate} from '../source/engine/origin/http-date.ts';
import type {Range} from '../source/engine/store/range-set.ts';
import {evaluatePreconditions, ifRangeHolds, requestedRanges} from '../source/proxy/range-header.ts';

const table: Array<[what: string, header: string | undefined, size: number, expected: Range[] | undefined]> =
	[
		['no header selects the whole file', undefined, 100, undefined],
		['an open range extends to the end', 'bytes=10-', 100, [{start: 10, end: 100}]],
		['a range from 0 is still a range', 'bytes=0-', 100, [{start: 0, end: 100}]],
		['both ends are inclusive', 'bytes=0-0', 100, [{start: 0, end: 1}]],
		['the last byte can be requested', 'bytes=99-99', 100, [{start: 99, end: 100}]],
		['an end beyond the file is clipped', 'bytes=90-1000', 100, [{start: 90, end: 100}]],
		['a huge end is clipped', `bytes=90-${'9'.repeat(400)}`, 100, [{start: 90, end: 100}]],
		['a start at the end cannot be satisfied', 'bytes=100-', 100, []],
		['a start beyond the end cannot be satisfied', 'bytes=200-300', 100, []],
		['a suffix is the end of the file', 'bytes=-10', 100, [{start: 90, end: 100}]],
		[
			'a suffix longer than the file is a range of the whole file',
			'bytes=-1000',
			100,
			[{start: 0, end: 100}],
		],
		['an empty suffix cannot be satisfied', 'bytes=-0', 100, []],
		[
			'several ranges keep their order',
			'bytes=50-59,0-9',
			100,
			[
				{start: 50, end: 60},
				{start: 0, end: 10},
			],
		],
		[
			'white space and empty elements of a list are skipped',
			'bytes=0-9 ,, \t20-29,',
			100,
			[
				{start: 0, end: 10},
				{start: 20, end: 30},
			],
		],
		['unsatisfiable ranges among several are omitted', 'bytes=0-9,100-', 100, [{start: 0, end: 10}]],
		['several unsatisfiable ranges', 'bytes=100-,-0', 100, []],
		['overlapping ranges select the whole file', 'bytes=0-9,9-19', 100, undefined],
		['nested ranges select the whole file', 'bytes=0-,50-59', 100, undefined],
		[
			'adjacent ranges are served',
			'bytes=0-9,10-',
			100,
			[
				{start: 0, end: 10},
				{start: 10, end: 100},
			],
		],
		[
			'16 ranges are served',
			list(16),
			100,
			Array.from({length: 16}, (_, i) => ({start: i * 2, end: i * 2 + 1})),
		],
		['more than 16 ranges select the whole file', list(17), 100, undefined],
		['the unit is case-insensitive', 'Bytes=1-1', 100, [{start: 1, end: 2}]],
		['another unit is ignored', 'seconds=0-9', 100, undefined],
		['an end before the start is ignored', 'bytes=9-0', 100, undefined],
		['one invalid range makes the header invalid', 'bytes=0-9,x', 100, undefined],
		['an empty list is ignored', 'bytes=', 100, undefined],
		['a list of commas is ignored', 'bytes=,,', 100, undefined],
		['a lone hyphen is ignored', 'bytes=-', 100, undefined],
		['a negative end is ignored', 'bytes=0--5', 100, undefined],
		['a fraction is ignored', 'bytes=0.5-9', 100, undefined],
		['a sign is ignored', 'bytes=+1-9', 100, undefined],
		['hexadecimal is ignored', 'bytes=0x1-0x9', 100, undefined],
		['an empty file has no ranges', 'bytes=0-', 0, undefined],
		['an unknown size has no ranges', 'bytes=0-', Infinity, undefined],
	];

function list(count: number): string {
	return `bytes=${Array.from({length: count}, (_, index) => `${index * 2}-${index * 2}`).join(',')}`;
}

for (const [what, header, size, expected] of table) {
	test(`Range: ${what}`, () => {
		assert.deepEqual(requestedRanges(header, size), expected);
	});
}

/** Deterministic numbers (a linear congruential generator). */
function* pseudoRandom(seed: number): Generator<number, never> {
	for (let state = seed; ;) {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		yield state / 2 ** 32;
	}
}

test('Range: random headers select the same bytes as a byte-by-byte model', () => {
	const random = pseudoRandom(1);
	const below = (limit: number) => Math.floor(random.next().value * limit);
	for (let round = 0; round < 5000; round++) {
		const size = 1 + below(20);
		const specs = Array.from({length: 1 + below(3)}, () => {
			const first = below(25);
			return [`${first}-`, `-${first}`, `${first}-${first + below(25)}`][below(3)] ?? '';
		});
		const header = `bytes=${specs.join(',')}`;
		const asked = specs.map(spec => modelBytes(spec, size)).filter(bytes => bytes.length > 0);
		const overlapping = new Set(asked.flat()).size < asked.flat().length;
		const selected = requestedRanges(header, size)?.map(({start, end}) =>
			Array.from({length: end - start}, (_, index) => start + index),
		);
		assert.deepEqual(selected, overlapping ? undefined : asked, `${header} of ${size}`);
	}
});

/** All bytes selected by a valid range-spec. */
function modelBytes(spec: string, size: number): number[] {
	const [first = '', last = ''] = spec.split('-');
	return Array.from({length: size}, (_, offset) => offset).filter(offset =>
		first === ''
			? offset >= size - Number(last)
			: offset >= Number(first) && (last === '' || offset <= Number(last)),
	);
}

test('Range: mangled headers neither throw nor exceed the file', () => {
	const random = pseudoRandom(2);
	const alphabet = 'bytes=0123456789-, \t*';
	for (let round = 0; round < 5000; round++) {
		const noise = Array.from({length: 12}, () => alphabet[Math.floor(random.next().value * alphabet.length)]);
		for (const {start, end} of requestedRanges(`bytes=${noise.join('')}`, 50) ?? []) {
			assert.ok(start >= 0 && start < end && end <= 50);
		}
	}
});

test('Content-Range has inclusive ends, and an asterisk for an unsatisfiable range', () => {
	assert.equal(contentRange({start: 0, end: 1}, 100), 'bytes 0-0/100');
	assert.equal(contentRange({start: 50, end: 100}, 100), 'bytes 50-99/100');
	assert.equal(contentRange(undefined, 100), 'bytes */100');
});

const before = 'Sun, 06 Nov 1994 08:49:36 GMT';
const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
const after = 'Sun, 06 Nov 1994 08:49:38 GMT';
const version = {etag: '"one"', lastModified: date, hasStrongDate: true};
const unknown = {etag: undefined, lastModified: undefined, hasStrongDate: false};

const conditions: Array<[headers: Record<string, string>, expected: string]> = [
	[{}, 'passed'],
	[{'if-match': '"one"'}, 'passed'],
	[{'if-match': '"two", "one"'}, 'passed'],
	[{'if-match': '*'}, 'passed'],
	[{'if-match': '"two"'}, 'failed'],
	[{'if-match': 'W/"one"'}, 'failed'],
	[{'if-match': '"one"', 'if-unmodified-since': before}, 'passed'],
	[{'if-unmodified-since': before}, 'failed'],
	[{'if-unmodified-since': date}, 'passed'],
	[{'if-unmodified-since': 'yesterday'}, 'passed'],
	[{'if-none-match': '"one"'}, 'not-modified'],
	[{'if-none-match': 'W/"one"'}, 'not-modified'],
	[{'if-none-match': '"a,b", "one"'}, 'not-modified'],
	[{'if-none-match': '*'}, 'not-modified'],
	[{'if-none-match': '"two"'}, 'passed'],
	[{'if-none-match': 'one'}, 'passed'],
	[{'if-none-match': '"two"', 'if-modified-since': date}, 'passed'],
	[{'if-match': '"two"', 'if-none-match': '"one"'}, 'failed'],
	[{'if-match': '"one"', 'if-none-match': '"one"'}, 'not-modified'],
	[{'if-modified-since': date}, 'not-modified'],
	[{'if-modified-since': after}, 'not-modified'],
	[{'if-modified-since': before}, 'passed'],
	[{'if-modified-since': 'Sunday, 06-Nov-94 08:49:37 GMT'}, 'not-modified'],
	[{'if-modified-since': 'Sun Nov  6 08:49:37 1994'}, 'not-modified'],
	[{'if-modified-since': 'Sun Nov  6 08:49:36 1994'}, 'passed'],
	[{'if-modified-since': '2030-01-01'}, 'passed'],
];

for (const [headers, expected] of conditions) {
	test(`${JSON.stringify(headers)} ${expected}`, () => {
		assert.equal(evaluatePreconditions(headers, version), expected);
	});
}

test('a file without ETag or date matches only an asterisk', () => {
	assert.equal(evaluatePreconditions({'if-none-match': '"one"'}, unknown), 'passed');
	assert.equal(evaluatePreconditions({'if-modified-since': after}, unknown), 'passed');
	assert.equal(evaluatePreconditions({'if-unmodified-since': before}, unknown), 'passed');
	assert.equal(evaluatePreconditions({'if-match': '"one"'}, unknown), 'failed');
	assert.equal(evaluatePreconditions({'if-none-match': '*'}, unknown), 'not-modified');
});

test('If-Range holds only for the identical strong validator', () => {
	assert.equal(ifRangeHolds({}, version), true);
	assert.equal(ifRangeHoldsFor('"one"'), true);
	assert.equal(ifRangeHoldsFor(date), true);
	assert.equal(ifRangeHoldsFor('W/"one"'), false);
	assert.equal(ifRangeHoldsFor('"two"'), false);
	assert.equal(ifRangeHoldsFor(after), false);
	assert.equal(ifRangeHoldsFor('Sunday, 06-Nov-94 08:49:37 GMT'), false);
	assert.equal(ifRangeHoldsFor(''), false);
	assert.equal(ifRangeHolds({'if-range': '"one"'}, unknown), false);
	assert.equal(ifRangeHolds({'if-range': date}, {...version, hasStrongDate: false}), false);
});

test('Last-Modified is a strong validator if the response is at least a minute younger', () => {
	assert.equal(isStrongDate('Sun, 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 08:50:37 GMT'), true);
	assert.equal(isStrongDate('Sun, 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 08:50:36 GMT'), false);
	assert.equal(isStrongDate('Sun, 06 Nov 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 08:40:00 GMT'), false);
	assert.equal(isStrongDate('Sun, 06 Nov 1994 08:49:37 GMT', undefined), false);
	assert.equal(isStrongDate('yesterday', 'Sun, 06 Nov 1994 08:50:37 GMT'), false);
	assert.equal(isStrongDate(undefined, 'Sun, 06 Nov 1994 08:50:37 GMT'), false);
});

function ifRangeHoldsFor(ifRange: string): boolean {
	return ifRangeHolds({'if-range': ifRange}, version);
}
