// Joins the texts of a frame to lines. `build.mjs` puts it into Ink's output.
import sliceAnsi from 'slice-ansi';
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
 * The frame of `height` lines, as Ink composes it from cells. A text covers those before it, as a dialog does. Undefined if a
 * text has several lines or is clipped on a side.
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

		const styled = transformers.reduce((line, transform) => transform(line, 0), text);
		// The width of the last text in a row is seldom needed.
		row.cells += stringWidth(row.last);
		if (x >= row.cells) {
			row.text += ' '.repeat(x - row.cells) + styled;
			row.cells = x;
			row.last = text;
		} else {
			const end = x + stringWidth(text);
			// Half of a wide character is omitted.
			const before = sliceAnsi(row.text, 0, x);
			const after = sliceAnsi(row.text, end);
			const gaps = [x - stringWidth(before), Math.max(0, row.cells - end - stringWidth(after))] as const;
			row.text = before + ' '.repeat(gaps[0]) + styled + ' '.repeat(gaps[1]) + after;
			row.cells = Math.max(row.cells, end);
			row.last = '';
		}
	}

	return rows.map(({text}) => text.trimEnd()).join('\n');
}
