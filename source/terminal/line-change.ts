// Draws the changed cells of a line instead of the whole line. `build.mjs` puts it into Ink's incremental renderer.

/** SGR sequences by attribute: foreground, background, bold, dim, italic, underline, inverse, strikethrough. */
type Style = readonly string[];
/** The text and the style of each column. */
type Cells = {readonly texts: readonly string[]; readonly styles: readonly Style[]};

const noStyle: Style = Array.from({length: 8}, () => '');
const escape = '\u001B';
// oxlint-disable-next-line no-control-regex -- SGR sequences begin so
const sequences = /\u001B\[([\d;]*)m/y;
const reset = '\u001B[0m';
const eraseEnd = '\u001B[K';
/** Styles and lines that are kept: the old lines of a frame are the new ones of the frame before. */
const mostKept = 100;
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
	const {length} = next.texts;
	for (let column = nextChange(old, next, 0); column < length;) {
		let end = column + 1;
		for (
			let at = nextChange(old, next, end);
			at < length && at - end <= bridge;
			at = nextChange(old, next, end)
		) {
			end = at + 1;
		}

		written += `\u001B[${column + 1}G${styled(next, column, end)}`;
		column = nextChange(old, next, end);
	}

	return old.texts.length > length ? `${written}\u001B[${length + 1}G${eraseEnd}` : written;
}

/** The first changed column from `column` on; at most the length of `next`. */
function nextChange(old: Cells, next: Cells, column: number): number {
	let at = column;
	while (
		at < next.texts.length &&
		next.texts[at] === (old.texts[at] ?? ' ') &&
		isSame(next.styles[at]!, old.styles[at] ?? noStyle)
	) {
		at++;
	}

	return at;
}

function isSame(a: Style, b: Style): boolean {
	return a === b || a.every((part, index) => part === b[index]);
}

function styled({texts, styles}: Cells, start: number, end: number): string {
	let written = '';
	let style = noStyle;
	for (let column = start; column < end; column++) {
		const wanted = styles[column]!;
		if (style !== wanted) {
			// A new value of an attribute replaces the old one; an attribute ends only by a reset.
			const mustReset = style.some((part, index) => part !== '' && wanted[index] === '');
			const from = mustReset ? noStyle : style;
			written += (mustReset ? reset : '') + wanted.filter((part, index) => part !== from[index]).join('');
			style = wanted;
		}

		written += texts[column];
	}

	return style === noStyle || style.every(part => part === '') ? written : written + reset;
}

const keptLines = new Map<string, Cells | undefined>();

function cellsOf(line: string): Cells | undefined {
	if (!keptLines.has(line)) {
		keep(keptLines, line, parsed(line));
	}

	return keptLines.get(line);
}

function keep<Key, Value>(kept: Map<Key, Value>, key: Key, value: Value): Value {
	if (kept.size === mostKept) {
		kept.clear();
	}

	kept.set(key, value);
	return value;
}

function parsed(line: string): Cells | undefined {
	const texts: string[] = [];
	const styles: Style[] = [];
	let style = noStyle;
	for (let at = 0; at < line.length;) {
		const text = line[at]!;
		if (text === escape) {
			sequences.lastIndex = at;
			const [sequence, parameters] = sequences.exec(line) ?? [];
			if (sequence === undefined) {
				return undefined;
			}

			style = withSequence(style, sequence, parameters!);
			at += sequence.length;
		} else if (narrow.test(text)) {
			texts.push(text);
			styles.push(style);
			at++;
		} else {
			return undefined;
		}
	}

	return {texts, styles};
}

const keptStyles = new Map<Style, Map<string, Style>>();

/** The same object for the same style and sequence. */
function withSequence(style: Style, sequence: string, parameters: string): Style {
	const next = keptStyles.get(style) ?? keep(keptStyles, style, new Map<string, Style>());
	return next.get(sequence) ?? keep(next, sequence, changed(style, sequence, parameters));
}

function changed(style: Style, sequence: string, parameters: string): Style {
	const [first = '0'] = parameters.split(';');
	const ended = ends[first === '' ? '0' : first];
	const begun = attributes[first] ?? (/^(?:4|10)/.test(first) ? 1 : 0);
	const parts = style.map((part, index) =>
		ended ? (ended.includes(index) ? '' : part) : index === begun ? sequence : part,
	);
	return parts.every(part => part === '') ? noStyle : parts;
}
