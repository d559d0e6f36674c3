// The output of a run: results, errors and progress.
import type {Download, DownloadError, ErrorCode} from '../../../downstream.ts';
import {formatBytes, formatPercent} from '../../../text/format.ts';
import type {Progress} from '../../output/progress-line.ts';

export type GetOutput = {
	/** The path of a finished file, or a line of JSON. */
	result(line: string): void;
	error(message: string): void;
	progress(progress: Progress): void;
	/** Writes part of a file to standard output. Resolves once it is written. */
	write(bytes: Uint8Array): Promise<void>;
};

export type Result =
	| {readonly status: 'done'; readonly path?: string; readonly sha256?: string}
	| {readonly status: 'failed'; readonly error: Pick<DownloadError, 'code' | 'message'>}
	| {readonly status: 'interrupted'};

/** A line of `--json`. */
export type FileReport = {
	/** Without secrets; null for a curl command that could not be read. */
	readonly url: string | null;
	readonly status: Result['status'];
	readonly path: string | null;
	/** Bytes on the disk. */
	readonly bytes: number;
	/** Present for a finished file. Hexadecimal. */
	readonly sha256?: string;
	readonly error?: {readonly code: ErrorCode; readonly message: string};
};

/** How much an interrupted run keeps, in words; undefined for nothing. */
export function keptWords(views: readonly Download[]): string | undefined {
	const [only, ...others] = views.filter(({present}) => present > 0);
	if (!only) {
		return undefined;
	}

	const {present, size} = only;
	const kept =
		others.length > 0
			? `${formatBytes([only, ...others].reduce((sum, view) => sum + view.present, 0))} of ${others.length + 1} files`
			: size === null
				? formatBytes(present)
				: formatPercent(present, size);
	return `kept ${kept}; the same command resumes`;
}
