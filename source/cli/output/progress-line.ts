// `get` on a terminal: one line that is redrawn in place, and erased for other output.
import type {WriteStream} from 'node:tty';
import {cleanText, fitName, padText} from '../../text/clean-text.ts';
import {formatDuration, formatPercent, formatSpeed, formatBytes} from '../../text/format.ts';
import {rangeBar} from '../../text/range-bar.ts';
import {secondsLeft, stateWords} from '../../text/status-words.ts';
import {nextTry} from './patience.ts';
import {pledgeWords} from '../../text/safe-words.ts';
import type {Download, Pledge} from '../../downstream.ts';

const eraseLine = '\r\u001B[K';
const redrawMs = 250;
/** The terminal echoes `^C` behind the line, which must not wrap then. */
const interruptCells = 2;

/** The downloads of one run of `get`. */
export type Progress = {
	/** Unfinished downloads, in command-line order. */
	readonly open: readonly Download[];
	/** All downloads, including finished and failed ones. */
	readonly total: number;
	/** Bytes of the finished downloads. */
	readonly finishedBytes: number;
	/** The stretch to fetch of the only download, instead of the whole file. */
	readonly pledge?: Pledge | undefined;
};

export class ProgressLine {
	readonly #stream: WriteStream;
	readonly #ascii: boolean;
	#drawnAt = 0;

	/** Draws only if the stream is a terminal. */
	constructor(stream: WriteStream, {ascii}: {ascii: boolean}) {
		this.#stream = stream;
		this.#ascii = ascii;
	}

	draw(progress: Progress): void {
		const now = Date.now();
		if (this.#stream.isTTY && progress.open.length > 0 && now - this.#drawnAt >= redrawMs) {
			this.#drawnAt = now;
			const width = this.#stream.columns - 1 - interruptCells;
			this.#stream.write(eraseLine + progressText(progress, {width, now, ascii: this.#ascii}));
		}
	}

	/** Prints a line, to this stream or another one. */
	print(stream: NodeJS.WritableStream, text: string): void {
		this.end();
		stream.write(`${text}\n`);
	}

	end(): void {
		if (this.#stream.isTTY) {
			this.#stream.write(eraseLine);
		}
	}
}

type Style = {readonly width: number; readonly now: number; readonly ascii: boolean};

/** Pure. `now`: milliseconds since the epoch. */
export function progressText(progress: Progress, style: Style): string {
	const {open, total} = progress;
	const [first] = open;
	// Shows an error only while no other download is running.
	const failing = open.find(({error}) => error);
	const isStuck = failing && open.every(({error, status}) => error ?? status === 'queued');
	if (isStuck) {
		const {name, error} = failing;
		return fitted(`${name}: ${error!.message}; ${nextTry(failing, style.now)}`, style);
	}

	if (first && progress.pledge) {
		return textOfPledge(first, progress.pledge, style);
	}

	return total === 1 && first ? textOfOne(first, style) : fitted(textOfSeveral(progress), style);
}

function textOfSeveral({open, total, finishedBytes}: Progress): string {
	const sized = open.filter(({size}) => size !== null);
	const size = finishedBytes + sum(sized.map(download => download.size!));
	const present = finishedBytes + sum(sized.map(download => download.present));
	const speed = sum(open.map(({bytesPerSecond}) => bytesPerSecond));
	const longSpeed = sum(open.map(({bytesPerSecondLong}) => bytesPerSecondLong));
	const percent = size === 0 ? 0 : Math.floor((present * 100) / size);
	const left = sized.length === open.length && longSpeed > 0 ? (size - present) / longSpeed : Infinity;
	return `${total - open.length} of ${total}, ${percent}%  ${formatSpeed(speed)}  ${formatDuration(left)}`;
}

function textOfPledge({name, size, bytesPerSecond}: Download, pledge: Pledge, style: Style): string {
	const words = pledgeWords(pledge, {size}, style.ascii);
	return fitted(`${startOf(name, style)} ${words}  ${formatSpeed(bytesPerSecond)}`, style);
}

function startOf(name: string, {width, ascii}: Style): string {
	return fitName(cleanText(name), Math.max(12, Math.floor(width / 3)), {ascii});
}

function textOfOne(download: Download, style: Style): string {
	const {name, size, present, ranges, segments, bytesPerSecond, status} = download;
	const start = startOf(name, style);
	if (status !== 'active') {
		return fitted(`${start} ${stateWords(download, style.now, true).state}`, style);
	}

	if (size === null || size === 0) {
		return `${start} ${formatBytes(present)} ${formatSpeed(bytesPerSecond)}`;
	}

	const end = ` ${formatPercent(present, size)} ${formatSpeed(bytesPerSecond)} ${formatDuration(secondsLeft(download))}`;
	const room = style.width - start.length - end.length - 1;
	const heads = segments.map(({offset}) => offset);
	return room < 8
		? start + end
		: `${start} ${rangeBar({ranges, size, width: room, players: [], heads, ascii: style.ascii})}${end}`;
}

function fitted(text: string, {width}: Style): string {
	return padText(cleanText(text), width).trimEnd();
}

function sum(numbers: readonly number[]): number {
	return numbers.reduce((total, number) => total + number, 0);
}
