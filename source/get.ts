// `get`: downloads to the end, exports, done.
import {stat} from 'node:fs/promises';
import path from 'node:path';
import {addAll, requestsFor} from './add-requests.ts';
import {DownStreamError, type Download, type DownloadId, type Snapshot} from './downstream.ts';
import {resolveTarget} from './engine/export-file.ts';
import type {Running} from './running.ts';
import type {Settings} from './settings.ts';
import {snapshotsOf} from './snapshots.ts';

export type GetOutput = {
	/** The path of each finished file. */
	result(path: string): void;
	error(message: string): void;
	progress(snapshot: Snapshot): void;
};

/** Resolves with whether every URL is on the disk now, or when the signal aborts. */
export async function get(
	running: Running,
	urls: readonly string[],
	settings: Settings,
	output: GetOutput,
	signal: AbortSignal,
): Promise<boolean> {
	const {engine} = running;
	const target = await checkedTarget(settings, urls.length);
	for (const banner of engine.snapshot.banners) {
		output.error(banner);
	}

	let failed = false;
	const report = (error: unknown) => {
		failed = true;
		output.error(error instanceof DownStreamError ? error.message : String(error));
	};

	const downloads = await addAll(engine, urls, word => requestsFor(word, settings), report);
	for (const {id, status, onDemand} of downloads) {
		if (onDemand) {
			// No player will ask for the rest.
			await engine.update(id, {onDemand: false});
		}

		if (status === 'failed' || status === 'paused' || status === 'checking') {
			await engine.resume(id);
		}
	}

	for await (const {id, status, error, name} of finished(
		running,
		new Set(downloads.map(({id}) => id)),
		output,
		signal,
	)) {
		try {
			if (status !== 'complete') {
				throw new DownStreamError(error?.code ?? 'not-found', `${name}: ${error?.message ?? status}`);
			}

			const {path} = await engine.export(id, {path: target, keepBoth: settings.output === undefined});
			output.result(path);
		} catch (problem) {
			report(problem);
		}
	}

	return !failed && !signal.aborted;
}

/** Found out before anything is fetched: in the end a file that is there is not replaced, and a folder that is missing not made. */
async function checkedTarget({output, exportDir}: Settings, count: number): Promise<string> {
	if (output === undefined) {
		return exportDir + path.sep;
	}

	const target = await resolveTarget(output, '').catch((error: unknown) => {
		throw error instanceof DownStreamError && error.code === 'bad-request'
			? new DownStreamError('bad-request', `-o ${output}: ${error.message}`)
			: error;
	});
	const found = await stat(target).catch(() => undefined);
	if (found?.isDirectory()) {
		return target;
	}

	if (count > 1) {
		throw new DownStreamError('bad-request', `-o ${output}: with several URLs it must be a folder`);
	}

	if (found) {
		throw new DownStreamError(
			'target-exists',
			`${output} is there already; choose another name or remove it`,
		);
	}

	return target;
}

/** Each download once it is complete, or cannot be completed. */
async function* finished(
	{engine}: Running,
	open: Set<DownloadId>,
	output: GetOutput,
	signal: AbortSignal,
): AsyncGenerator<Download> {
	for await (const snapshot of snapshotsOf(engine, signal)) {
		output.progress(snapshot);
		for (const download of snapshot.downloads) {
			const over =
				download.status === 'complete' || download.status === 'failed' || download.status === 'cancelled';
			if (over && open.delete(download.id)) {
				yield download;
			}
		}

		if (open.size === 0) {
			break;
		}
	}
}
