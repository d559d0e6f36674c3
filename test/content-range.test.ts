import assert from 'node:assert/strict';
import {test} from 'node:test';
import {
	parseContentRange,
	unsatisfiedSize,
	type ContentRange,
} from '../source/engine/origin/content-range.ts';

const part = (start: number, end: number, size = Infinity): ContentRange => ({range: {start, end}, size});

const parts: Array<[header: string, length: number | undefined, stated: ContentRange | undefined]> = [
	['bytes 0-99/1000', undefined, part(0, 100, 1000)],
	['Bytes 50-99/*', undefined, part(50, 100)],
	['bytes=50-99/1000', undefined, part(50, 100, 1000)],
	['bytes: 50-99/1000', undefined, part(50, 100, 1000)],
	['bytes:50-99/1000', undefined, part(50, 100, 1000)],
	['50-99/1000', undefined, part(50, 100, 1000)],
	['bytes  50 - 99 / 1000 ', undefined, part(50, 100, 1000)],
	['bytes 50-99', undefined, part(50, 100)],
	['bytes 50-99/', undefined, part(50, 100)],
	['bytes 50-99/1000, bytes 50-99/1000', undefined, part(50, 100, 1000)],
	// The end follows from the body's length.
	['bytes 50-/1000', 950, part(50, 1000, 1000)],
	['bytes 50-/1000', 100, part(50, 150, 1000)],
	['bytes 50-/*', 100, part(50, 150)],
	['bytes 50-/1000', undefined, undefined],
	['bytes 50-/1000', 951, undefined],
	['bytes 50-/1000', 0, undefined],
	// The start is missing, or the header is inconsistent.
	['bytes */1000', 1000, undefined],
	['bytes -99/1000', 100, undefined],
	['bytes', 100, undefined],
	['', 100, undefined],
	['bytes 99-50/1000', undefined, undefined],
	['bytes 0-1000/1000', undefined, undefined],
	['bytes 0-99/1000, bytes 100-199/1000', undefined, undefined],
	['bytes 0-99,200-299/1000', undefined, undefined],
	['items 0-99/1000', undefined, undefined],
	['bytes 0x0-99/1000', undefined, undefined],
	['bytes 0-99/1e3', undefined, undefined],
	['bytes 0-9999999999999999/*', undefined, undefined],
	['bytes 0-9007199254740990/*', undefined, part(0, 9007199254740991)],
	['bytes 0-99/1125899906842624', undefined, part(0, 100, 2 ** 50)],
	// Beyond safe integers, the size stays visible.
	['bytes 0-99/18446744073709551616', undefined, part(0, 100, 2 ** 64)],
];

for (const [header, length, stated] of parts) {
	test(`Content-Range "${header}" of ${length ?? 'unknown'} bytes states ${JSON.stringify(stated?.range)}`, () => {
		assert.deepEqual(parseContentRange(header, length), stated);
	});
}

for (const [header, size] of [
	['bytes */1000', 1000],
	['bytes=*/1000', 1000],
	['bytes: */1000', 1000],
	['*/1000', 1000],
	['bytes * / 1000', 1000],
	['bytes /1000', 1000],
	['bytes 0-999/1000', 1000],
	['bytes */0', 0],
	['bytes */1125899906842624', 2 ** 50],
	['bytes */18446744073709551616', undefined],
	['bytes */*', undefined],
	['bytes 1000', undefined],
	['items */1000', undefined],
	['', undefined],
] as const) {
	test(`a 416 with "${header}" states a size of ${size ?? 'nothing'}`, () => {
		assert.equal(unsatisfiedSize(header), size);
	});
}
