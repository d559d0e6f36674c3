// Selects the color level and theme. Does not import Ink, whose color level is fixed at import.
import type {ThemeName} from '../dashboard/theme.ts';

export type ColorSetting = 'auto' | 'always' | 'never';

/** chalk's levels: 0 none, 1 sixteen, 2 of 256, 3 of 16 million. */
export type ColorLevel = 0 | 1 | 2 | 3;

/** Precedence: `--color`, NO_COLOR, FORCE_COLOR, the terminal's own variables. */
export function colorLevel(
	setting: ColorSetting,
	environment: NodeJS.ProcessEnv,
	isTerminal: boolean,
): ColorLevel {
	const {NO_COLOR, FORCE_COLOR} = environment;
	const detected = terminalLevel(environment);
	if (setting === 'never') {
		return 0;
	}

	if (setting === 'always') {
		return detected === 0 ? 1 : detected;
	}

	if (NO_COLOR !== undefined && NO_COLOR !== '') {
		return 0;
	}

	if (FORCE_COLOR !== undefined) {
		const forced: Record<string, ColorLevel> = {'0': 0, false: 0, '1': 1, '2': 2, '3': 3};
		// Without a number: the terminal's level, but at least the basic colors.
		return forced[FORCE_COLOR] ?? (detected === 0 ? 1 : detected);
	}

	return isTerminal ? detected : 0;
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

/** chalk ignores NO_COLOR and cannot be configured later: the variables must be set before it is loaded. */
export function exportColorLevel(level: ColorLevel, environment: NodeJS.ProcessEnv): void {
	environment.FORCE_COLOR = String(level);
	delete environment.NO_COLOR;
}

/** While the background is unknown, only colors that every terminal keeps readable. */
export function themeName(level: ColorLevel, background: 'dark' | 'light' | undefined): ThemeName {
	if (level === 0) {
		return 'plain';
	}

	return level === 1 || background === undefined ? 'ansi' : background;
}
