// Draws the changed cells of a line instead of the whole line. `build.mjs` puts it into Ink's incremental renderer.

/** SGR sequences by attribute: foreground, background, bold, dim, italic, underline, inverse, strikethrough. */
type Style = readonly string[];
type Cell = {readonly text: string; readonly style: Style};

const noStyle: Style = Array.from({length: 8}, () => '');
const blank: Cell = {text: ' ', style: noStyle};
const reset = '\u001B[0m';
const eraseEnd = '\u001B[K';
/** Unchanged cells between two changes: writing them is cheaper than moving the cursor. */
const bridge = 6;
/** One column wide in every terminal: ASCII, and the symbols of the screen. */
const narrow =
	/^[\u0020-\u007E\u00B7\u00BB\u00D7\u2013\u2016\u2022\u2026\u2190-\u2193\u2500-\u259F\u25B8\u25BA\u2713\u2717]$/;
const attributes: Readonly<Record<string, number>> = {1: 2, 2: 3, 3: 4, 4: 5, 7: 6, 9: 7};
const ends: Readonly<Record<string, readonly number[]>> = {
	0: [0, 1, 2, 3, 4, 5, 6, 7],
	39: [0],
	49: [1],
	22: [2, 3],
	23: [4],
	24: [5],
	27: [6],
	29: [7],
};

/**
 * The sequences that turn one line into another while the cursor is anywhere in that line. Undefined if a line has
 * characters that are not one column wide everywhere, links, or unknown sequences.
 */
export function lineChange(before: string, after: string): string | undefined {
	const old = cellsOf(before);
	const next = cellsOf(after);
	if (!old || !next) {
		return undefined;
	}

	let written = '';
	const {length} = next;
	for (let column = nextChange(old, next, 0); column < length;) {
		let end = column + 1;
		for (
			let at = nextChange(old, next, end);
			at < length && at - end <= bridge;
			at = nextChange(old, next, end)
		) {
			end = at + 1;
		}

		written += `\u001B[${column + 1}G${styled(next.slice(column, end))}`;
		column = nextChange(old, next, end);
	}

	return old.length > length ? `${written}\u001B[${length + 1}G${eraseEnd}` : written;
}

/** The first changed column from `column` on; at most the length of `next`. */
function nextChange(old: readonly Cell[], next: readonly Cell[], column: number): number {
	let at = column;
	while (at < next.length && isSame(old[at] ?? blank, next[at]!)) {
		at++;
	}

	return at;
}

function isSame(a: Cell, b: Cell): boolean {
	return (
		a.text === b.text && (a.style === b.style || a.style.every((part, index) => part === b.style[index]))
	);
}

function styled(cells: readonly Cell[]): string {
	let written = '';
	let style = noStyle;
	for (const cell of cells) {
		if (style !== cell.style) {
			// A new value of an attribute replaces the old one; an attribute ends only by a reset.
			const mustReset = style.some((part, index) => part !== '' && cell.style[index] === '');
			const from = mustReset ? noStyle : style;
			written += (mustReset ? reset : '') + cell.style.filter((part, index) => part !== from[index]).join('');
			style = cell.style;
		}

		written += cell.text;
	}

	return style === noStyle || style.every(part => part === '') ? written : written + reset;
}

function cellsOf(line: string): Cell[] | undefined {
	const cells: Cell[] = [];
	let style = noStyle;
	// oxlint-disable-next-line no-control-regex -- SGR sequences begin so
	for (const [piece, parameters] of line.matchAll(/\u001B\[([\d;]*)m|[^]/gu)) {
		if (parameters !== undefined) {
			style = withSequence(style, piece, parameters);
		} else if (narrow.test(piece)) {
			cells.push({text: piece, style});
		} else {
			return undefined;
		}
	}

	return cells;
}

function withSequence(style: Style, sequence: string, parameters: string): Style {
	const [first = '0'] = parameters.split(';');
	const ended = ends[first === '' ? '0' : first];
	const begun = attributes[first] ?? (/^(?:4|10)/.test(first) ? 1 : 0);
	return style.map((part, index) =>
		ended ? (ended.includes(index) ? '' : part) : index === begun ? sequence : part,
	);
}
