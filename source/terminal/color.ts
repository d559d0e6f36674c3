// Selects the color level and theme. Does not import Ink, whose color level is fixed at import.
import process from 'node:process';
import type {WriteStream} from 'node:tty';
import {createSupportsColor} from 'supports-color';
import type {ThemeName} from '../dashboard/theme.ts';

export type ColorSetting = 'auto' | 'always' | 'never';

/** chalk's levels: 0 none, 1 sixteen, 2 of 256, 3 of 16 million. */
type ColorLevel = 0 | 1 | 2 | 3;

/**
 * Precedence: `--color`, NO_COLOR, FORCE_COLOR, the terminal. Reads the environment of the process, as supports-color
 * does.
 */
export function colorLevel(setting: ColorSetting, output: WriteStream): ColorLevel {
	if (setting === 'never' || (setting === 'auto' && process.env.NO_COLOR)) {
		return 0;
	}

	const isForced = setting === 'always';
	// Without a stream, it is not asked whether a terminal reads. Flags are checked by our own table.
	const {level} = createSupportsColor(isForced ? undefined : output, {sniffFlags: false}) || {level: 0};
	return isForced && level === 0 ? 1 : level;
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
