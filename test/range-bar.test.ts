import assert from 'node:assert/strict';
import {test} from 'node:test';
import {barCells, cellStart, rangeBar} from '../source/text/range-bar.ts';

const bare = {players: [], heads: []};
const at = (offset: number) => ({offset, ready: 0});

/** Reference implementation: counts every byte of each cell. */
function slowBar(size: number, width: number, has: (byte: number) => boolean): string {
	let bar = '';
	for (let cell = 0; cell < width; cell++) {
		const start = Math.floor((size * cell) / width);
		const end = size < width ? start + 1 : Math.floor((size * (cell + 1)) / width);
		let covered = 0;
		let leading = 0;
		for (let byte = start; byte < end; byte++) {
			covered += has(byte) ? 1 : 0;
			leading += leading === byte - start && has(byte) ? 1 : 0;
		}

		const share = covered / (end - start);
		if (leading === covered && share > 0 && share < 1) {
			bar += '▏▎▍▌▋▊▉'[Math.max(0, Math.floor(share * 8) - 1)];
			continue;
		}

		bar += share === 1 ? '█' : share >= 1 / 2 ? '▓' : share > 0 ? '░' : '·';
	}

	return bar;
}

test('the bar equals a count of every byte, for any size, width and ranges', () => {
	for (let round = 0; round < 500; round++) {
		const size = 1 + Math.floor(Math.random() * 400);
		const width = 1 + Math.floor(Math.random() * 120);
		const bytes = Array.from({length: size}, () => Math.random() < 0.5);
		for (let index = 1; index < size; index++) {
			bytes[index] = Math.random() < 0.8 ? bytes[index - 1]! : bytes[index]!;
		}

		const ranges: Array<[number, number]> = [];
		for (let start = 0; start < size; start++) {
			if (bytes[start]) {
				let end = start;
				while (end < size && bytes[end]) {
					end++;
				}

				ranges.push([start, end]);
				start = end;
			}
		}

		const bar = rangeBar({ranges, size, width, ...bare});
		assert.equal(
			bar,
			slowBar(size, width, byte => bytes[byte]!),
			JSON.stringify({size, width, ranges}),
		);
	}
});

test('a cell with one missing byte is not full, even in the largest file', () => {
	for (const size of [100 * 1024 ** 3, 2 ** 52 + 1]) {
		const width = 97;
		for (const cell of [0, 1, 50, 96]) {
			const missing = cellStart(cell + 1, size, width) - 1;
			const bar = rangeBar({
				ranges: [
					[0, missing],
					[missing + 1, size],
				],
				size,
				width,
				...bare,
			});
			assert.equal(bar, `${'█'.repeat(cell)}▉${'█'.repeat(width - cell - 1)}`);
		}

		assert.equal(cellStart(width, size, width), size);
	}
});

test('cells begin at the exact quotient', () => {
	for (let round = 0; round < 1000; round++) {
		const size = Math.floor(Math.random() * 2 ** 53);
		const width = 1 + Math.floor(Math.random() * 300);
		const cell = Math.floor(Math.random() * (width + 1));
		assert.equal(BigInt(cellStart(cell, size, width)), (BigInt(size) * BigInt(cell)) / BigInt(width));
	}
});

test('a player covers any cell, a fetch head only empty cells', () => {
	const input = {
		ranges: [[0, 53]] as const,
		size: 100,
		width: 10,
		players: [at(75), at(5)],
		heads: [20, 53, 60, 75],
	};
	assert.equal(rangeBar(input), '┃████▎▸┃··');
	assert.equal(rangeBar({...input, ascii: true}), '|####>>|..');
});

test('missing bytes of a pledge have a mark of their own, under players and fetch heads', () => {
	const input = {
		ranges: [[0, 13]] as const,
		size: 100,
		width: 10,
		players: [at(75)],
		heads: [30],
		pledged: [[5, 59]] as const,
	};
	assert.equal(rangeBar(input), '█▎▒▸▒▒·┃··');
	assert.equal(rangeBar({...input, ascii: true}), '#-:>::.|..');
	const kinds = barCells({...input, pledged: [[0, 100]]}).map(({kind}) => kind);
	assert.deepEqual(kinds.slice(0, 5), ['have', 'have', 'pledged', 'head', 'pledged']);
	// No share of present bytes looks like it.
	for (const present of [1, 34, 50, 66, 99]) {
		const bar = rangeBar({...bare, ranges: [[1, 1 + present]], size: 101, width: 1, pledged: [[0, 101]]});
		assert.match(bar, /^[▓░]$/);
	}
});

test('contiguous bytes ahead of a player are ready, and newly written bytes are fresh', () => {
	for (let round = 0; round < 300; round++) {
		const size = 50 + Math.floor(Math.random() * 400);
		const width = 1 + Math.floor(Math.random() * 60);
		const edges = Array.from({length: 6}, () => Math.floor(Math.random() * size)).toSorted((a, b) => a - b);
		const ranges = [0, 2, 4].flatMap(index =>
			edges[index]! < edges[index + 1]! && edges[index]! > (edges[index - 1] ?? -1)
				? [[edges[index]!, edges[index + 1]!] as const]
				: [],
		);
		const offset = Math.floor(Math.random() * size);
		const around = ranges.find(([start, end]) => start <= offset && offset < end);
		const ready = around ? around[1] - offset : 0;
		const fresh = ranges.slice(0, 1);
		const cells = barCells({ranges, size, width, players: [{offset, ready}], heads: [], fresh});
		assert.equal(cells.length, width);
		for (const [cell, {glyph, kind}] of cells.entries()) {
			const start = cellStart(cell, size, width);
			const end = Math.max(start + 1, cellStart(cell + 1, size, width));
			const touches = ([from, to]: readonly [number, number]) => from < end && to > start;
			assert.equal(kind === 'missing', glyph === '·');
			assert.ok(kind !== 'ready' || touches([offset, offset + ready]));
			assert.ok(kind !== 'fresh' || fresh.some(range => touches(range)));
			assert.ok(kind === 'missing' || kind === 'player' || ranges.some(range => touches(range)));
		}
	}
});

test('markers at the end of the file stay within the bar', () => {
	assert.equal(
		rangeBar({ranges: [[0, 100]], size: 100, width: 10, players: [at(100)], heads: [100]}),
		'█████████┃',
	);
});

test('every symbol has an ASCII form of its own', () => {
	const bar = rangeBar({
		ranges: [
			[0, 15],
			[20, 28],
			[30, 31],
		],
		size: 50,
		width: 5,
		players: [at(45)],
		heads: [40],
		ascii: true,
	});
	assert.equal(bar, '#++-|');
});
