// Joins the texts of a frame to lines. `build.mjs` puts it into Ink's output.
import stringWidth from 'string-width';

type Clip = {readonly x1?: number; readonly x2?: number; readonly y1?: number; readonly y2?: number};

/** A call of Ink's renderer. `x` and `y` are cells and rows of the screen, counted from 0. */
export type Operation =
	| {
			readonly type: 'write';
			readonly x: number;
			readonly y: number;
			readonly text: string;
			readonly transformers: ReadonlyArray<(line: string, index: number) => string>;
	  }
	| {readonly type: 'clip'; readonly clip: Clip}
	| {readonly type: 'unclip'};

/**
 * The frame of `height` lines, as Ink composes it from cells. Undefined where texts overlap, as under a dialog, are clipped
 * on a side or have several lines.
 */
export function joinWrites(operations: readonly Operation[], height: number): string | undefined {
	const rows = Array.from({length: height}, () => ({text: '', cells: 0, last: ''}));
	const clips: Clip[] = [];
	for (const operation of operations) {
		if (operation.type === 'clip') {
			clips.push(operation.clip);
			continue;
		}

		if (operation.type === 'unclip') {
			clips.pop();
			continue;
		}

		const {x, y, text, transformers} = operation;
		const {x1, y1 = 0, y2 = height} = clips.at(-1) ?? {};
		const row = rows[y];
		if (x1 !== undefined || text.includes('\n')) {
			return undefined;
		}

		if (!row || y < y1 || y >= y2) {
			continue;
		}

		// The width of the last text in a row is never needed.
		row.cells += stringWidth(row.last);
		if (x < row.cells) {
			return undefined;
		}

		row.last = text;
		row.text +=
			' '.repeat(x - row.cells) + transformers.reduce((line, transform) => transform(line, 0), text);
		row.cells = x;
	}

	return rows.map(({text}) => text.trimEnd()).join('\n');
}
