// Whether to colour, how finely, and for which background. No import of Ink: its colour level is fixed at import.
import type {ThemeName} from '../dashboard/theme.ts';

export type ColorWish = 'auto' | 'always' | 'never';

/** As chalk counts: 0 none, 1 sixteen, 2 of 256, 3 of 16 million. */
export type ColorLevel = 0 | 1 | 2 | 3;

/** `--color`, then NO_COLOR, then FORCE_COLOR, then what the terminal says of itself. */
export function colorLevel(wish: ColorWish, environment: NodeJS.ProcessEnv, isTerminal: boolean): ColorLevel {
	const {NO_COLOR, FORCE_COLOR} = environment;
	const told = terminalLevel(environment);
	if (wish === 'never') {
		return 0;
	}

	if (wish === 'always') {
		return told === 0 ? 1 : told;
	}

	if (NO_COLOR !== undefined && NO_COLOR !== '') {
		return 0;
	}

	if (FORCE_COLOR !== undefined) {
		const forced: Record<string, ColorLevel> = {'0': 0, false: 0, '1': 1, '2': 2, '3': 3};
		// Without a number: whatever the terminal can do, and at least the basic ones.
		return forced[FORCE_COLOR] ?? (told === 0 ? 1 : told);
	}

	return isTerminal ? told : 0;
}

function terminalLevel({COLORTERM = '', TERM = '', TERM_PROGRAM, WT_SESSION}: NodeJS.ProcessEnv): ColorLevel {
	if (TERM === 'dumb') {
		return 0;
	}

	if (/^(?:truecolor|24bit)$/.test(COLORTERM) || WT_SESSION !== undefined || TERM_PROGRAM === 'vscode') {
		return 3;
	}

	return /-256(?:color)?$/.test(TERM) ? 2 : 1;
}

/** chalk knows neither NO_COLOR nor levels of its own: it is told before it is loaded. */
export function tellColorLevel(level: ColorLevel, environment: NodeJS.ProcessEnv): void {
	environment.FORCE_COLOR = String(level);
	delete environment.NO_COLOR;
}

/** Without knowing the background, only colours that every terminal makes readable itself. */
export function themeName(level: ColorLevel, background: 'dark' | 'light' | undefined): ThemeName {
	if (level === 0) {
		return 'plain';
	}

	return level === 1 || background === undefined ? 'ansi' : background;
}
