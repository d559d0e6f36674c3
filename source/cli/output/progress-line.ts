// `get` on a terminal: one line that is drawn over itself, and out of the way of what is printed.
import type {WriteStream} from 'node:tty';
import {cleanText, fitName, padText} from '../../text/clean-text.ts';
import {formatDuration, formatPercent, formatSpeed, formatBytes} from '../../text/format.ts';
import {rangeBar} from '../../text/range-bar.ts';
import {secondsLeft} from '../../text/status-words.ts';
import {isFetching, type Download, type Snapshot} from '../../downstream.ts';

const eraseLine = '\r\u001B[K';
const redrawMs = 250;

export class ProgressLine {
	readonly #stream: WriteStream;
	readonly #ascii: boolean;
	#drawnAt = 0;

	/** Draws nothing if the stream is no terminal. */
	constructor(stream: WriteStream, {ascii}: {ascii: boolean}) {
		this.#stream = stream;
		this.#ascii = ascii;
	}

	draw({downloads}: Snapshot): void {
		const now = Date.now();
		const running = downloads.find(isFetching);
		if (this.#stream.isTTY && running && now - this.#drawnAt >= redrawMs) {
			this.#drawnAt = now;
			this.#stream.write(eraseLine + this.#text(running));
		}
	}

	/** A line of its own, to this or another stream. */
	print(stream: NodeJS.WritableStream, text: string): void {
		this.end();
		stream.write(`${text}\n`);
	}

	end(): void {
		if (this.#stream.isTTY) {
			this.#stream.write(eraseLine);
		}
	}

	#text(download: Download): string {
		const {name, size, present, ranges, segments, bytesPerSecond, error} = download;
		const width = this.#stream.columns - 1;
		if (error) {
			return padText(cleanText(`${name}: ${error.message}`), width).trimEnd();
		}

		const start = fitName(cleanText(name), Math.max(12, Math.floor(width / 3)), {ascii: this.#ascii});
		if (size === null || size === 0) {
			return `${start} ${formatBytes(present)} ${formatSpeed(bytesPerSecond)}`;
		}

		const end = ` ${formatPercent(present, size)} ${formatSpeed(bytesPerSecond)} ${formatDuration(secondsLeft(download))}`;
		const room = width - start.length - end.length - 1;
		const heads = segments.map(({offset}) => offset);
		return room < 8
			? start + end
			: `${start} ${rangeBar({ranges, size, width: room, players: [], heads, ascii: this.#ascii})}${end}`;
	}
}
