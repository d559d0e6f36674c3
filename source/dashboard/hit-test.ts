// From a click to its target: the inverse of the layout.
import {footerCells, type Command, type FooterKey} from './keys.ts';
import type {BarPlace} from './bar-places.ts';
import type {ButtonPlace} from './dialog-view.tsx';

export type Hit =
	| {readonly kind: 'row'; readonly row: number}
	| {readonly kind: 'tab'; readonly tab: number}
	| {readonly kind: 'key'; readonly command: Command}
	| {readonly kind: 'button'; readonly name: string}
	/** A heading of the list; index of `sortKeys`. */
	| {readonly kind: 'heading'; readonly sort: number}
	/** Beside the dialog. */
	| {readonly kind: 'outside'}
	/** A share of the file or film, from 0 to 1. */
	| {readonly kind: 'bar'; readonly share: number}
	| {readonly kind: 'wheel'; readonly by: -1 | 1};

export type HeadingPlace = {readonly left: number; readonly right: number; readonly sort: number};

/** The cells `[left, right)` of the rows `[top, bottom)`. */
type Area = {
	readonly top: number;
	readonly bottom: number;
	readonly left: number;
	readonly right: number;
};

/** Rows and cells of the screen, counted from 0. */
export type Targets = {
	/** First row of the list and number of rows. */
	readonly list: {readonly row: number; readonly count: number} | undefined;
	readonly tabs:
		| {readonly row: number; readonly places: ReadonlyArray<readonly [left: number, right: number]>}
		| undefined;
	readonly headings: {readonly row: number; readonly places: readonly HeadingPlace[]} | undefined;
	/** The order of the list, beside the tabs. */
	readonly order: Area | undefined;
	/** The open dialog. */
	readonly box: Area | undefined;
	readonly footer: {readonly row: number; readonly keys: readonly FooterKey[]} | undefined;
	readonly buttons: readonly ButtonPlace[];
	/** Bars that jump. */
	readonly bars: readonly BarPlace[];
};

export const noTargets: Targets = {
	list: undefined,
	tabs: undefined,
	headings: undefined,
	order: undefined,
	box: undefined,
	footer: undefined,
	buttons: [],
	bars: [],
};

export type MouseEvent = {
	readonly kind: 'click' | 'wheel-up' | 'wheel-down';
	readonly x: number;
	readonly y: number;
};

/** Parses a mouse report of modes 1000 and 1006, without the escape, which Ink strips. */
export function parseMouse(input: string): MouseEvent | undefined {
	const [, button, x, y, end] = /^\[<(\d+);(\d+);(\d+)([Mm])$/.exec(input) ?? [];
	const kinds: Record<string, MouseEvent['kind']> = {0: 'click', 64: 'wheel-up', 65: 'wheel-down'};
	const kind = end === 'M' ? kinds[button!] : undefined;
	return kind && {kind, x: Number(x) - 1, y: Number(y) - 1};
}

export function hitTest({kind, x, y}: MouseEvent, targets: Targets): Hit | undefined {
	if (kind !== 'click') {
		return {kind: 'wheel', by: kind === 'wheel-up' ? -1 : 1};
	}

	const {list, tabs, headings, order, box, footer, buttons, bars} = targets;
	const button = buttons.find(({row, left, right}) => y === row && x >= left && x < right);
	if (button) {
		return {kind: 'button', name: button.name};
	}

	if (box) {
		return isIn(box, x, y) ? undefined : {kind: 'outside'};
	}

	if (order && isIn(order, x, y)) {
		return {kind: 'key', command: 'sort'};
	}

	const bar = bars.find(({row, left, right}) => y === row && x >= left && x < right);
	if (bar) {
		return {kind: 'bar', share: (bar.first + x - bar.left) / bar.total};
	}

	const heading = headings?.row === y && headings.places.find(({left, right}) => x >= left && x < right);
	if (heading) {
		return {kind: 'heading', sort: heading.sort};
	}

	if (list && y >= list.row && y < list.row + list.count) {
		return {kind: 'row', row: y - list.row};
	}

	if (tabs && y === tabs.row) {
		const tab = tabs.places.findIndex(([left, right]) => x >= left && x < right);
		return tab === -1 ? undefined : {kind: 'tab', tab};
	}

	return footer && y === footer.row ? footerHit(footer.keys, x) : undefined;
}

function isIn({top, bottom, left, right}: Area, x: number, y: number): boolean {
	return y >= top && y < bottom && x >= left && x < right;
}

function footerHit(keys: readonly FooterKey[], x: number): Hit | undefined {
	let left = 1;
	for (const key of keys) {
		const right = left + footerCells([key]) - 2;
		if (x >= left && x < right) {
			return {kind: 'key', command: key.command};
		}

		left = right + 2;
	}

	return undefined;
}
