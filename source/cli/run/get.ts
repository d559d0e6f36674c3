// `get`: downloads to the end, exports, done.
import {stat} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {addAll, requestsFor} from '../../requests/add-requests.ts';
import {substituteOf} from '../../text/status-words.ts';
import {DownStreamError, isSettled, type Download, type DownloadId, type Snapshot} from '../../downstream.ts';
import {resolveTarget} from '../../engine/store/export.ts';
import {gaveUpLines, lookMs, QuietTime, Waits, type Outcome} from '../output/patience.ts';
import type {EngineHost} from '../../host/engine-host.ts';
import type {Settings} from '../settings.ts';
import {snapshotsOf} from '../../wait.ts';
import {cleanText} from '../../text/clean-text.ts';
import {withHint} from '../../text/hints.ts';

/** Changes of one file that `--on-change` answers in one run. */
const maxAnswers = 5;
/** Milliseconds between two attempts to compare. */
const retryMs = 2000;

export type GetOutput = {
	/** The path of each finished file. */
	result(path: string): void;
	error(message: string): void;
	progress(snapshot: Snapshot): void;
};

/** Resolves when every URL is on the disk or failed, when no byte has come for too long, or when the signal aborts. */
export async function get(
	running: EngineHost,
	urls: readonly string[],
	settings: Settings,
	output: GetOutput,
	signal: AbortSignal,
): Promise<Outcome> {
	const {engine} = running;
	const target = await checkedTarget(settings, urls.length);
	for (const banner of engine.snapshot.banners) {
		output.error(banner);
	}

	let failed = false;
	const report = (error: unknown) => {
		failed = true;
		output.error(error instanceof DownStreamError ? withHint(error) : String(error));
	};

	const downloads = await addAll(engine, urls, word => requestsFor(word, settings), report);
	for (const {id} of downloads.filter(({onDemand}) => onDemand)) {
		// No player will ask for the rest.
		await engine.update(id, {onDemand: false});
	}

	const open = new Set(downloads.map(({id}) => id));
	const made = new Set<string>();
	const patience = new AbortController();
	const quiet = new QuietTime();
	const waits = new Map(downloads.map(({id}) => [id, new Waits()]));
	const timer = setInterval(() => {
		const waiting = engine.snapshot.downloads.filter(({id}) => open.has(id));
		for (const download of waiting) {
			const wait = waits.get(download.id)?.next(download, Date.now());
			if (wait) {
				output.error(cleanText(`${download.name}: ${wait.words}`));
			}
		}

		// What is exported waits for nobody.
		if (waiting.length > 0 && quiet.look(waiting, Date.now()) >= settings.giveUpAfter) {
			patience.abort();
		}
	}, lookMs);
	const ended = AbortSignal.any([signal, patience.signal]);
	const goesOn = changeAnswers(running, settings, ended);
	for await (const download of finished(running, open, {output, goesOn, signal: ended})) {
		const {id, status, error, name, isPageForFile} = download;
		try {
			if (status !== 'complete') {
				throw new DownStreamError(
					error?.code ?? 'not-found',
					`${name}: ${error?.message ?? status}`,
					error ?? {},
				);
			}

			const substitute = substituteOf(download)?.words;
			// Only a file that was there before this run stands in the way of `-o`.
			const keepBoth = settings.output === undefined || made.has(await resolveTarget(target, name));
			const {path} = await engine.export(id, {path: target, keepBoth});
			made.add(path);
			output.result(path);
			if (substitute !== undefined) {
				const isFailure = isPageForFile && !settings.allowHtml;
				failed ||= isFailure;
				output.error(`${name} is ${substitute}${isFailure ? '; --allow-html accepts it' : ''}`);
			}
		} catch (problem) {
			report(problem);
		}
	}

	clearInterval(timer);
	if (signal.aborted || !patience.signal.aborted || open.size === 0) {
		return failed || signal.aborted ? 'failed' : 'done';
	}

	const left = engine.snapshot.downloads.filter(({id}) => open.has(id));
	for (const line of gaveUpLines(left, settings.giveUpAfter)) {
		output.error(line);
	}

	return failed ? 'failed' : 'gave-up';
}

/** Resolves with whether the download goes on although its file changed. */
type ChangeAnswer = (download: Download) => Promise<boolean>;

/** As `--on-change` says; a file that never keeps still is given up. */
function changeAnswers({engine}: EngineHost, {onChange}: Settings, signal: AbortSignal): ChangeAnswer {
	const answers = new Map<DownloadId, number>();
	return async ({id, error}) => {
		const given = answers.get(id) ?? 0;
		if (error?.code !== 'origin-changed' || onChange === 'stop' || given === maxAnswers) {
			return false;
		}

		answers.set(id, given + 1);
		while (!signal.aborted) {
			try {
				await (onChange === 'continue' ? engine.acceptChange(id) : engine.startOver(id));
				return true;
			} catch (problem) {
				if (!(problem instanceof DownStreamError) || problem.kind !== 'transient') {
					// The error of the download tells why.
					return false;
				}

				// An outage is no answer.
				await sleep(retryMs, undefined, {signal}).catch(() => undefined);
			}
		}

		return false;
	};
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
		throw new DownStreamError('target-exists', `${output} already exists; choose another name or remove it`);
	}

	return target;
}

/** Each download once it is complete, or cannot be completed. */
async function* finished(
	{engine}: EngineHost,
	open: Set<DownloadId>,
	{output, goesOn, signal}: {output: GetOutput; goesOn: ChangeAnswer; signal: AbortSignal},
): AsyncGenerator<Download> {
	for await (const snapshot of snapshotsOf(engine, signal)) {
		output.progress(snapshot);
		for (const download of snapshot.downloads) {
			if (
				isSettled(download) &&
				open.has(download.id) &&
				!(await goesOn(download)) &&
				open.delete(download.id)
			) {
				yield download;
			}
		}

		if (open.size === 0) {
			break;
		}
	}
}
