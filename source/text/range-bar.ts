// The bar of the downloaded ranges. Cell i covers the bytes [pos(i), pos(i + 1)); a full cell means that every byte
// of it is on disk.

export type BarInput = {
	/** Present bytes: half-open, sorted, merged. */
	readonly ranges: ReadonlyArray<readonly [start: number, end: number]>;
	/** File size in bytes; at least 1. */
	readonly size: number;
	/** In cells. */
	readonly width: number;
	/** The next byte that each player will read. */
	readonly players: readonly number[];
	/** The next byte that each open connection will deliver. */
	readonly heads: readonly number[];
	readonly ascii?: boolean;
};

const unicode = {player: '┃', head: '▸', full: '█', most: '▓', half: '▒', some: '░', none: '·'};
const plain = {player: '|', head: '>', full: '#', most: '+', half: '+', some: '-', none: '.'};

/** Returns `width` cells, each one column wide. */
export function rangeBar({ranges, size, width, players, heads, ascii = false}: BarInput): string {
	const glyphs = ascii ? plain : unicode;
	const cells: string[] = [];
	const covered = coverage(ranges, size, width);
	for (let cell = 0; cell < width; cell++) {
		const total = cellEnd(cell, size, width) - cellStart(cell, size, width);
		cells.push(shade(covered[cell]!, total, glyphs));
	}

	for (const offset of heads) {
		const cell = cellOf(offset, size, width);
		if (offset < size && cells[cell] !== glyphs.full) {
			cells[cell] = glyphs.head;
		}
	}

	for (const offset of players) {
		cells[cellOf(Math.min(offset, size - 1), size, width)] = glyphs.player;
	}

	return cells.join('');
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

/** Present bytes per cell, linear in ranges and cells. */
function coverage(ranges: BarInput['ranges'], size: number, width: number): number[] {
	const covered = Array.from({length: width}, () => 0);
	let first = 0;
	for (let cell = 0; cell < width; cell++) {
		const start = cellStart(cell, size, width);
		const end = cellEnd(cell, size, width);
		while (first < ranges.length && ranges[first]![1] <= start) {
			first++;
		}

		for (let index = first; index < ranges.length && ranges[index]![0] < end; index++) {
			covered[cell]! += Math.min(end, ranges[index]![1]) - Math.max(start, ranges[index]![0]);
		}
	}

	return covered;
}

function shade(covered: number, total: number, glyphs: typeof unicode): string {
	if (covered === 0) {
		return glyphs.none;
	}

	if (covered === total) {
		return glyphs.full;
	}

	if (covered * 3 >= total * 2) {
		return glyphs.most;
	}

	return covered * 3 >= total ? glyphs.half : glyphs.some;
}
