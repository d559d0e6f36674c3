// The help: the table of keys, and the symbols of the list.
import {cellsOf, padText} from '../text/clean-text.ts';
import {plainArrows, type Place} from './dialog-view.tsx';
import {keyTable} from './keys.ts';

/** Nothing if no key fits the search. Two columns if one would not fit and the screen is wide enough; the rest scrolls. */
export function helpLines({width, height, ascii}: Place, find: string): string[] {
	const entries = keyTable
		.map(({shown, help}) => `${(ascii ? plainArrows(shown) : shown).padEnd(8)} ${help}`)
		.filter(entry => entry.toLowerCase().includes(find.toLowerCase()))
		.map(entry => (ascii ? entry.replace('…', '-') : entry));
	if (entries.length === 0) {
		return [];
	}

	const signs = ascii
		? [
				...[
					'D downloading',
					'P paused',
					'Q queued',
					'W waiting',
					'E exporting',
					'= checking',
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
					'= checking',
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
			padText(entries[line + column * perColumn] ?? '', cells - 1, {ascii}),
		).join(' '),
	);
	return [...keys, '', ...filledLines(signs, width - 2)];
}

/** Fills lines with as many texts as fit. */
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
