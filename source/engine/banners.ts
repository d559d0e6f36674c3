// Problems that several downloads share, one sentence each. The sentences state facts; clients add remedies.
import {networkInterfaces} from 'node:os';
import type {Download, ErrorCode} from '../downstream.ts';
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
		problems.push(`${behindProxy.error?.message ?? ''}; trying again.`);
	}

	if (isOffline) {
		const safe = safeList(downloads);
		problems.push(`No network. ${safe === '' ? '' : `Safe: ${safe}. `}${resuming(outside.length)}`);
	}

	const others = withoutOrigin.filter(download => !(isOffline && outside.includes(download)));
	for (const host of new Set(others.map(({url}) => new URL(url).host))) {
		const waiting = others.filter(({url}) => new URL(url).host === host);
		const isBusy = waiting.every(({error}) => error?.code === 'origin-busy');
		problems.push(`${host} ${isBusy ? 'is busy' : 'cannot be reached'}. ${resuming(waiting.length)}`);
	}

	return problems;
}

function waitingCount(count: number): string {
	return count === 1 ? '1 download waits' : `${count} downloads wait`;
}

function resuming(count: number): string {
	return `${waitingCount(count)} and will continue.`;
}

/** The origin fails, and did not merely drop one connection of a working download. */
function isWithoutOrigin({url, status, error, lastByteAt}: Download): boolean {
	return (
		status === 'waiting' &&
		new URL(url).host !== '' &&
		(error?.code === 'origin-unreachable' || error?.code === 'origin-busy') &&
		(lastByteAt === null || (error.tries ?? 0) > 1)
	);
}

function hasNetwork(): boolean {
	return Object.values(networkInterfaces()).some(addresses => addresses?.some(({internal}) => !internal));
}
