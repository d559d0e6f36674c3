// All keys and signs, made from the table of keys.
import {Box, Text} from 'ink';
import {cellsOf, padText} from './clean-text.ts';
import type {Place} from './dialog.tsx';
import {keyTable} from './keys.ts';

/** In two columns where that is wide enough and one would not fit; otherwise to be scrolled. */
export function helpLines({width, height, ascii}: Place): string[] {
	const entries = keyTable.map(
		({shown, help}) => `${(ascii ? plainArrows(shown) : shown).padEnd(8)} ${help}`,
	);
	const signs = ascii
		? [
				...[
					'D downloading',
					'P paused',
					'Q queued',
					'W waiting',
					'E exporting',
					'C done',
					'F failed',
					'>n players',
				],
				...['# have', '+ - part', '. missing', '> being fetched', '| player reads here'],
			]
		: [
				...[
					'↓ downloading',
					'‖ paused',
					'· queued',
					'~ waiting',
					'» exporting',
					'✓ done',
					'✗ failed',
					'►n players',
				],
				...['█ have', '▓▒░ part', '· missing', '▸ being fetched', '┃ player reads here'],
			];
	const columns = width >= 79 && height < entries.length + 6 ? 2 : 1;
	const perColumn = Math.ceil(entries.length / columns);
	const cells = Math.floor((width - 2) / columns);
	const keys = Array.from({length: perColumn}, (_, line) =>
		Array.from({length: columns}, (_, column) =>
			padText(entries[line + column * perColumn] ?? '', cells - 1),
		).join(' '),
	);
	const lines = ['Keys', '', ...keys, '', ...filledLines(signs, width - 2)];
	lines[0] +=
		lines.length > height ? ` (${ascii ? 'up, down' : '↑↓'}: more; others close)` : ' (any key closes)';
	return lines;
}

export function Help({top, ...place}: Place & {top: number}) {
	const {width, height} = place;
	const lines = helpLines(place);
	const start = Math.max(0, Math.min(top, lines.length - height));
	return (
		<Box flexDirection="column" width={width} height={height} paddingX={1}>
			{lines.slice(start, start + height).map((line, index) => (
				<Text key={start + index} bold={start + index === 0} wrap="truncate">
					{line || ' '}
				</Text>
			))}
		</Box>
	);
}

/** As many on each line as fit. */
function filledLines(texts: readonly string[], cells: number): string[] {
	const lines: string[] = [];
	for (const text of texts) {
		const longer = lines.length === 0 ? text : `${lines.at(-1)}  ${text}`;
		if (lines.length > 0 && cellsOf(longer) <= cells) {
			lines[lines.length - 1] = longer;
		} else {
			lines.push(text);
		}
	}

	return lines;
}

function plainArrows(text: string): string {
	return text.replace('↑', 'up').replace('↓', 'down');
}
