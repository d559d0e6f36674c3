// What is switched in the terminal besides what Ink does itself, and how all of it is put back.
import {writeSync} from 'node:fs';
import process from 'node:process';

const escape = '\u001B[';

/** Title kept; no line breaks by itself, so that a name wider than thought cannot break the screen. */
const enterSequence = `${escape}22;2t${escape}?7l`;

/** Everything that may be on, off. */
const restoreSequence = [
	`${escape}?2026l`,
	`${escape}?1006l${escape}?1000l`,
	`${escape}?2004l`,
	`${escape}0m`,
	`${escape}?7h`,
	`${escape}?25h`,
	`${escape}?1049l`,
	`${escape}23;2t`,
].join('');

/** Returns what puts everything back: synchronous, for every way out. */
export function enterTerminal(): () => void {
	process.stdout.write(enterSequence);
	let isEntered = true;
	return () => {
		// Only once: leaving the alternate screen again would move the cursor up into what was printed since.
		if (!isEntered) {
			return;
		}

		isEntered = false;
		try {
			writeSync(1, restoreSequence);
			process.stdin.setRawMode?.(false);
		} catch {
			// The terminal is gone.
		}
	};
}

/** Whether lines and blocks can be drawn: a locale of UTF-8, and more than the bare Linux console. */
export function hasUnicode(environment: NodeJS.ProcessEnv, platform: NodeJS.Platform): boolean {
	if (platform === 'win32') {
		return true;
	}

	const locale = environment.LC_ALL || environment.LC_CTYPE || environment.LANG || '';
	return environment.TERM !== 'linux' && /utf-?8/i.test(locale);
}
