// A terminal emulator's screen as SVG, on an exact grid of cells.
import type {IBufferCell, Terminal} from '@xterm/headless';

export type Palette = {readonly background: string; readonly foreground: string; readonly ansi: readonly string[]};

export const darkPalette: Palette = {
	background: '#16191f',
	foreground: '#d7dae0',
	ansi: ['#1e2127', '#e06c75', '#98c379', '#e5c07b', '#61afef', '#c678dd', '#56b6c2', '#abb2bf'],
};

export const lightPalette: Palette = {
	background: '#fdfdfb',
	foreground: '#24292f',
	ansi: ['#24292f', '#b0303a', '#2f7d32', '#7a5c00', '#0550ae', '#8250df', '#0f6b75', '#57606a'],
};

const cell = {width: 8.4, height: 18};
const margin = 14;
/** Blocks are drawn as rectangles, without seams between cells in any font. */
const shades: Record<string, number> = {'█': 1, '▓': 0.72, '▒': 0.48, '░': 0.26};
const eighths = '▁▂▃▄▅▆▇█';
const leftEighths = '▏▎▍▌▋▊▉';
/** Bits of the index: the upper left, upper right, lower left and lower right quarter. */
const quarters = ' ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█';

export function screenSize({cols, rows}: Terminal): {width: number; height: number} {
	return {
		width: Math.ceil(cols * cell.width + 2 * margin),
		height: Math.ceil(rows * cell.height + 2 * margin),
	};
}

export type Area = {
	readonly x: number;
	readonly y: number;
	readonly width: number;
	readonly height: number;
};

/** The pixels of the cells `[left, right)` of the rows `[top, bottom)`. */
export function areaOf({left, top, right, bottom}: Record<'left' | 'top' | 'right' | 'bottom', number>): Area {
	return {
		x: margin + left * cell.width,
		y: margin + top * cell.height,
		width: (right - left) * cell.width,
		height: (bottom - top) * cell.height,
	};
}

export function screenSvg(terminal: Terminal, palette: Palette): string {
	const {width, height} = screenSize(terminal);
	const parts: string[] = [];
	const {active} = terminal.buffer;
	for (let row = 0; row < terminal.rows; row++) {
		const line = active.getLine(active.viewportY + row);
		const y = margin + row * cell.height;
		for (let column = 0; column < terminal.cols;) {
			const found = line?.getCell(column);
			let end = column + Math.max(1, found?.getWidth() ?? 1);
			if (found && found.getWidth() > 0) {
				// Adjacent blocks of one kind become one rectangle, without seams.
				while (isBlock(found.getChars()) && isSame(found, line?.getCell(end))) {
					end++;
				}

				parts.push(cellSvg(found, margin + column * cell.width, y, (end - column) * cell.width, palette));
			}

			column = end;
		}
	}

	return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="'DejaVu Sans Mono','Noto Sans Mono CJK JP','IPAGothic',monospace" font-size="14"><rect width="100%" height="100%" rx="8" fill="${palette.background}"/>${parts.join('')}</svg>`;
}

function isBlock(text: string): boolean {
	return text === '' || text === ' ' || Object.hasOwn(shades, text);
}

function isSame(a: IBufferCell, b: IBufferCell | undefined): boolean {
	return (
		b !== undefined &&
		a.getChars().trim() === b.getChars().trim() &&
		a.getFgColor() === b.getFgColor() &&
		a.getBgColor() === b.getBgColor() &&
		a.isInverse() === b.isInverse() &&
		a.isFgDefault() === b.isFgDefault()
	);
}

function cellSvg(found: IBufferCell, x: number, y: number, wide: number, palette: Palette): string {
	const text = found.getChars();
	const [own, behind] = [
		colorOf(found.isFgDefault(), found.isFgRGB(), found.getFgColor(), palette, palette.foreground),
		colorOf(found.isBgDefault(), found.isBgRGB(), found.getBgColor(), palette, palette.background),
	];
	const [color, paper] = found.isInverse() ? [behind, own] : [own, behind];
	const rectangle = (top: number, high: number, fill: string, opacity: number, share = 1) =>
		`<rect x="${x.toFixed(1)}" y="${(y + top).toFixed(1)}" width="${(wide * share + 0.2).toFixed(1)}" height="${high.toFixed(1)}" fill="${fill}"${opacity < 1 ? ` opacity="${opacity}"` : ''}/>`;
	const back = paper === palette.background ? '' : rectangle(0, cell.height + 0.2, paper, 1);
	if (text === '' || text === ' ') {
		return back;
	}

	const shade = shades[text];
	if (shade !== undefined) {
		return back + rectangle(2, cell.height - 4, color, shade);
	}

	const mask = found.isBgDefault() ? -1 : quarters.indexOf(text);
	if (mask !== -1) {
		const [half, high] = [wide / 2, cell.height / 2];
		const parts = [0, 1, 2, 3].filter(part => (mask >> part) & 1);
		return `${back}${parts.map(part => `<rect x="${(x + (part % 2) * half).toFixed(1)}" y="${(y + Math.floor(part / 2) * high).toFixed(1)}" width="${(half + 0.2).toFixed(1)}" height="${high + 0.2}" fill="${color}"/>`).join('')}`;
	}

	const left = leftEighths.indexOf(text);
	if (left !== -1) {
		return back + rectangle(2, cell.height - 4, color, 1, (left + 1) / 8);
	}

	const eighth = eighths.indexOf(text);
	if (eighth !== -1) {
		const high = ((cell.height - 4) * (eighth + 1)) / 8;
		return back + rectangle(cell.height - 2 - high, high, color, 1);
	}

	const weight = found.isBold() ? ' font-weight="700"' : '';
	return `${back}<text x="${x.toFixed(1)}" y="${(y + 13.5).toFixed(1)}" fill="${color}"${weight}${found.getWidth() > 1 ? ` textLength="${wide.toFixed(1)}" lengthAdjust="spacingAndGlyphs"` : ''}>${escaped(text)}</text>`;
}

function colorOf(isDefault: boolean, isRgb: boolean, value: number, palette: Palette, standard: string): string {
	if (isDefault) {
		return standard;
	}

	if (isRgb) {
		return `#${value.toString(16).padStart(6, '0')}`;
	}

	if (value < 16) {
		return palette.ansi[value % 8] ?? standard;
	}

	if (value >= 232) {
		return `#${(8 + (value - 232) * 10).toString(16).padStart(2, '0').repeat(3)}`;
	}

	const parts = [Math.floor((value - 16) / 36), Math.floor((value - 16) / 6) % 6, (value - 16) % 6];
	return `#${parts.map(part => (part === 0 ? 0 : part * 40 + 55).toString(16).padStart(2, '0')).join('')}`;
}

function escaped(text: string): string {
	return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
