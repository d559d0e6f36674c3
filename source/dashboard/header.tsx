// The lines above the list: what runs, where the streams are, how many are in which state.
import {Box, Text} from 'ink';
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
	const address = width < 72 ? origin.replace('http://', '') : origin;
	const name = width < 72 ? '' : 'downstream  ';
	const fits = [`${name}${speed}${free}`, `${speed}${free}`, speed].find(
		left => cellsOf(left) + cellsOf(address) + 3 < width,
	);
	return <Text wrap="truncate">{spread(` ${fits ?? ''}`, address, width)}</Text>;
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

type BannersProps = {readonly texts: readonly string[]; readonly width: number; readonly ascii: boolean};

export function Banners({texts, width, ascii}: BannersProps) {
	return texts.map(text => (
		<Text key={text} bold wrap="truncate">
			{fitText(`! ${cleanText(text)}`, width, {ascii})}
		</Text>
	));
}

type EmptyListProps = {
	readonly origin: string;
	readonly width: number;
	readonly height: number;
	readonly ascii: boolean;
};

export function EmptyList({origin, width, height, ascii}: EmptyListProps) {
	const url = `${origin}/stream/${ascii ? '...' : '…'}/NAME`;
	const paragraphs = [
		['Nothing here yet.'],
		['Paste a link (Ctrl+Shift+V, Cmd+V or right-click), or press a.'],
		[
			'Then press c to copy its stream URL and open it in mpv, VLC or a browser',
			`while it downloads:   mpv ${url}`,
		],
		['From the shell:  npx downstream-tui URL     keys: ?    quit: q'],
	];
	const isLow = height < 12;
	return (
		<Box flexDirection="column" height={height} overflow="hidden" paddingX={width < 72 ? 1 : 3}>
			{paragraphs.map(lines => (
				<Box key={lines[0]} flexDirection="column" flexShrink={0} marginTop={isLow ? 0 : 1}>
					{lines.map(line => (
						<Text key={line}>{line}</Text>
					))}
				</Box>
			))}
		</Box>
	);
}

/** Left and right on one line. */
function spread(left: string, right: string, width: number): string {
	return `${left}${' '.repeat(Math.max(1, width - cellsOf(left) - cellsOf(right)))}${right}`;
}
