// Lines of the screen: pieces of text with a role, cut to fit.
import chalk, {type ChalkInstance} from 'chalk';
import {createElement, memo} from 'react';
import {cellsOf, fitText} from '../text/clean-text.ts';
import {useTheme, type HexColor, type Role, type Style, type Theme} from './theme.ts';

export type Span = {
	readonly text: string;
	readonly role?: Role;
	readonly link?: string;
	/** Instead of those of the role. */
	readonly colors?: Readonly<Record<'color' | 'backgroundColor', HexColor>>;
	/** In the row under the cursor, or in a focused button; the role's color stays. */
	readonly cursor?: 'row' | 'selected';
};
export type Line = readonly Span[];

export function span(text: string, role?: Role): Span {
	return role === undefined ? {text} : {text, role};
}

const barRoles: ReadonlySet<Role> = new Set([
	'have',
	'ready',
	'fresh',
	'pledged',
	'rest',
	'missing',
	'head',
	'player',
]);

/** A piece of the bar of a download. */
export function isBar({role}: Span): boolean {
	return role !== undefined && barRoles.has(role);
}

/** The focused line, each piece in its own color. */
export function selectedLine(line: Line): Line {
	return line.map(piece => ({...piece, cursor: 'selected'}));
}

export function lineCells(line: Line): number {
	return line.reduce((sum, {text}) => sum + cellsOf(text), 0);
}

/** Shortens the piece that reaches the end of the line and drops the rest. */
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

/** Left and right parts on one line of `cells` cells. */
export function spread(left: Line, right: Line, cells: number): Line {
	const gap = cells - lineCells(left) - lineCells(right);
	return [...left, span(' '.repeat(Math.max(1, gap))), ...right];
}

/** Most lines are the same in the next frame: comparing them is cheaper than drawing them. */
export const LineView = memo(
	DrawnLine,
	(before, after) => before.width === after.width && isSameLine(before.line, after.line),
);

/** `width`: in cells, beside other lines. */
type LineProps = {readonly line: Line; readonly width?: number};

/** Pieces of the same text, style and link. */
export function isSameLine(a: Line, b: Line): boolean {
	return (
		a === b ||
		(a.length === b.length &&
			a.every(({text, role, link, cursor, colors}, index) => {
				const other = b[index]!;
				return (
					text === other.text &&
					role === other.role &&
					link === other.link &&
					cursor === other.cursor &&
					colors?.color === other.colors?.color &&
					colors?.backgroundColor === other.colors?.backgroundColor
				);
			}))
	);
}

/** What Ink's <Text wrap="truncate"> draws, with the styles of all pieces as one transform: Ink measures plain text. */
function DrawnLine({line, width}: LineProps) {
	const theme = useTheme();
	const text = line.length === 0 ? ' ' : line.map(piece => piece.text).join('');
	let drawn: string | undefined;
	return createElement(
		'ink-text',
		{
			style: width === undefined ? lineStyle : {...lineStyle, width},
			internal_transform: (shown: string) =>
				shown === text ? (drawn ??= painted(text, line, theme)) : painted(shown, line, theme),
		},
		text,
	);
}

/** With a fixed height, Ink need not measure the text. */
const lineStyle = {height: 1, flexGrow: 0, flexShrink: 1, textWrap: 'truncate'} as const;

/** Styles the text of a line, which may be truncated. */
function painted(text: string, line: Line, theme: Theme): string {
	let start = 0;
	let result = '';
	for (const {text: full, role = 'plain', link, colors, cursor} of line) {
		const piece = text.slice(start, start + full.length);
		const style = {...(cursor && theme[cursor]), ...theme[role], ...colors};
		result += styled(link === undefined ? piece : linked(piece, link), style);
		start += full.length;
	}

	return line.length === 0 ? text : result;
}

function styled(text: string, {color, backgroundColor, bold, dimColor, inverse, underline}: Style): string {
	let paint: ChalkInstance = chalk;
	paint = inverse ? paint.inverse : paint;
	paint = underline ? paint.underline : paint;
	paint = bold ? paint.bold : paint;
	paint = backgroundColor === undefined ? paint : paint.bgHex(backgroundColor);
	paint = color === undefined ? paint : isHex(color) ? paint.hex(color) : paint[color];
	paint = dimColor ? paint.dim : paint;
	return paint(text);
}

function isHex(color: string): color is HexColor {
	return color.startsWith('#');
}

/** An OSC 8 link, unless the target could end the sequence. */
function linked(text: string, target: string): string {
	return /^(?:https?|file):[\x21-\x7E]*$/.test(target)
		? `\u001B]8;;${target}\u0007${text}\u001B]8;;\u0007`
		: text;
}

export function Lines({lines}: {readonly lines: readonly Line[]}) {
	return lines.map((line, index) => (
		// oxlint-disable-next-line react/no-array-index-key -- a line has no identity but its index
		<LineView key={index} line={line} />
	));
}
