// Origins that do not answer, or are busy, and the downloads that wait for them. Pure.
import {isFetching, type Download} from '../downstream.ts';
import {counted} from './format.ts';
import {retryWords, stalledMs} from './status-words.ts';

type Outage = {
	readonly host: string;
	/** Every download waits because the origin is busy. */
	readonly isBusy: boolean;
	/** Number of downloads. */
	readonly waiting: number;
	/** Milliseconds since the epoch; null if unknown. */
	readonly since: number | null;
	/** The next attempt, in milliseconds since the epoch. */
	readonly retryAt: number | null;
};

/** One per host. */
export function outagesOf(downloads: readonly Download[]): Outage[] {
	const hosts = new Map<string, Download[]>();
	for (const download of downloads.filter(each => isWithoutOrigin(each))) {
		const {host} = new URL(download.url);
		hosts.set(host, [...(hosts.get(host) ?? []), download]);
	}

	return Array.from(hosts, ([host, waiting]) => ({
		host,
		isBusy: waiting.every(({error}) => error?.code === 'origin-busy'),
		waiting: waiting.length,
		since: least(waiting.map(({error}) => error?.since)),
		retryAt: least(waiting.map(({retryAt}) => retryAt ?? undefined)),
	}));
}

/** The origin fails, instead of merely dropping one connection of a working download. */
export function isWithoutOrigin({url, status, error, lastByteAt}: Download): boolean {
	return (
		status === 'waiting' &&
		(error?.code === 'origin-unreachable' || error?.code === 'origin-busy') &&
		(lastByteAt === null || (error.tries ?? 0) > 1) &&
		new URL(url).host !== ''
	);
}

function hostsOf(downloads: readonly Download[]): Set<string> {
	return new Set(downloads.map(({url}) => new URL(url).host));
}

/**
 * The banner of an outage offers one key for all downloads of its server: with one of them, the others are resumed. Where
 * nothing else can be resumed, all downloads that wait for a server are.
 */
export function withOutages(
	resumable: readonly Download[],
	downloads: readonly Download[],
): readonly Download[] {
	const hosts = hostsOf(resumable.filter(each => isWithoutOrigin(each)));
	const waiting = downloads.filter(
		each => isWithoutOrigin(each) && (resumable.length === 0 || hosts.has(new URL(each.url).host)),
	);
	return [...new Set([...resumable, ...waiting])];
}

/**
 * The downloads without the `hostCeiling` of a server that has stopped sending: they wait for the server, not for one of its
 * connections. `now`: milliseconds since the epoch.
 */
export function withoutSilentCeilings(downloads: readonly Download[], now: number): readonly Download[] {
	if (downloads.every(({hostCeiling}) => hostCeiling === null)) {
		return downloads;
	}

	const fetching = downloads.filter(download => isFetching(download));
	const isHeard = ({lastByteAt}: Download) => lastByteAt !== null && now - lastByteAt < stalledMs;
	const heard = hostsOf(fetching.filter(isHeard));
	const failing = hostsOf(
		fetching.filter(each => isWithoutOrigin(each) || (each.lastByteAt !== null && !isHeard(each))),
	);
	return downloads.map(download => {
		const isSilent = (host: string) => failing.has(host) && !heard.has(host);
		return download.hostCeiling !== null && isSilent(new URL(download.url).host)
			? {...download, hostCeiling: null}
			: download;
	});
}

/** `cdn.example.org cannot be reached. 4 downloads wait and will continue.` */
export function outageSentence({host, isBusy, waiting}: Outage): string {
	return `${host} ${isBusy ? 'is busy' : 'cannot be reached'}. ${resuming(waiting)}`;
}

/**
 * `cdn.example.org has not responded for 3m. 4 downloads wait; retrying in 30 s, r retries now.`; the longest first.
 * `now`: milliseconds since the epoch.
 */
export function timedOutage({host, isBusy, waiting, since, retryAt}: Outage, now: number): readonly string[] {
	const minutes = since === null ? 0 : Math.floor((now - since) / 60_000);
	const length = minutes === 0 ? '' : ` for ${minutes < 60 ? `${minutes}m` : `${Math.floor(minutes / 60)}h`}`;
	const busy = length === '' ? 'is busy' : `has been busy${length}`;
	const state = isBusy ? busy : `has not responded${length}`;
	const next = `retrying ${retryWords({retryAt}, now)}, r retries now.`;
	return [
		`${host} ${state}. ${waitingCount(waiting)}; ${next}`,
		`${host} ${state}; ${next}`,
		`${host} ${state}; ${next.replace(', r retries now', '')}`,
	];
}

export function waitingCount(count: number): string {
	return `${counted(count, 'download')} ${count === 1 ? 'waits' : 'wait'}`;
}

export function resuming(count: number): string {
	return `${waitingCount(count)} and will continue.`;
}

function least(values: ReadonlyArray<number | undefined>): number | null {
	const known = values.filter(value => value !== undefined);
	return known.length === 0 ? null : Math.min(...known);
}
