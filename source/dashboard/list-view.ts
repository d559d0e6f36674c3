// The downloads in the list, their order and the visible part; pure.
import {isBegun, type Download, type DownloadId, type DownloadStatus} from '../downstream.ts';
import {maskUrl} from '../text/mask-url.ts';
import {cleanText} from '../text/clean-text.ts';
import {windowTop} from './layout.ts';
import {secondsLeft} from '../text/status-words.ts';

export type Tab = {
	readonly name: string;
	/** Stands for the name where the tabs do not fit; the same as in the rows. */
	readonly symbol: readonly [unicode: string, ascii: string];
	readonly holds: (download: Download) => boolean;
};

const inState =
	(...statuses: readonly DownloadStatus[]) =>
	({status}: Download) =>
		statuses.includes(status);

export const tabs: readonly Tab[] = [
	{name: 'all', symbol: ['all', 'all'], holds: () => true},
	{
		name: 'running',
		symbol: ['↓', 'D'],
		holds: inState('active', 'asking', 'waiting', 'exporting', 'checking'),
	},
	{name: 'queued', symbol: ['·', 'Q'], holds: inState('queued')},
	{name: 'paused', symbol: ['‖', 'P'], holds: inState('paused', 'cancelled')},
	{name: 'done', symbol: ['✓', 'C'], holds: inState('complete')},
	{name: 'failed', symbol: ['✗', 'F'], holds: inState('failed')},
	{name: 'partly watched', symbol: ['►', '>'], holds: isBegun},
];

type SortKey = {
	readonly label: string;
	/** The letter that selects the order. */
	readonly key: string;
	readonly name: string;
	readonly compare: (a: Download, b: Download) => number;
};

let collator: Intl.Collator | undefined;
const stateOrder: readonly DownloadStatus[] = [
	'failed',
	'waiting',
	'active',
	'asking',
	'checking',
	'exporting',
	'queued',
	'paused',
	'cancelled',
	'complete',
];

/** The first collator takes milliseconds, which the start is spared. */
function byName(a: string, b: string): number {
	collator ??= new Intl.Collator(undefined, {numeric: true, sensitivity: 'base'});
	return collator.compare(a, b);
}

/** Each in its more useful direction: largest, fastest, soonest first. */
export const sortKeys: readonly SortKey[] = [
	{name: 'added', label: 'Added', key: 'a', compare: (a, b) => a.addedAt - b.addedAt},
	{name: 'name', label: 'Name', key: 'n', compare: (a, b) => byName(a.name, b.name)},
	{name: 'size', label: 'Size', key: 'z', compare: (a, b) => (b.size ?? 0) - (a.size ?? 0)},
	{name: 'progress', label: 'Progress', key: 'p', compare: (a, b) => share(b) - share(a)},
	{name: 'speed', label: 'Speed', key: 'e', compare: (a, b) => b.bytesPerSecond - a.bytesPerSecond},
	{
		name: 'time left',
		label: 'Time left',
		key: 't',
		compare: (a, b) => finite(secondsLeft(a)) - finite(secondsLeft(b)),
	},
	{
		name: 'state',
		label: 'State',
		key: 's',
		compare: (a, b) => stateOrder.indexOf(a.status) - stateOrder.indexOf(b.status),
	},
	{name: 'queue', label: 'Queue', key: 'q', compare: (a, b) => a.queueRank - b.queueRank},
];

export type ListView = {
	/** Index of `tabs`. */
	readonly tab: number;
	/** Words; the name or URL must contain all of them. */
	readonly filter: string;
	/** Index of `sortKeys`. */
	readonly sort: number;
	readonly isReversed: boolean;
};

export const wholeList: ListView = {tab: 0, filter: '', sort: 0, isReversed: false};

/** A stable sort: equal downloads stay in the order of addition. */
export function shownDownloads(downloads: readonly Download[], view: ListView): readonly Download[] {
	const {tab, filter, sort, isReversed} = view;
	const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
	const shown =
		tab !== 0 || words.length > 0
			? downloads.filter(download => isInTab(download, tab) && words.every(word => mentions(download, word)))
			: downloads;
	if (sort === 0 && !isReversed) {
		return shown;
	}

	const {compare} = sortKeys[sort]!;
	const sign = isReversed ? -1 : 1;
	return shown.toSorted((a, b) => sign * compare(a, b));
}

/** The place of each queued download, from 1. */
export type Queue = ReadonlyMap<DownloadId, number>;

/** Without those that wait for a player. */
export function queueOf(downloads: readonly Download[]): Queue {
	const queued = downloads
		.filter(
			({status, onDemand, size, hostCeiling}) =>
				status === 'queued' && (hostCeiling !== null || !onDemand || size === null),
		)
		.toSorted((a, b) => a.queueRank - b.queueRank);
	return new Map(queued.map(({id}, index) => [id, index + 1]));
}

export type ListWindow = {
	readonly downloads: readonly Download[];
	/** The selected row; 0 in an empty list. */
	readonly index: number;
	/** The first visible row. */
	readonly top: number;
};

/** The listed downloads and the part of them on the screen. `index` and `line` are the cursor's last place. */
export function listWindow(
	downloads: readonly Download[],
	{
		view,
		selected,
		index,
		line,
	}: {
		readonly view: ListView;
		readonly selected: DownloadId | undefined;
		readonly index: number;
		readonly line: number;
	},
	rows: number,
): ListWindow {
	const shown = shownDownloads(downloads, view);
	const found = shown.findIndex(({id}) => id === selected);
	const at = found === -1 ? Math.max(0, Math.min(index, shown.length - 1)) : found;
	return {downloads: shown, index: at, top: windowTop(at, line, rows, shown.length)};
}

/** The tabs with downloads, the first one and the current one. */
export function shownTabs(downloads: readonly Download[], current: number): readonly number[] {
	return tabs.flatMap((_, tab) =>
		tab === 0 || tab === current || downloads.some(download => isInTab(download, tab)) ? [tab] : [],
	);
}

/** Without an engine nothing is merely paused. */
export function tabName(tab: number, isOrphan: boolean): string {
	const {name} = tabs[tab]!;
	return isOrphan && name === 'paused' ? 'stopped' : name;
}

export function isInTab(download: Download, tab: number): boolean {
	return tabs[tab]!.holds(download);
}

/** A download is a new object when a fact changes. */
const searchedTexts = new WeakMap<Download, string>();

function mentions(download: Download, word: string): boolean {
	let text = searchedTexts.get(download);
	if (text === undefined) {
		text = `${cleanText(download.name)} ${maskUrl(download.url)}`.toLowerCase();
		searchedTexts.set(download, text);
	}

	return text.includes(word);
}

function share({present, size}: Download): number {
	return size === null ? 0 : size === 0 ? 1 : present / size;
}

/** `Infinity - Infinity` is NaN, no order. */
function finite(seconds: number): number {
	return Math.min(seconds, Number.MAX_SAFE_INTEGER);
}
