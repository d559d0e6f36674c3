// What is switched in the terminal besides what Ink does itself, and how all of it is put back.
import {writeSync} from 'node:fs';
import process from 'node:process';

const escape = '\u001B[';

/** No line breaks by itself, so that a name wider than thought cannot break the screen. */
const enter = `${escape}?7l`;
const leave = `${escape}?7h`;
const keepTitle = `${escape}22;2t`;

/** Everything that may be on, off. */
const restoreSequence = [
	`${escape}?2026l`,
	mouseSequence(false),
	`${escape}?2004l`,
	`${escape}0m`,
	leave,
	`${escape}?25h`,
	`${escape}?1049l`,
	`${escape}23;2t`,
].join('');

export type EnteredTerminal = {
	/** For when the screen is somebody else's for a while, and ours again. */
	readonly leave: string;
	readonly enter: string;
	/** Puts everything back: synchronous, for every way out. */
	readonly restore: () => void;
};

/** Clicks and the wheel, in the form that has no limit of columns. */
export function mouseSequence(on: boolean): string {
	return on ? `${escape}?1000h${escape}?1006h` : `${escape}?1006l${escape}?1000l`;
}

/** `keys` is what they are read from; those typed from now on wait for who reads them. */
export function enterTerminal(keys: NodeJS.ReadStream): EnteredTerminal {
	// Ink does so only after it has drawn: until then Ctrl+Z would be a signal, to everything in the group but us.
	keys.setRawMode?.(true);
	process.stdout.write(keepTitle + enter);
	let isEntered = true;
	const restore = () => {
		// Only once: leaving the alternate screen again would move the cursor up into what was printed since.
		if (!isEntered) {
			return;
		}

		isEntered = false;
		try {
			writeSync(1, restoreSequence);
			keys.setRawMode?.(false);
		} catch {
			// The terminal is gone.
		}
	};
	return {enter, leave, restore};
}

/** Whether lines and blocks can be drawn: a locale of UTF-8, and more than the bare Linux console. */
export function hasUnicode(environment: NodeJS.ProcessEnv, platform: NodeJS.Platform): boolean {
	if (platform === 'win32') {
		return true;
	}

	const locale = environment.LC_ALL || environment.LC_CTYPE || environment.LANG || '';
	return environment.TERM !== 'linux' && /utf-?8/i.test(locale);
}
