// The frames above the map of a film: their times, and their pictures as lines. Pure.
import type {DownloadFilm} from '../downstream.ts';
import {formatTime} from '../text/film-words.ts';
import type {BarCells} from './film-lines.ts';
import {span, type Line, type Span} from './spans.tsx';
import type {HexColor} from './theme.ts';

/** Pixels of a picture: three bytes each, red, green and blue, in rows. */
export const frameSize = {width: 96, height: 54};

export type FilmFrame = {
	/** Milliseconds. */
	readonly ms: number;
	/** The film can be watched there. */
	readonly isHere: boolean;
	/** Undefined until the picture is made; null if there is none. */
	readonly pixels?: Uint8Array | null | undefined;
};

type Colors = {
	/** At least 256 colors. Otherwise a picture consists of letters. */
	readonly manyColors: boolean;
	readonly ascii: boolean;
};
type Rgb = readonly [red: number, green: number, blue: number];

const mostFrames = 8;
const smallestFrame = 12;
const mostRows = 8;
/** Seeking goes to the key frame before, in some formats to the one 130 ms before. */
const marginMs = 250;
/** Bits of the index: the upper left, upper right and lower left quarter. The lower right one is background. */
const quarters = ' ▘▝▀▖▌▞▛';
const ramp = ' .:-=+*#%@';

/** The number of frames above a bar. */
export function frameCount(cells: number): number {
	return Math.max(1, Math.min(mostFrames, Math.floor(cells / smallestFrame)));
}

/**
 * The times of the frames of equal parts of the film: the middle of a part, else one of the times shown `before`, else the
 * nearest to the middle. So a growing stretch changes a frame at most once.
 */
export function frameTimes(
	{durationMs, playable}: Pick<DownloadFilm, 'durationMs' | 'playable'>,
	count: number,
	before: readonly number[],
): FilmFrame[] {
	return Array.from({length: count}, (_, part): FilmFrame => {
		const start = Math.round((part / count) * durationMs);
		const end = Math.round(((part + 1) / count) * durationMs);
		const middle = Math.round((start + end) / 2);
		const stretches = playable
			.map(([from, to]) => [Math.max(start, from + marginMs), Math.min(end, to - marginMs)] as const)
			.filter(([from, to]) => from < to);
		const isHere = (ms: number) => stretches.some(([from, to]) => from <= ms && ms < to);
		const nearest = stretches
			.map(([from, to]) => Math.max(from, Math.min(middle, to - 1)))
			.toSorted((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
		const [ms] = [...[middle, ...before].filter(isHere), ...nearest];
		return {ms: ms ?? middle, isHere: ms !== undefined};
	});
}

/** A frame below a dialog. */
export function dimmedFrame(frame: FilmFrame): FilmFrame {
	return {...frame, pixels: frame.pixels?.map(part => part / 4)};
}

/** Pictures are redrawn with each key. */
const drawn = new WeakMap<object, {readonly key: string; readonly lines: Line[]}>();

function keptLines(of: object, how: readonly unknown[], draw: () => Line[]): Line[] {
	const key = how.join(' ');
	const kept = drawn.get(of);
	if (kept?.key === key) {
		return kept.lines;
	}

	const lines = draw();
	drawn.set(of, {key, lines});
	return lines;
}

/**
 * Pictures with their times below, each over its part of the bar. Where `room` lines allow it, they are larger, and
 * every second one is placed higher. `width`: that of the lines, in cells.
 */
export function frameLines(
	frames: readonly FilmFrame[],
	bar: BarCells,
	{width, room, ...colors}: Colors & {readonly width: number; readonly room: number},
): Line[] {
	const part = bar.cells / frames.length;
	const large = sizeOf(2 * part);
	const isStaggered = frames.length > 1 && 2 * (large.rows + 1) <= room;
	const {cells, rows} = isStaggered ? large : sizeOf(part);
	const how = [width, bar.left, bar.cells, isStaggered, ...Object.values(colors)];
	return keptLines(frames, how, () => {
		const pictures = frames.map(({ms, pixels}, index) => {
			const left = Math.round(bar.left + (index + 0.5) * part - cells / 2);
			const lines = pixels
				? keptLines(pixels, [cells, rows, ...Object.values(colors)], () =>
						pictureLines(pixels, cells, rows, colors),
					)
				: emptyLines(cells, rows, colors.ascii);
			return {
				left: Math.max(1, Math.min(left, width - cells)),
				lines: [...lines, [span(centered(formatTime(ms), cells), 'label')]],
			};
		});
		const sets = isStaggered
			? [0, 1].map(odd => pictures.filter((_, index) => index % 2 === odd))
			: [pictures];
		return sets.flatMap(set =>
			Array.from({length: rows + 1}, (_, row) => {
				let end = 0;
				return set.flatMap(({left, lines}) => {
					const gap = span(' '.repeat(left - end));
					end = left + cells;
					return [gap, ...lines[row]!];
				});
			}),
		);
	});
}

/** The size of a picture in a part of the bar. */
function sizeOf(part: number): {cells: number; rows: number} {
	const cells = Math.min(
		Math.floor(part) - 1,
		Math.round((2 * mostRows * frameSize.width) / frameSize.height),
	);
	return {cells, rows: Math.max(2, Math.round((cells * frameSize.height) / frameSize.width / 2))};
}

function centered(text: string, cells: number): string {
	return text.padStart(Math.ceil((cells + text.length) / 2)).padEnd(cells);
}

function emptyLines(cells: number, rows: number, ascii: boolean): Line[] {
	const [topLeft, topRight, bottomLeft, bottomRight, across, down] = ascii ? '++++-|' : '╭╮╰╯─│';
	const rule = across!.repeat(cells - 2);
	return Array.from({length: rows}, (_, row) => [
		span(
			row === 0
				? topLeft + rule + topRight
				: row === rows - 1
					? bottomLeft + rule + bottomRight
					: down + ' '.repeat(cells - 2) + down,
			'rule',
		),
	]);
}

function pictureLines(pixels: Uint8Array, cells: number, rows: number, {manyColors, ascii}: Colors): Line[] {
	const aspect = cells / (2 * rows);
	if (ascii || !manyColors) {
		const sample = sampled(pixels, cells, rows, aspect);
		const letters = sample.map(color => ramp[Math.floor((brightness(color) / 256) * ramp.length)]!);
		return Array.from({length: rows}, (_, row) => [
			span(letters.slice(row * cells, (row + 1) * cells).join('')),
		]);
	}

	const columns = 2 * cells;
	const sample = sampled(pixels, columns, 2 * rows, aspect);
	return Array.from({length: rows}, (_, row) =>
		Array.from({length: cells}, (_, cell) => {
			const at = 2 * row * columns + 2 * cell;
			return cellOf([sample[at]!, sample[at + 1]!, sample[at + columns]!, sample[at + columns + 1]!]);
		}),
	);
}

/** The block with two colors that comes closest to four pixels: with the least sum of squared errors. */
function cellOf(four: readonly Rgb[]): Span {
	const all = sumOf(four);
	let best = -1;
	let closest = span(' ');
	for (let mask = 0; mask < quarters.length; mask++) {
		const front = four.filter((_, index) => (mask >> index) & 1);
		const [ahead, behind] = [front.length || 1, four.length - front.length];
		const sum = sumOf(front);
		const rest = [all[0] - sum[0], all[1] - sum[1], all[2] - sum[2]] as const;
		const score = squared(sum) / ahead + squared(rest) / behind;
		if (score > best) {
			best = score;
			closest = {text: quarters[mask]!, colors: {color: hex(sum, ahead), backgroundColor: hex(rest, behind)}};
		}
	}

	return closest;
}

/** The mean colors of a grid over the middle of the picture. `aspect`: the width of the grid in heights. */
function sampled(pixels: Uint8Array, columns: number, rows: number, aspect: number): Rgb[] {
	const width = Math.min(frameSize.width, frameSize.height * aspect);
	const height = Math.min(frameSize.height, frameSize.width / aspect);
	const x = (column: number) => Math.floor((frameSize.width - width) / 2 + (column * width) / columns);
	const y = (row: number) => Math.floor((frameSize.height - height) / 2 + (row * height) / rows);
	return Array.from({length: columns * rows}, (_, index) => {
		const [column, row] = [index % columns, Math.floor(index / columns)];
		const [left, right, top, bottom] = [x(column), x(column + 1), y(row), y(row + 1)];
		const sum: [number, number, number] = [0, 0, 0];
		for (let line = top; line < bottom; line++) {
			const end = (line * frameSize.width + right) * 3;
			for (let at = (line * frameSize.width + left) * 3; at < end; at += 3) {
				sum[0] += pixels[at]!;
				sum[1] += pixels[at + 1]!;
				sum[2] += pixels[at + 2]!;
			}
		}

		const count = Math.max(1, (right - left) * (bottom - top));
		return [sum[0] / count, sum[1] / count, sum[2] / count];
	});
}

function sumOf(colors: readonly Rgb[]): Rgb {
	let [red, green, blue] = [0, 0, 0];
	for (const color of colors) {
		red += color[0];
		green += color[1];
		blue += color[2];
	}

	return [red, green, blue];
}

function squared([red, green, blue]: Rgb): number {
	return red * red + green * green + blue * blue;
}

/** Perceived, from 0 to 255 (ITU-R BT.601). */
function brightness([red, green, blue]: Rgb): number {
	return 0.299 * red + 0.587 * green + 0.114 * blue;
}

function hex([red, green, blue]: Rgb, count: number): HexColor {
	const bits = (Math.round(red / count) << 16) | (Math.round(green / count) << 8) | Math.round(blue / count);
	return `#${bits.toString(16).padStart(6, '0')}`;
}
