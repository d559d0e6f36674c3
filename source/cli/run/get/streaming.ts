// Writes the files of a run to standard output, through their stream URLs.
import {once} from 'node:events';
import {get as httpGet, type IncomingMessage} from 'node:http';
import {setTimeout as sleep} from 'node:timers/promises';
import {byId, DownStreamError, isSettled, type Download} from '../../../downstream.ts';
import {until} from '../../../wait.ts';
import {lookMs} from '../../output/patience.ts';
import {answerChange} from './changes.ts';
import {knownError, refuseIncomplete, refusePage, type GetRun} from './get-run.ts';
import {HostLost, refuseIfLost, refuseLost, type Host} from './host.ts';
import type {Item} from './item.ts';
import type {GetOutput} from './report.ts';

/** In the order of the command line, each byte as soon as it is present. */
export async function streamAll(run: GetRun, host: Host, signal: AbortSignal): Promise<void> {
	for (const item of [...run.open.values()]) {
		const find = () => byId(host.downstream.snapshot.downloads, item.id);
		try {
			await stream(run, host, item, find, signal);
			// The checksum is compared at the end.
			const done = await until(host.downstream, () => (host.isLost() ? 'lost' : settled(find)), signal);
			if (done === 'lost') {
				throw new HostLost();
			}

			const view = foundOr(done === 'removed' ? undefined : done);
			refuseIncomplete(view);
			refusePage(view, run.settings);
			await run.close(host, item, view, {status: 'done'});
		} catch (error) {
			if (signal.aborted) {
				return;
			}

			await refuseLost(host, error);
			await run.closeFailed(host, item, find(), knownError(error));
		}
	}
}

async function stream(
	run: GetRun,
	host: Host,
	item: Item,
	find: () => Download | undefined,
	signal: AbortSignal,
): Promise<void> {
	for (;;) {
		refuseIfLost(host);
		const view = foundOr(find());
		const {offset, etag} = item.streamed;

		if (
			isSettled(view) &&
			view.status !== 'complete' &&
			!(await answerChange(run.settings, host, item, view, signal))
		) {
			refuseIncomplete(view);
		}

		const response = await openStream(view.streamUrl, {offset, etag, signal}).catch(() => undefined);
		const {statusCode = 0, headers} = response ?? {headers: {}};
		if (offset > 0 && statusCode === 200) {
			response!.destroy();
			throw new DownStreamError('origin-changed', `${view.name} changed during the stream`);
		}

		if (response && (statusCode === 200 || statusCode === 206)) {
			item.streamed.etag ??= headers.etag;
			if (offset === 0 && mayBePage.test(headers['content-type'] ?? '')) {
				await refuseProvenPage(run, host, find, signal).catch((error: unknown) => {
					response.destroy();
					throw error;
				});
			}

			if (await copy(run.output, response, item.streamed)) {
				return;
			}
		} else if (statusCode === 416 && offset === find()?.size) {
			response!.resume();
			return;
		} else {
			response?.resume();
		}

		signal.throwIfAborted();
		await sleep(lookMs, undefined, {signal});
	}
}

/** Types of pages and of messages in JSON, among others. */
const mayBePage = /html|json/i;

/** Throws `origin-sent-page` for a page. Its type may be wrong: the first bytes prove it. */
async function refuseProvenPage(
	{settings}: GetRun,
	host: Host,
	find: () => Download | undefined,
	signal: AbortSignal,
): Promise<void> {
	await until(
		host.downstream,
		() => {
			const view = find();
			const isDecided = !view || isSettled(view) || (view.present > 0 && !view.isPageForFile);
			return isDecided || host.isLost() || undefined;
		},
		signal,
	);
	refuseIfLost(host);
	refusePage(foundOr(find()), settings);
}

/** Resolves with false if the response was cut. */
async function copy(
	output: GetOutput,
	response: IncomingMessage,
	streamed: Item['streamed'],
): Promise<boolean> {
	try {
		for await (const chunk of response as AsyncIterable<Buffer>) {
			await output.write(chunk);
			streamed.offset += chunk.length;
		}
	} catch {
		return false;
	}

	return response.complete;
}

function foundOr(view: Download | undefined): Download {
	if (!view) {
		throw new DownStreamError('not-found', 'The download was removed from the list');
	}

	return view;
}

/** Undefined while it continues. */
function settled(find: () => Download | undefined): Download | 'removed' | undefined {
	const view = find();
	return !view ? 'removed' : isSettled(view) ? view : undefined;
}

async function openStream(
	url: string,
	{offset, etag, signal}: {offset: number; etag: string | undefined; signal: AbortSignal},
): Promise<IncomingMessage> {
	const range = {range: `bytes=${offset}-`, ...(etag !== undefined && {'if-range': etag})};
	const headers = {'user-agent': 'downstream-tui get', ...(offset > 0 && range)};
	const request = httpGet(url, {agent: false, signal, headers});
	const [response] = (await once(request, 'response')) as [IncomingMessage];
	return response;
}
