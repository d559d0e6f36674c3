// Problems that several downloads share, one sentence each. The sentences state facts; clients add remedies.
import {networkInterfaces} from 'node:os';
import type {Download, ErrorCode} from '../downstream.ts';
import {isWithoutOrigin, outageSentence, outagesOf, resuming, waitingCount} from '../text/outage-words.ts';
import {safeList} from '../text/safe-words.ts';
import {isLoopback} from './http/hosts.ts';

/** A full disk, an unreachable upstream proxy, no network, and each origin that is unreachable or busy. */
export function sharedProblems(
	downloads: readonly Download[],
	storageDir: string,
	isConnected = hasNetwork,
): string[] {
	const has = (code: ErrorCode) => downloads.filter(({error}) => error?.code === code);
	const full = has('disk-full').length;
	const [behindProxy] = has('upstream-proxy-unreachable');
	const withoutOrigin = downloads.filter(download => isWithoutOrigin(download));
	const outside = withoutOrigin.filter(
		({url, error}) => error?.code === 'origin-unreachable' && !isLoopback(new URL(url).hostname),
	);
	const isOffline = outside.length > 0 && !isConnected();
	const problems: string[] = [];
	if (full > 0) {
		problems.push(`Disk full: ${storageDir}. ${waitingCount(full)} for free space.`);
	}

	if (behindProxy) {
		problems.push(`${behindProxy.error?.message ?? ''}; retrying.`);
	}

	if (isOffline) {
		const safe = safeList(downloads);
		problems.push(`No network. ${safe === '' ? '' : `Safe: ${safe}. `}${resuming(outside.length)}`);
	}

	const others = withoutOrigin.filter(download => !(isOffline && outside.includes(download)));
	return [...problems, ...outagesOf(others).map(outage => outageSentence(outage))];
}

function hasNetwork(): boolean {
	return Object.values(networkInterfaces()).some(addresses => addresses?.some(({internal}) => !internal));
}
