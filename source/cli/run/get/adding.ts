// Adds the downloads of a run, or finds them in the list.
import {byId, DownStreamError, type AddRequest} from '../../../downstream.ts';
import {named} from '../../../requests/add-requests.ts';
import {shownUrl} from '../../../requests/url-lists.ts';
import {withHint} from '../../../text/hints.ts';
import {Waits} from '../../output/patience.ts';
import {knownError, type GetRun} from './get-run.ts';
import {refuseLost, type Host} from './host.ts';
import type {Item} from './item.ts';
import {leave} from './leave.ts';
import {isTaken, targetExists} from './target.ts';

/** Milliseconds by which a snapshot may be late. */
const snapshotMs = 1000;

export async function addAll(run: GetRun, host: Host): Promise<void> {
	for (const word of run.words) {
		if (run.signal.aborted) {
			return;
		}

		try {
			for (const request of await host.requestsOf(word, run.signal)) {
				await add(run, host, word, request);
			}
		} catch (error) {
			if (run.signal.aborted) {
				return;
			}

			await refuseLost(host, error);
			const known = knownError(error);
			run.fail(withHint(named(known, word, {isSeveral: run.isSeveral, places: run.settings.places})));
			run.words.delete(word);
			run.report({
				url: /\s/.test(word) ? null : shownUrl(word),
				status: 'failed',
				path: null,
				bytes: 0,
				error: {code: known.code, message: known.message},
			});
		}
	}
}

async function add(run: GetRun, host: Host, word: string, request: AddRequest): Promise<void> {
	const {downstream} = host;
	const mustBeThere = await isTaken(run.target, run.settings);
	const {downloads} = downstream.snapshot;
	const wasAttempted = run.attempted.has(word);
	run.attempted.add(word);
	const {download, existed} = await downstream.add({...request, ...(mustBeThere && {paused: true})});
	const {id} = download;
	if (run.closed.has(id)) {
		return;
	}

	const listed = byId(downloads, id);
	// The instance may have ended after adding it, before the response.
	const isOurs = wasAttempted && listed && listed.addedAt >= run.startedAt;
	// Another run has added it since the last snapshot, and will remove it. A download kept by an earlier run is older.
	const isNew = download.addedAt >= run.startedAt - snapshotMs && download.exportedTo === null;
	const isOthers = existed && !listed && !wasAttempted && isNew;
	const before = isOurs ? undefined : isOthers ? download : listed;
	const item: Item = run.open.get(id) ?? {
		id,
		word,
		request,
		before,
		wasExported: download.exportedTo !== null && download.completedAt !== null,
		waits: new Waits(),
		hasPlace: false,
		answers: 0,
		streamed: {offset: 0},
	};
	if (mustBeThere && download.completedAt === null) {
		await leave(run.settings, host, item, download);
		throw targetExists(run.target);
	}

	run.open.set(id, item);
	if (existed && !mustBeThere) {
		await downstream.resume(id);
	}

	if (download.onDemand) {
		// No player will request the rest.
		await downstream.update(id, {onDemand: false});
	}
}

/** Another `get` of the same URL may have exported the file and removed the download. */
export async function findAgain(run: GetRun, host: Host, item: Item): Promise<void> {
	run.open.delete(item.id);
	try {
		const {download} = await host.downstream.add({...item.request, paused: true});
		const again: Item = {...item, id: download.id, before: undefined, wasExported: true};
		if (download.completedAt === null) {
			await leave(run.settings, host, again, download);
			throw new DownStreamError('not-found', `${download.name}: it was removed from the list`);
		}

		run.open.set(download.id, again);
	} catch (error) {
		await refuseLost(host, error);
		await run.closeFailed(host, item, undefined, knownError(error));
	}
}
