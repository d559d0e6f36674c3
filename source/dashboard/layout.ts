// Widths and heights of the parts of the screen; pure.

export type Columns = {
	readonly name: number;
	readonly ranges: number;
	readonly players: number;
	readonly done: number;
	readonly speed: number;
	/** The speeds of the last seconds. */
	readonly chart: number;
	readonly left: number;
	/** Minutes that can be watched. */
	readonly watch: number;
};

/** Cells before the name: cursor, mark, symbol and a blank. */
const rowPrefix = 4;
export const smallest = {columns: 40, rows: 8};

/** From this width, names have the room they need. */
const roomy = 140;
/** From this width, each row has a chart of its speed. */
const chartsFrom = 160;
/** Rows of the list that a high screen keeps before the map grows. */
const usualList = 15;
const dockedMap = 19;

const smallestBar = 8;
/** Cells of a name: always kept, kept before the bar grows, and at most. */
const names = {least: 16, usual: 20, most: 70};

/** Cells of the longest texts in the list; 0 without any. */
export type Longest = {
	readonly name: number;
	/** The minutes that can be watched, with the blank before them: in full, and in short. */
	readonly watch: number;
	readonly shortWatch: number;
};

/**
 * A narrow screen drops time left and minutes, then players, then speed. The bar has a fifth of the width, at least 8 cells;
 * the name has what it needs, up to a third of the width on a screen of usual width; the bar takes the rest. Minutes are in
 * full where a usual name and the bar have room beside them.
 */
export function columnWidths(width: number, longest: Longest): Columns {
	const left = width < 72 ? 0 : width < 99 ? 8 : 10;
	const players = width >= 68 ? 4 : 0;
	const speed = width >= 52 ? 12 : 0;
	const chart = width >= chartsFrom ? 12 : 0;
	const done = 8;
	const figures = players + done + speed + chart + left;
	const bar = Math.max(smallestBar, Math.round(width / 5) + 1);
	const share = width < roomy ? Math.max(names.least, Math.round(width / 3)) : names.most;
	const name = Math.max(names.least, Math.min(longest.name, share));
	const usual = rowPrefix + Math.min(name, names.usual) + 1;
	const isFull = figures + longest.watch + bar + usual <= width;
	const watch = width < 72 ? 0 : isFull ? longest.watch : longest.shortWatch;
	const room = width - figures - watch;
	const nameColumn = Math.min(rowPrefix + name + 1, Math.max(usual, room - bar), room - smallestBar);
	return {name: nameColumn, ranges: room - nameColumn, players, done, speed, chart, left, watch};
}

export type Rows = {
	readonly tabs: boolean;
	/** Rows of downloads below the headings. */
	readonly list: number;
	readonly headings: boolean;
	/** Rows of the docked details, title and map included; 0 if there is no room for them. */
	readonly details: number;
};

/** Heights of the optional parts; header, rule, status line and footer are always there. */
export function rowHeights(height: number, downloads: number, banners: number): Rows {
	const tabs = downloads > 0 && height >= 18;
	const headings = downloads > 0 && height >= 12;
	const fixed = 4 + (tabs ? 1 : 0) + (headings ? 1 : 0) + banners;
	const room = height - fixed - Math.max(usualList, downloads + 1);
	const details = downloads === 0 ? 0 : height >= 34 ? Math.max(dockedMap, room) : height >= 24 ? 6 : 0;
	return {tabs, headings, details, list: height - fixed - details};
}

/** The rows of the scrollbar that stand for the visible part of the list. */
export function scrollThumb(top: number, visible: number, count: number): {start: number; length: number} {
	const length = Math.max(1, Math.round((visible * visible) / count));
	const start = Math.round((top / Math.max(1, count - visible)) * (visible - length));
	return {start, length};
}

/** Scrolls by the fewest rows that make the row visible, and never past the end. */
export function scrollTop(top: number, row: number, visible: number, count: number): number {
	const shown = Math.max(row - visible + 1, Math.min(top, row));
	return Math.max(0, Math.min(shown, count - visible));
}

/** The first visible row that puts `row` on `line` of the screen. */
export function windowTop(row: number, line: number, visible: number, count: number): number {
	const kept = Math.max(0, Math.min(line, visible - 1));
	return Math.max(0, Math.min(row - kept, count - visible));
}
