// `safe`: makes a stretch of a download or the start of all downloads safe, or lifts pledges.
import {DownStreamError, type Download, type DownloadEngine, type Pledge} from '../../downstream.ts';
import {cleanText} from '../../text/clean-text.ts';
import {safeRequestOf, startOf} from '../../text/safe-request.ts';
import {pledgeWords} from '../../text/safe-words.ts';
import {withHint} from '../../text/hints.ts';
import type {CommandContext} from './command-context.ts';
import {findDownload} from './find-download.ts';
import {whenDecided} from '../../wait.ts';

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
	const targets = all
		? downloads.filter(download => canBeSafe(download))
		: [findDownload(downloads, ids[0]!)];
	if (amount === 'off') {
		for (const {id, name, pledges} of targets) {
			for (const {n} of pledges) {
				await downstream.lift(id, n);
			}

			output.result(`${cleanText(name)}: no pledges left`);
		}

		return true;
	}

	const labels = {from: '--from', by: '--by'};
	const given = safeRequestOf({amount, from, by}, Date.now(), labels);
	const request = all && given.forMs !== undefined ? {...given, ...startOf(given.forMs)} : given;
	const made: Array<{target: Download; pledge: Pledge}> = [];
	let isGood = true;
	for (const target of targets) {
		try {
			const pledge = await downstream.makeSafe(target.id, request);
			made.push({target, pledge});
			if (!wait) {
				output.result(`${cleanText(target.name)}: ${pledgeWords(pledge, target)}`);
			}
		} catch (error) {
			if (!(error instanceof DownStreamError) || (error.code === 'bad-request' && !all)) {
				throw error;
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

/** False for a download that fetches nothing (cancelled) or has everything (complete). */
export function canBeSafe({status}: Download): boolean {
	return status !== 'cancelled' && status !== 'complete';
}
