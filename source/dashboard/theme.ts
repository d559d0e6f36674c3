// Colors by role. Plain text has the terminal's own colors, and no information is in color alone.
import {createContext, useContext} from 'react';

export type Role =
	| 'plain'
	| 'strong'
	| 'label'
	| 'active'
	| 'done'
	| 'waiting'
	| 'failed'
	/** Cells of the bar. */
	| 'have'
	| 'ready'
	| 'fresh'
	| 'missing'
	| 'pledged'
	/** The bar of a complete file. */
	| 'rest'
	| 'head'
	| 'player'
	| 'rule'
	/** The letter that presses a button. */
	| 'key'
	/** The row under the cursor. */
	| 'row'
	/** The button, option, tab or character under the cursor. */
	| 'selected';

/** `#rrggbb` */
export type HexColor = `#${string}`;

export type Style = {
	readonly color?: 'cyan' | 'green' | 'magenta' | 'red' | HexColor;
	readonly backgroundColor?: HexColor;
	readonly bold?: boolean;
	readonly dimColor?: boolean;
	readonly inverse?: boolean;
	readonly underline?: boolean;
};
export type Theme = Readonly<Record<Role, Style>>;
export type ThemeName = 'plain' | 'ansi' | 'dark' | 'light';

const plain: Theme = {
	plain: {},
	strong: {bold: true},
	label: {},
	active: {},
	done: {},
	waiting: {bold: true},
	failed: {bold: true},
	have: {},
	ready: {},
	fresh: {},
	missing: {},
	pledged: {},
	rest: {dimColor: true},
	head: {bold: true},
	player: {bold: true, inverse: true},
	rule: {},
	key: {bold: true, underline: true},
	row: {inverse: true},
	selected: {inverse: true},
};

/**
 * Contrast on common backgrounds of the theme's kind: at least 4.4 to 1 for text, 3 to 1 for missing cells. The row under
 * the cursor has a tint where the background is known, with 4.1 to 1 for text.
 */
export const themes: Readonly<Record<ThemeName, Theme>> = {
	plain,
	ansi: {
		...plain,
		active: {color: 'cyan'},
		done: {color: 'green'},
		have: {color: 'cyan'},
		ready: {color: 'green'},
		fresh: {color: 'cyan', bold: true},
		pledged: {color: 'magenta'},
		rest: {color: 'green', dimColor: true},
		failed: {color: 'red', bold: true},
	},
	dark: {
		...plain,
		label: {color: '#9AA7B4'},
		active: {color: '#56B4E9'},
		done: {color: '#4FD1A5'},
		waiting: {color: '#F2C14E'},
		failed: {color: '#FF7B6B'},
		have: {color: '#3F86AE'},
		ready: {color: '#4FD1A5'},
		fresh: {color: '#B5E0FF'},
		rest: {color: '#3A8F72'},
		missing: {color: '#6B7785'},
		pledged: {color: '#C48BE0'},
		rule: {color: '#6B7785'},
		row: {backgroundColor: '#2F3A4A'},
	},
	light: {
		...plain,
		label: {color: '#57626E'},
		active: {color: '#0063A6'},
		done: {color: '#007A5A'},
		waiting: {color: '#7A5C00'},
		failed: {color: '#B00048'},
		have: {color: '#3D82B5'},
		ready: {color: '#007A5A'},
		fresh: {color: '#003A66'},
		rest: {color: '#5A9A86'},
		missing: {color: '#7E8994'},
		pledged: {color: '#8E4FB5'},
		rule: {color: '#7E8994'},
		row: {backgroundColor: '#D6E4F2'},
	},
};

/** The screen below a dialog: one muted color, a fainter one for bars, and no cursor. */
export function dimmedTheme({label, rule}: Theme): Theme {
	const [quiet, bar]: Style[] =
		label.color === undefined ? [{dimColor: true}, {dimColor: true}] : [label, rule];
	const bars: readonly string[] = ['have', 'ready', 'fresh', 'pledged', 'rest', 'missing'];
	return Object.fromEntries(
		Object.keys(plain).map(role => [role, bars.includes(role) ? bar : quiet]),
	) as Theme;
}

export const ThemeContext = createContext<Theme>(plain);

export function useTheme(): Theme {
	return useContext(ThemeContext);
}
