// The bar of the downloaded ranges. Cell i covers the bytes [pos(i), pos(i + 1)); a full cell means that every byte
// of it is on disk.

type Range = readonly [start: number, end: number];

type BarInput = {
	/** Present bytes: half-open, sorted, merged. */
	readonly ranges: readonly Range[];
	/** File size in bytes; at least 1. */
	readonly size: number;
	/** In cells. */
	readonly width: number;
	/** The next byte of each player, and how many present bytes follow it without a gap. */
	readonly players: ReadonlyArray<{readonly offset: number; readonly ready: number}>;
	/** The next byte that each open connection will deliver. */
	readonly heads: readonly number[];
	/** Bytes written a moment ago, in any order. */
	readonly fresh?: readonly Range[];
	/** Stretches that are to be present, in any order. */
	readonly pledged?: readonly Range[];
	readonly ascii?: boolean;
};

/**
 * `ready`: present and ahead of a player without a gap. `fresh`: present, and part of it was written a moment ago.
 * `head`: empty, and the next byte of a connection. `pledged`: empty, and in a pledge. All other present bytes are `have`.
 */
type CellKind = 'missing' | 'have' | 'ready' | 'fresh' | 'pledged' | 'head' | 'player';

/** One column wide. */
export type BarCell = {readonly glyph: string; readonly kind: CellKind};

const unicode = {player: '┃', head: '▸', full: '█', most: '▓', some: '░', pledged: '▒', none: '·'};
const plain = {player: '|', head: '>', full: '#', most: '+', some: '-', pledged: ':', none: '.'};
/** For a cell whose present bytes begin at its first byte. The first one also stands for less than an eighth. */
const eighths = '▏▎▍▌▋▊▉';

/** The glyphs of the bar: `width` columns. */
export function rangeBar(input: BarInput): string {
	return barCells(input)
		.map(({glyph}) => glyph)
		.join('');
}

/** Returns `width` cells. */
export function barCells({
	ranges,
	size,
	width,
	players,
	heads,
	fresh = [],
	pledged = [],
	ascii = false,
}: BarInput): BarCell[] {
	const glyphs = ascii ? plain : unicode;
	const cells = coverage(ranges, size, width).map(({present, leading}, cell): BarCell => {
		const total = cellEnd(cell, size, width) - cellStart(cell, size, width);
		const isPrefix = leading === present && present < total && present > 0 && !ascii;
		return {
			glyph: isPrefix ? prefixGlyph(present, total) : shade(present, total, glyphs),
			kind: present > 0 ? 'have' : 'missing',
		};
	});
	const mark = (start: number, end: number, change: (cell: BarCell) => BarCell) => {
		for (let cell = cellOf(start, size, width); cell < width && cellStart(cell, size, width) < end; cell++) {
			cells[cell] = change(cells[cell]!);
		}
	};

	const markPresent = (start: number, end: number, kind: CellKind) =>
		mark(start, end, cell => (cell.kind === 'missing' ? cell : {...cell, kind}));
	for (const [start, end] of fresh) {
		markPresent(start, end, 'fresh');
	}

	for (const {offset, ready} of players) {
		markPresent(offset, offset + ready, 'ready');
	}

	for (const [start, end] of pledged) {
		mark(start, end, cell => (cell.kind === 'missing' ? {glyph: glyphs.pledged, kind: 'pledged'} : cell));
	}

	for (const offset of heads) {
		const cell = cellOf(offset, size, width);
		const {glyph, kind} = cells[cell]!;
		if (offset < size && (ascii ? glyph !== glyphs.full : kind === 'missing' || kind === 'pledged')) {
			cells[cell] = {glyph: glyphs.head, kind: 'head'};
		}
	}

	for (const {offset} of players) {
		cells[cellOf(Math.min(offset, size - 1), size, width)] = {glyph: glyphs.player, kind: 'player'};
	}

	return cells;
}

/** First byte of a cell: floor(size * cell / width), exact for any size below 2^53. */
export function cellStart(cell: number, size: number, width: number): number {
	return Math.floor(size / width) * cell + Math.floor(((size % width) * cell) / width);
}

/** If the file is shorter than the bar, several cells cover the same byte. */
function cellEnd(cell: number, size: number, width: number): number {
	const start = cellStart(cell, size, width);
	return size < width ? start + 1 : cellStart(cell + 1, size, width);
}

function cellOf(offset: number, size: number, width: number): number {
	let cell = Math.min(width - 1, Math.max(0, Math.floor((offset / size) * width)));
	while (cell > 0 && cellStart(cell, size, width) > offset) {
		cell--;
	}

	while (cell < width - 1 && cellStart(cell + 1, size, width) <= offset) {
		cell++;
	}

	return cell;
}

type Coverage = {
	/** Bytes of the cell on disk. */
	present: number;
	/** Those of them that follow the cell's first byte without a gap. */
	leading: number;
};

/** Linear in ranges and cells. */
function coverage(ranges: readonly Range[], size: number, width: number): Coverage[] {
	const covered = Array.from({length: width}, (): Coverage => ({present: 0, leading: 0}));
	let first = 0;
	for (let cell = 0; cell < width; cell++) {
		const start = cellStart(cell, size, width);
		const end = cellEnd(cell, size, width);
		while (first < ranges.length && ranges[first]![1] <= start) {
			first++;
		}

		for (let index = first; index < ranges.length && ranges[index]![0] < end; index++) {
			const [from, to] = ranges[index]!;
			const bytes = Math.min(end, to) - Math.max(start, from);
			covered[cell]!.present += bytes;
			covered[cell]!.leading += from <= start ? bytes : 0;
		}
	}

	return covered;
}

/** Rounded down to eighths, so that only a complete cell is full. */
function prefixGlyph(present: number, total: number): string {
	return eighths[Math.max(1, Math.floor((present / total) * 8)) - 1]!;
}

function shade(covered: number, total: number, glyphs: typeof unicode): string {
	if (covered === 0) {
		return glyphs.none;
	}

	if (covered === total) {
		return glyphs.full;
	}

	return covered * 2 >= total ? glyphs.most : glyphs.some;
}
