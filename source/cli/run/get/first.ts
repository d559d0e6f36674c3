// `get --first`: makes the start of each download safe, and leaves it paused in the list.
import {
	byId,
	type AddRequest,
	type Download,
	type DownloadEngine,
	type DownloadId,
	type SafeRequest,
} from '../../../downstream.ts';
import {cleanText} from '../../../text/clean-text.ts';
import {safeJson} from '../../../text/escape-controls.ts';
import {formatBytes, shortId} from '../../../text/format.ts';
import {maskUrl} from '../../../text/mask-url.ts';
import {pledgeWords} from '../../../text/safe-words.ts';
import {withHint} from '../../../text/hints.ts';
import {gaveUpSentence, lookMs, QuietTime, Waits, type Outcome} from '../../output/patience.ts';
import type {Settings} from '../../settings.ts';
import {whenDecided, type Decision} from '../../../wait.ts';
import {knownError, pageProblem} from './get-run.ts';
import {findHost, type Host} from './host.ts';
import type {GetOutput} from './report.ts';

/**
 * Prints for each download whose start is safe its stream URL, or the command that plays it while no instance runs.
 * Rejects as `get` does.
 */
export async function getFirst(
	words: readonly string[],
	settings: Settings & {first: SafeRequest},
	output: GetOutput,
	signal: AbortSignal,
): Promise<Outcome> {
	const host = await findHost(settings, output);
	try {
		let outcome: Outcome = 'done';
		for (const word of words) {
			if (signal.aborted) {
				break;
			}

			try {
				for (const request of await host.requestsOf(word, signal)) {
					const one = await getOne(host, request, settings, output, signal);
					outcome = outcome === 'done' ? one : outcome;
				}
			} catch (error) {
				if (!signal.aborted) {
					output.error(withHint(knownError(error)));
					outcome = 'failed';
				}
			}
		}

		return outcome;
	} finally {
		await host.dispose();
	}
}

async function getOne(
	{downstream, isRemote}: Host,
	request: AddRequest,
	settings: Settings & {first: SafeRequest},
	output: GetOutput,
	signal: AbortSignal,
): Promise<Outcome> {
	const {first, json, giveUpAfter} = settings;
	const {download} = await downstream.add({...request, paused: true});
	const {id} = download;
	const view = () => byId(downstream.snapshot.downloads, id) ?? download;
	const patience = new AbortController();
	const isComplete = download.completedAt !== null;
	const decision: Decision = isComplete
		? {failure: 'complete'}
		: await untilSafe(downstream, id, first, {view, giveUpAfter, output, signal, patience});
	const {pledge} = decision;
	const {name, url, streamUrl, present, size, film} = view();
	const shown = cleanText(name);
	const page = pageProblem(view(), settings);
	const isSafe = (isComplete || pledge?.state === 'safe') && page === undefined;
	const words = pledge ? pledgeWords(pledge, view()) : decision.failure;
	if (pledge && isSafe && first.forMs !== undefined && pledge.toMs === null) {
		output.error(
			`${shown}: its times are unknown, so its first ${formatBytes(pledge.end ?? 0)} are safe instead`,
		);
	}

	if (!isSafe && !signal.aborted) {
		output.error(
			page ?? `${shown}: ${patience.signal.aborted ? gaveUpSentence(view(), giveUpAfter) : words}`,
		);
	}

	// Nothing listens at the stream URL once this process ends.
	const lasting = isRemote ? streamUrl : null;
	if (json) {
		const status = isSafe ? 'safe' : signal.aborted ? 'interrupted' : 'failed';
		const safe = isComplete ? {toMs: film?.durationMs, end: size} : pledge;
		const {toMs = null, end = null} = safe ?? {};
		output.result(safeJson({url: maskUrl(url), id, status, streamUrl: lasting, bytes: present, toMs, end}));
	} else if (isSafe) {
		output.result(lasting ?? `${shown}: ${words}; downstream-tui play ${shortId(id)} plays it`);
	}

	return isSafe ? 'done' : patience.signal.aborted ? 'gave-up' : 'failed';
}

/** `patience` aborts after `giveUpAfter` milliseconds without data. Rejects as `DownloadEngine.makeSafe` does. */
async function untilSafe(
	downstream: DownloadEngine,
	id: DownloadId,
	first: SafeRequest,
	{
		view,
		giveUpAfter,
		output,
		signal,
		patience,
	}: {
		view: () => Download;
		giveUpAfter: number;
		output: GetOutput;
		signal: AbortSignal;
		patience: AbortController;
	},
): Promise<Decision> {
	const pledge = await downstream.makeSafe(id, first);
	const quiet = new QuietTime();
	const waits = new Waits();
	const timer = setInterval(() => {
		const download = view();
		const wait = waits.next(asRunning(download), Date.now());
		if (wait) {
			output.error(cleanText(`${download.name}: ${wait.words}`));
		}

		if (quiet.look([download], Date.now()) >= giveUpAfter) {
			patience.abort();
		}
	}, lookMs);
	const unsubscribe = downstream.subscribe(() => {
		const download = view();
		const current = download.pledges.find(({n}) => n === pledge.n);
		output.progress({open: [download], total: 1, finishedBytes: 0, pledge: current});
	});
	try {
		return await whenDecided(downstream, id, pledge, AbortSignal.any([signal, patience.signal]));
	} finally {
		clearInterval(timer);
		unsubscribe();
	}
}

/** A paused download that fetches a pledge waits for the server like a running one. */
function asRunning(download: Download): Download {
	return download.status === 'paused'
		? {...download, status: download.retryAt === null ? 'asking' : 'waiting'}
		: download;
}
