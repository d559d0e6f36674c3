// How wide and how high things are; pure.

export type Columns = {
	readonly name: number;
	readonly ranges: number;
	readonly players: number;
	readonly done: number;
	readonly speed: number;
	readonly left: number;
};

/** Cursor, mark, symbol and a blank stand before the name. */
export const rowPrefix = 4;
export const smallest = {columns: 40, rows: 8};

/** What goes first when it gets narrow: time left, players, then speed; the bar has what is left, at least 8. */
export function columnWidths(width: number): Columns {
	const left = width >= 72 ? 9 : 0;
	const players = width >= 68 ? 4 : 0;
	const speed = width >= 52 ? 12 : 0;
	const done = 8;
	const name = rowPrefix + Math.min(40, Math.max(16, Math.round(width / 3))) + 1;
	return {name, players, done, speed, left, ranges: width - name - players - done - speed - left};
}

export type Rows = {
	readonly tabs: boolean;
	/** Of downloads, below the headings. */
	readonly list: number;
	readonly headings: boolean;
	/** Of the docked details, with their title and map; 0 where they are not docked. */
	readonly details: number;
};

/** Header, rule, status line and footer always stay. */
export function rowHeights(height: number, downloads: number, banners: number): Rows {
	const tabs = downloads > 0 && height >= 18;
	const headings = downloads > 0 && height >= 12;
	const fixed = 4 + (tabs ? 1 : 0) + (headings ? 1 : 0) + banners;
	const details = downloads === 0 ? 0 : height >= 34 ? 19 : height >= 24 ? 6 : 0;
	return {tabs, headings, details, list: height - fixed - details};
}

/** Moves the window over the list as little as it takes to show the row, and never beyond the end. */
export function scrollTop(top: number, row: number, visible: number, count: number): number {
	const shown = Math.max(row - visible + 1, Math.min(top, row));
	return Math.max(0, Math.min(shown, count - visible));
}

/** The first row on the screen when this row is to be on that line of it. */
export function windowTop(row: number, line: number, visible: number, count: number): number {
	const kept = Math.max(0, Math.min(line, visible - 1));
	return Math.max(0, Math.min(row - kept, count - visible));
}
