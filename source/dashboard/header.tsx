// The lines above the list: what runs, where the streams are, how many are in which state.
import {Text} from 'ink';
import type {Snapshot} from '../downstream.ts';
import {cellsOf, cleanText, fitText} from './clean-text.ts';
import {formatBytes, formatSpeed} from './format.ts';

type HeaderProps = {readonly snapshot: Snapshot; readonly width: number; readonly ascii: boolean};

export function Header({snapshot, width, ascii}: HeaderProps) {
	const {bytesPerSecond, freeBytes, origin, downloads} = snapshot;
	const speed = bytesPerSecond > 0 ? `${ascii ? '' : '↓ '}${formatSpeed(bytesPerSecond)}` : 'idle';
	const needed = downloads
		.filter(({status}) => status === 'active' || status === 'queued' || status === 'waiting')
		.reduce((sum, {size, present, onDemand}) => sum + (onDemand ? 0 : (size ?? present) - present), 0);
	const free =
		freeBytes === null
			? ''
			: `  ${formatBytes(freeBytes)} free${needed > freeBytes ? `, needs ${formatBytes(needed)}` : ''}`;
	const address = width < 80 ? origin.replace('http://', '') : origin;
	const name = width < 60 ? '' : 'downstream  ';
	return <Text wrap="truncate">{spread(` ${name}${speed}${free}`, address, width, ascii)}</Text>;
}

export function Tabs({snapshot: {downloads}, width, ascii}: HeaderProps) {
	const count = (...states: string[]) => downloads.filter(({status}) => states.includes(status)).length;
	const tabs = [
		`all ${downloads.length}`,
		`active ${count('active', 'asking', 'waiting', 'exporting')}`,
		`queued ${count('queued')}`,
		`paused ${count('paused', 'cancelled')}`,
		`done ${count('complete')}`,
		`failed ${count('failed')}`,
	];
	return <Text wrap="truncate">{fitText(` ${tabs.join('  ')}`, width, {ascii})}</Text>;
}

export function Banners({texts, width}: {texts: readonly string[]; width: number}) {
	return texts.map(text => (
		<Text key={text} bold wrap="truncate">
			{fitText(`! ${cleanText(text)}`, width)}
		</Text>
	));
}

export function EmptyList({origin, width, ascii}: {origin: string; width: number; ascii: boolean}) {
	const lines = [
		'',
		'   Nothing here yet.',
		'',
		'   Paste a link (Ctrl+Shift+V, Cmd+V or right-click), or press a.',
		'   Then press c to copy its stream URL and open it in mpv, VLC or a browser',
		`   while it downloads:   mpv ${origin}/stream/…/NAME`,
		'',
		'   From the shell:  npx downstream-tui URL     keys: ?    quit: q',
	];
	return lines.map((line, index) => (
		// oxlint-disable-next-line react/no-array-index-key -- lines have no other name than their place
		<Text key={index} wrap="truncate">
			{fitText(ascii ? line.replace('…', '...') : line, width, {ascii}) || ' '}
		</Text>
	));
}

/** Left and right on one line; what is left goes first when there is no room. */
function spread(left: string, right: string, width: number, ascii: boolean): string {
	const room = width - cellsOf(right) - 2;
	const fitted = fitText(left, Math.max(0, room), {ascii});
	return `${fitted}${' '.repeat(Math.max(1, width - cellsOf(fitted) - cellsOf(right) - 1))}${right}`;
}
