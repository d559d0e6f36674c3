// `safe`: makes a stretch of a download or the start of all downloads safe, or lifts pledges.
import {DownStreamError, type Download, type DownloadEngine, type Pledge} from '../../downstream.ts';
import {cleanText} from '../../text/clean-text.ts';
import {safeRequestOf, startOf} from '../../text/safe-request.ts';
import {pledgeWords} from '../../text/safe-words.ts';
import {withHint} from '../../text/hints.ts';
import type {CommandContext} from './command-context.ts';
import {findDownload} from './find-download.ts';
import {settleEach, whenDecided} from '../../wait.ts';

/** Resolves with false if a stretch cannot be made safe. */
export async function makeSafe(
	downstream: DownloadEngine,
	words: readonly string[],
	{settings, output}: CommandContext,
): Promise<boolean> {
	const {all = false, from, by, wait = false} = settings;
	const [amount = '', ...ids] = words.toReversed();
	if (all ? ids.length > 0 : ids.length !== 1) {
		throw new DownStreamError('bad-request', 'usage: safe ID AMOUNT, or safe --all AMOUNT');
	}

	const {downloads} = downstream.snapshot;
	const isOff = amount === 'off';
	const targets = all
		? downloads.filter(each => (isOff ? each.pledges.length > 0 : canBeSafe(each)))
		: [findDownload(downloads, ids[0]!)];
	if (isOff) {
		for await (const lifted of settleEach(targets, each => liftAll(downstream, each))) {
			if (lifted.status === 'rejected') {
				throw lifted.reason;
			}

			output.result(`${cleanText(lifted.item.name)}: no longer kept safe`);
		}

		return true;
	}

	const labels = {from: '--from', by: '--by'};
	const given = safeRequestOf({amount, from, by}, Date.now(), labels);
	const request = all && given.forMs !== undefined ? {...given, ...startOf(given.forMs)} : given;
	const made: Array<{target: Download; pledge: Pledge}> = [];
	let isGood = true;
	for await (const one of settleEach(targets, ({id}) => downstream.makeSafe(id, request))) {
		const {item: target} = one;
		if (one.status === 'fulfilled') {
			made.push({target, pledge: one.value});
			if (!wait) {
				output.result(`${cleanText(target.name)}: ${pledgeWords(one.value, target)}`);
			}
		} else {
			const error: unknown = one.reason;
			if (!(error instanceof DownStreamError)) {
				throw error;
			}

			if (error.code === 'bad-request' && !all) {
				throw new DownStreamError(error.code, `${cleanText(target.name)}: ${error.message}`, {cause: error});
			}

			isGood = false;
			output.error(`${cleanText(target.name)}: ${withHint(error)}`);
		}
	}

	for (const {target, pledge} of wait ? made : []) {
		const end = await whenDecided(downstream, target.id, pledge);
		const words = end.pledge ? pledgeWords(end.pledge, target) : end.failure;
		const isSafe = end.pledge?.state === 'safe';
		isGood &&= isSafe;
		const line = `${cleanText(target.name)}: ${words}`;
		if (isSafe) {
			output.result(line);
		} else {
			output.error(line);
		}
	}

	return isGood;
}

async function liftAll(downstream: DownloadEngine, {id, pledges}: Download): Promise<void> {
	for (const {n} of pledges) {
		await downstream.lift(id, n);
	}
}

/** False for a download that fetches nothing (cancelled) or has everything (complete). */
function canBeSafe({status}: Download): boolean {
	return status !== 'cancelled' && status !== 'complete';
}
