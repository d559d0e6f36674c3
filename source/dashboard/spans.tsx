// Lines of the screen: pieces of text with a role each, cut to the screen's cells.
import {Text} from 'ink';
import {memo} from 'react';
import {cellsOf, fitText} from '../text/clean-text.ts';
import {useTheme, type Role} from './theme.ts';

export type Span = {readonly text: string; readonly role?: Role; readonly link?: string};
export type Line = readonly Span[];

export function span(text: string, role?: Role): Span {
	return role === undefined ? {text} : {text, role};
}

export function lineCells(line: Line): number {
	return line.reduce((sum, {text}) => sum + cellsOf(text), 0);
}

/** The last of the pieces is cut in the middle where all have no room. */
export function fitLine(line: Line, cells: number, ascii: boolean): Line {
	const fitted: Span[] = [];
	let left = cells;
	for (const piece of line) {
		const text = fitText(piece.text, left, {ascii});
		left -= cellsOf(text);
		if (text !== '') {
			fitted.push(text === piece.text ? piece : {...piece, text});
		}
	}

	return fitted;
}

/** Left and right on one line of so many cells. */
export function spread(left: Line, right: Line, cells: number): Line {
	const gap = cells - lineCells(left) - lineCells(right);
	return [...left, span(' '.repeat(Math.max(1, gap))), ...right];
}

/** `inverse` for the line under the cursor. */
export const LineView = memo(({line}: {readonly line: Line}) => {
	const theme = useTheme();
	return (
		<Text wrap="truncate">
			{line.length === 0
				? ' '
				: line.map(({text, role = 'plain', link}, index) => (
						// oxlint-disable-next-line react/no-array-index-key -- pieces have no other name than their place
						<Text key={index} {...theme[role]}>
							{link === undefined ? text : linked(text, link)}
						</Text>
					))}
		</Text>
	);
});

/** OSC 8; a target that could end the sequence is no link. */
function linked(text: string, target: string): string {
	return /^(?:https?|file):[\x21-\x7E]*$/.test(target)
		? `\u001B]8;;${target}\u0007${text}\u001B]8;;\u0007`
		: text;
}

export function Lines({lines}: {readonly lines: readonly Line[]}) {
	return lines.map((line, index) => (
		// oxlint-disable-next-line react/no-array-index-key -- lines have no other name than their place
		<LineView key={index} line={line} />
	));
}
