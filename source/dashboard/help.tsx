// All keys and signs, made from the table of keys.
import {Box, Text} from 'ink';
import {padText} from './clean-text.ts';
import {keyTable} from './keys.ts';

export function Help({width, height, ascii}: {width: number; height: number; ascii: boolean}) {
	const entries = keyTable.map(
		({shown, help}) => `${(ascii ? plainArrows(shown) : shown).padEnd(8)} ${help}`,
	);
	const signs = ascii
		? [
				'D downloading  P paused  Q queued  W waiting  E exporting  C done  F failed',
				'# have  + - part  . missing  > being fetched  | player reads here',
			]
		: [
				'↓ downloading  ‖ paused  · queued  ~ waiting  » exporting  ✓ done  ✗ failed  ►n players',
				'█ have  ▓▒░ part  · missing  ▸ being fetched  ┃ player reads here',
			];
	const columns = height < entries.length + signs.length + 5 ? 2 : 1;
	const perColumn = Math.ceil(entries.length / columns);
	const cells = Math.floor((width - 2) / columns);
	const keys = Array.from({length: perColumn}, (_, line) =>
		Array.from({length: columns}, (_, column) =>
			padText(entries[line + column * perColumn] ?? '', cells - 1),
		).join(' '),
	);
	const lines = ['Keys', '', ...keys, '', ...signs, '', 'any key closes'];
	return (
		<Box flexDirection="column" width={width} height={height} paddingX={1}>
			{lines.slice(0, height).map((line, index) => (
				// oxlint-disable-next-line react/no-array-index-key -- lines have no other name than their place
				<Text key={index} bold={index === 0} wrap="truncate">
					{line}
				</Text>
			))}
		</Box>
	);
}

function plainArrows(text: string): string {
	return text.replace('↑', 'up').replace('↓', 'down');
}
