// `get --first`: makes the start of each download safe, and leaves it paused in the list.
import type {AddRequest, SafeRequest} from '../../../downstream.ts';
import {cleanText} from '../../../text/clean-text.ts';
import {safeJson} from '../../../text/escape-controls.ts';
import {maskUrl} from '../../../text/mask-url.ts';
import {pledgeWords} from '../../../text/safe-words.ts';
import {withHint} from '../../../text/hints.ts';
import {gaveUpSentence, lookMs, QuietTime, type Outcome} from '../../output/patience.ts';
import type {Settings} from '../../settings.ts';
import {whenDecided} from '../../../wait.ts';
import {knownError} from './get-run.ts';
import {findHost, type Host} from './host.ts';
import type {GetOutput} from './report.ts';

/** Prints the stream URL of each download whose start is safe. Rejects as `get` does. */
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
			try {
				for (const request of await host.requestsOf(word)) {
					const one = await getOne(host, request, settings, output, signal);
					outcome = outcome === 'done' ? one : outcome;
				}
			} catch (error) {
				output.error(withHint(knownError(error)));
				outcome = 'failed';
			}
		}

		return outcome;
	} finally {
		await host.dispose();
	}
}

async function getOne(
	{downstream}: Host,
	request: AddRequest,
	{first, json, giveUpAfter}: Settings & {first: SafeRequest},
	output: GetOutput,
	signal: AbortSignal,
): Promise<Outcome> {
	const {download} = await downstream.add({...request, paused: true});
	const {id} = download;
	const pledge = await downstream.makeSafe(id, first);
	const view = () => downstream.snapshot.downloads.find(each => each.id === id) ?? download;
	const patience = new AbortController();
	const quiet = new QuietTime();
	const timer = setInterval(() => {
		if (quiet.look([view()], Date.now()) >= giveUpAfter) {
			patience.abort();
		}
	}, lookMs);
	const end = await whenDecided(downstream, id, pledge, AbortSignal.any([signal, patience.signal])).finally(
		() => clearInterval(timer),
	);
	const {name, url, streamUrl, present} = view();
	const isSafe = end.pledge?.state === 'safe';
	if (isSafe && !json) {
		output.result(streamUrl);
	}

	if (!isSafe && !signal.aborted) {
		const words = patience.signal.aborted
			? gaveUpSentence(view(), giveUpAfter)
			: end.pledge
				? pledgeWords(end.pledge, view())
				: end.failure;
		output.error(`${cleanText(name)}: ${words}`);
	}

	if (json) {
		const status = isSafe ? 'safe' : signal.aborted ? 'interrupted' : 'failed';
		output.result(safeJson({url: maskUrl(url), id, status, streamUrl, bytes: present}));
	}

	return isSafe ? 'done' : patience.signal.aborted ? 'gave-up' : 'failed';
}
