// The lines above the list: speed, space and address, tabs with counts, banners.
import {Box} from 'ink';
import type {Snapshot} from '../downstream.ts';
import {cellsOf, cleanText, firstFitting} from '../text/clean-text.ts';
import {inRuns} from './bar-spans.ts';
import {wrapped} from './dialog-view.tsx';
import {formatBytes, formatSpeed} from '../text/format.ts';
import {outageSentence, outagesOf, timedOutage} from '../text/outage-words.ts';
import {barCells} from '../text/range-bar.ts';
import {withFlag} from '../text/safe-words.ts';
import {isInTab, shownTabs, sortKeys, tabName, tabs, type ListView} from './list-view.ts';
import type {Frame} from './snapshot-feed.ts';
import {fitLine, lineCells, Lines, span, spread, type Line} from './spans.tsx';
import {sparkline} from './sparkline.ts';

export const mostBanners = 2;

type Width = {readonly width: number; readonly ascii: boolean};

/** The longest variant that fits. */
export function headerLine({snapshot, speeds, isAttached, isOrphan}: Frame, {width, ascii}: Width): Line {
	const {bytesPerSecond, freeBytes, origin, downloads, limitRate} = snapshot;
	const isIdle =
		bytesPerSecond === 0 && !downloads.some(({status}) => status === 'active' || status === 'asking');
	const limit = limitRate === null ? '' : `, limit ${formatSpeed(limitRate)}`;
	const speed = isIdle ? 'idle' : `${ascii ? '' : '↓ '}${formatSpeed(bytesPerSecond)}${limit}`;
	const needed = downloads
		.filter(({status}) => status === 'active' || status === 'queued' || status === 'waiting')
		.reduce((sum, {size, present, onDemand}) => sum + (onDemand ? 0 : (size ?? present) - present), 0);
	const isShort = freeBytes !== null && needed > freeBytes;
	const free = freeBytes === null ? '' : `${formatBytes(freeBytes)} free`;
	const address = width < 71 ? origin.replace('http://', '') : origin;
	const pieces = (hasName: boolean, chart: number, hasFree: boolean): Line => [
		span(' '),
		...(hasName ? [span('downstream', 'strong'), span('  ')] : []),
		span(speed, isIdle ? 'plain' : 'active'),
		...(chart > 0 && bytesPerSecond > 0 ? [span(` ${sparkline(speeds, chart, ascii)}`, 'active')] : []),
		...(hasFree && free !== ''
			? [
					span('  '),
					span(isShort ? `${free}, needs ${formatBytes(needed)}` : free, isShort ? 'waiting' : 'plain'),
				]
			: []),
	];
	const note = isAttached && !isOrphan && width >= 71 ? 'attached to ' : '';
	const right: Line = [...(note === '' ? [] : [span(note, 'label')]), span(address, 'plain')];
	const hasName = width >= 71;
	const variants = [
		pieces(hasName, width >= 110 ? 20 : 11, true),
		pieces(hasName, width >= 110 ? 11 : 6, true),
		pieces(hasName, 0, true),
		pieces(false, 0, true),
		pieces(false, 0, false),
	];
	const left = variants.find(variant => lineCells(variant) + lineCells(right) + 2 <= width) ?? [span(' ')];
	return fitLine(spread(left, right, width), width, ascii);
}

export type TabsLayout = {
	readonly line: Line;
	/** Cells `[left, right)` of each tab. */
	readonly places: ReadonlyArray<readonly [left: number, right: number]>;
	/** Cells of the order of the list, if it is shown. */
	readonly order: readonly [left: number, right: number] | undefined;
};

export function tabsLayout(
	{snapshot: {downloads}, isOrphan}: Pick<Frame, 'snapshot' | 'isOrphan'>,
	view: ListView,
	shown: number,
	/** Such as `412/1000`; empty if the whole list is on the screen. */
	place: string,
	{width, ascii}: Width,
): TabsLayout {
	const visible = shownTabs(downloads, view.tab);
	const counts = tabs.map((_, tab) => downloads.filter(download => isInTab(download, tab)).length);
	const texts = (isNamed: (tab: number) => boolean) =>
		tabs.map(({symbol}, tab) => {
			const name = isNamed(tab) ? tabName(tab, isOrphan) : symbol[ascii ? 1 : 0];
			return visible.includes(tab) ? `${tab + 1} ${name} ${counts[tab]}` : '';
		});
	const cellsOfTabs = (words: readonly string[]) =>
		words.reduce((sum, text) => sum + (text === '' ? 0 : text.length + 2), 0);
	const variants = [() => true, (tab: number) => tab === view.tab, () => false].map(texts);
	const words = variants.find(each => cellsOfTabs(each) <= width) ?? variants.at(-1)!;
	const places: Array<readonly [number, number]> = [];
	const line: Array<Line[number]> = [];
	let left = 1;
	for (const [tab, text] of words.entries()) {
		if (text === '') {
			places.push([-1, -1]);
			continue;
		}

		line.push(tab === view.tab ? span(`[${text}]`, 'selected') : span(` ${text} `, 'label'));
		places.push([left - 1, left + text.length + 1]);
		left += text.length + 2;
	}

	const order = `by: ${sortKeys[view.sort]!.name}${view.isReversed ? ', reversed' : ''}`;
	const right =
		view.filter === ''
			? `${place === '' ? '' : `${place}  `}${order}`
			: `filter: ${cleanText(view.filter)} (${shown} of ${downloads.length})`;
	const fitting = [right, place].find(text => text !== '' && left + cellsOf(text) + 1 <= width);
	return {
		line: fitLine(fitting ? spread(line, [span(fitting, 'label')], width) : line, width, ascii),
		places,
		order: fitting?.endsWith(order) ? [width - cellsOf(order), width] : undefined,
	};
}

/** With the next attempt for each outage. */
export function bannerLines({banners, downloads}: Snapshot, now: number, {width, ascii}: Width): Line[] {
	const outages = new Map(outagesOf(downloads).map(outage => [outageSentence(outage), outage]));
	return banners.slice(0, mostBanners).map(banner => {
		const outage = outages.get(banner);
		const variants = (outage ? timedOutage(outage, now) : [banner]).map(
			text => `! ${withFlag(cleanText(text), ascii)}`,
		);
		return fitLine([span(firstFitting(variants, width), 'waiting')], width, ascii);
	});
}

type EmptyListProps = Width & {
	readonly height: number;
	readonly view: ListView;
	/** The list is about to fill. */
	readonly isAdding: boolean;
};

export function EmptyList({width, height, ascii, view, isAdding}: EmptyListProps) {
	const isWhole = view.tab === 0 && view.filter === '';
	const isFirst = isWhole && !isAdding;
	const paragraphs = isFirst
		? [
				'Nothing here yet.',
				'Paste a link (Ctrl+Shift+V, Cmd+V or right-click), or press a.',
				'Then o plays it while it downloads, and c copies its stream URL for mpv, VLC or a browser.',
				'From the shell: downstream-tui add URL',
				'To try it without a link: downstream-tui demo',
				'? finds every command, q quits.',
			]
		: [
				isWhole
					? `Adding${ascii ? '...' : '…'}`
					: view.filter === ''
						? `Nothing is ${tabs[view.tab]!.name}. 1 shows all.`
						: 'No matches. Esc clears the filter.',
			];
	const margin = width < 71 ? 1 : 3;
	const gap: Line[] = height < 12 ? [] : [[]];
	const lines = [
		...paragraphs.flatMap(text => [...gap, ...wrapped(text, width - 2 * margin).map(line => [span(line)])]),
		...(isFirst && width >= 71 && height >= 16 ? sampleLines(ascii) : []),
	];
	return (
		<Box flexDirection="column" height={height} overflowY="hidden" paddingX={margin}>
			<Lines lines={lines.slice(0, height)} />
		</Box>
	);
}

/** A sample row, with the meaning of its bar. */
function sampleLines(ascii: boolean): Line[] {
	const size = 1000;
	const bar = barCells({
		ranges: [
			[0, 262],
			[560, 735],
		],
		size,
		width: 40,
		players: [{offset: 560, ready: 175}],
		heads: [],
		ascii,
	});
	const legend: Line = ascii
		? [span('# on disk   | player   . missing', 'label')]
		: [
				...[span('█', 'have'), span(' on disk   ', 'label'), span('┃', 'player')],
				...[span(' player   ', 'label'), span('█', 'ready')],
				...[span(' ready ahead of it   ', 'label'), span('·', 'missing'), span(' missing', 'label')],
			];
	return [
		[],
		[],
		[span(`${ascii ? 'D' : '↓'} a-film.mp4  `, 'label'), ...inRuns(bar), span('  43.7%', 'label')],
		[span(' '.repeat(12)), ...legend],
	];
}
