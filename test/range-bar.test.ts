import assert from 'node:assert/strict';
import {test} from 'node:test';
import {cellStart, rangeBar, type BarInput} from '../source/dashboard/range-bar.ts';

const shades: Record<string, (covered: number, total: number) => boolean> = {
	'█': (covered, total) => covered === total,
	'▓': (covered, total) => covered < total && covered * 3 >= total * 2,
	'▒': (covered, total) => covered * 3 < total * 2 && covered * 3 >= total,
	'░': (covered, total) => covered > 0 && covered * 3 < total,
	'·': covered => covered === 0,
};

function bar(input: Partial<BarInput> & Pick<BarInput, 'ranges' | 'size' | 'width'>): string {
	return rangeBar({players: [], heads: [], ...input});
}

/** The first byte of a cell, in whole numbers without a limit. */
function exactStart(cell: number, size: number, width: number): bigint {
	const [n, w, i] = [BigInt(size), BigInt(width), BigInt(cell)];
	return (n / w) * i + ((n % w) * i) / w;
}

test('each cell tells of its own bytes and no others, in random files', () => {
	let seed = 1;
	const random = (below: number) => {
		seed = (seed * 48_271) % 2_147_483_647;
		return seed % below;
	};

	for (let round = 0; round < 400; round++) {
		const size = 1 + random(300);
		const width = 1 + random(80);
		const present = Array.from({length: size}, () => random(4) < 2 || round % 20 === 0);
		const ranges: Array<[number, number]> = [];
		for (const [offset, isPresent] of present.entries()) {
			if (isPresent && present[offset - 1] && ranges.length > 0) {
				ranges.at(-1)![1] = offset + 1;
			} else if (isPresent) {
				ranges.push([offset, offset + 1]);
			}
		}

		const cells = Array.from(bar({ranges, size, width}));
		assert.equal(cells.length, width);
		for (const [cell, glyph] of cells.entries()) {
			const start = Number(exactStart(cell, size, width));
			const end = size < width ? start + 1 : Number(exactStart(cell + 1, size, width));
			const covered = present.slice(start, end).filter(Boolean).length;
			assert.ok(
				shades[glyph]?.(covered, end - start),
				`size ${size}, width ${width}, cell ${cell}: ${glyph} for ${covered} of ${end - start}`,
			);
		}
	}
});

test('cells begin at exact bytes in files of up to 2^53 bytes', () => {
	for (const size of [2 ** 52 + 1, 2 ** 53 - 1, 100 * 2 ** 30 + 7]) {
		for (const width of [1, 7, 40, 119, 997]) {
			for (let cell = 0; cell <= width; cell++) {
				assert.equal(BigInt(cellStart(cell, size, width)), exactStart(cell, size, width));
			}
		}
	}
});

test('a cell that lacks one byte is not full, however large it is', () => {
	const size = 2 ** 52 + 1;
	for (const missing of [0, 12_345, 2 ** 51, size - 1]) {
		const ranges = [
			[0, missing],
			[missing + 1, size],
		] as const;
		const cells = bar({ranges: ranges.filter(([start, end]) => start < end), size, width: 60});
		assert.equal(cells.replaceAll('█', ''), '▓');
	}
});

test('a player wins over everything in its cell', () => {
	const input = {ranges: [[0, 50]], size: 100, width: 10} as const;
	assert.equal(bar({...input, players: [20, 75], heads: [75]}), '██┃██··┃··');
});

test('a player at the end of the file is in the last cell', () => {
	assert.equal(bar({ranges: [], size: 100, width: 5, players: [100]}), '····┃');
});

test('the next byte of a connection is marked unless its cell is full', () => {
	const input = {ranges: [[0, 55]], size: 100, width: 10} as const;
	assert.equal(bar({...input, heads: [55]}), '█████▸····');
	assert.equal(bar({...input, heads: [30]}), '█████▒····');
	assert.equal(bar({...input, heads: [100]}), '█████▒····');
});

test('the ASCII bar has the same cells', () => {
	const input = {ranges: [[0, 57]], size: 100, width: 10, players: [90], heads: [70]} as const;
	assert.equal(bar({...input, ascii: true}), '#####+.>.|');
	assert.equal(bar({...input, ranges: [[0, 2]], ascii: true}), '-......>.|');
});

test('a file of fewer bytes than cells repeats each byte', () => {
	assert.equal(bar({ranges: [[1, 2]], size: 2, width: 6}), '···███');
});
