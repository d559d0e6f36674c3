// Where a bar is on the screen, for clicks: a bar may go over several lines. Pure.
import {cellsOf} from '../text/clean-text.ts';
import {isBar, type Line} from './spans.tsx';

/** The cells `[left, right)` of a line show the bar from `first` of `total` cells on. */
export type BarPlace = {
	readonly row: number;
	readonly left: number;
	readonly right: number;
	readonly first: number;
	readonly total: number;
};

/** Shorter runs are symbols within text. */
const smallestBar = 8;

/** `row`: the screen row of the first line. Lines scrolled away above it count too. */
export function barPlaces(lines: readonly Line[], row: number): BarPlace[] {
	const runs = lines.flatMap((line, index) => {
		const cells = line.reduce((sum, piece) => sum + (isBar(piece) ? cellsOf(piece.text) : 0), 0);
		const before = line.findIndex(piece => isBar(piece));
		const left = line.slice(0, before).reduce((sum, {text}) => sum + cellsOf(text), 0);
		return cells < smallestBar ? [] : [{row: row + index, left, right: left + cells}];
	});
	const total = runs.reduce((sum, {left, right}) => sum + right - left, 0);
	let first = 0;
	return runs.map(run => {
		const place = {...run, first, total};
		first += run.right - run.left;
		return place;
	});
}
