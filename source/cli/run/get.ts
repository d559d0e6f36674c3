// `get`: downloads the URLs of the command line and nothing else, exports the files, exits.
import {randomUUID} from 'node:crypto';
import {DownStreamError} from '../../downstream.ts';
import {gaveUpLines, lookMs, QuietTime, type Outcome} from '../output/patience.ts';
import type {Settings} from '../settings.ts';
import {addAll} from './get/adding.ts';
import {exportAll} from './get/exporting.ts';
import {getFirst} from './get/first.ts';
import {GetRun} from './get/get-run.ts';
import {findHost, HostLost, type Host} from './get/host.ts';
import {keptWords, type GetOutput} from './get/report.ts';
import {streamAll} from './get/streaming.ts';
import {checkedTarget} from './get/target.ts';

/**
 * Runs in an engine of its own that fetches only these URLs, or through the running instance. Resolves when every file
 * is exported or has failed, when no byte has arrived for too long, or when the signal aborts. Rejects with
 * `storage-locked` if the running instance cannot be reached, and as `start` does.
 */
export async function get(
	words: readonly string[],
	settings: Settings,
	output: GetOutput,
	signal: AbortSignal,
): Promise<Outcome> {
	const {first} = settings;
	if (first) {
		if (settings.output !== undefined) {
			throw new DownStreamError(
				'bad-request',
				'--first and -o exclude each other: --first leaves the download in the list',
			);
		}

		return getFirst(words, {...settings, first}, output, signal);
	}

	const target = await checkedTarget(settings, words.length);
	const run = new GetRun(words, target, {settings, output, signal});
	// With --keep, downloads stay in the list in any case.
	const lease = settings.keep ? undefined : randomUUID();
	for (;;) {
		const host = await findHost(settings, output, lease);
		try {
			const outcome = await getThrough(host, run);
			await host.release();
			return outcome;
		} catch (error) {
			if (!(error instanceof HostLost)) {
				throw error;
			}
		} finally {
			await host.dispose();
		}
	}
}

/** Rejects with `HostLost`: another host can continue. */
async function getThrough(host: Host, run: GetRun): Promise<Outcome> {
	const {settings, output, signal} = run;
	await addAll(run, host);
	const patience = new AbortController();
	const quiet = new QuietTime();
	const timer = setInterval(() => {
		if (run.isStuck(host, quiet)) {
			patience.abort();
		}
	}, lookMs);
	const unsubscribe = host.downstream.subscribe(() => run.showProgress(host));
	const ended = AbortSignal.any([signal, patience.signal]);
	try {
		await (settings.output === '-' ? streamAll(run, host, ended) : exportAll(run, host, ended));
	} finally {
		clearInterval(timer);
		unsubscribe();
	}

	if (signal.aborted) {
		await interrupt(run, host);
		return 'failed';
	}

	if (run.open.size === 0) {
		return run.hasFailed ? 'failed' : 'done';
	}

	const views = run.views(host);
	for (const line of gaveUpLines(views, settings.giveUpAfter)) {
		output.error(line);
	}

	for (const view of views) {
		const error = view.error ?? {code: 'origin-unreachable' as const, message: 'no data received'};
		await run.close(host, run.open.get(view.id)!, view, {status: 'failed', error});
	}

	return run.hasFailed ? 'failed' : 'gave-up';
}

async function interrupt(run: GetRun, host: Host): Promise<void> {
	const views = run.views(host);
	for (const view of views) {
		const item = run.open.get(view.id)!;
		await run.close(host, item, view, {status: 'interrupted'}).catch(() => undefined);
	}

	const kept = keptWords(views);
	if (kept !== undefined) {
		run.output.error(kept);
	}
}
