// Terminal modes beyond those of Ink, and how to restore them.
import {writeSync} from 'node:fs';
import process from 'node:process';

const escape = '\u001B[';

/** Disables automatic wrapping, so that a name of misjudged width cannot break the layout. */
const enter = `${escape}?7l`;
const leave = `${escape}?7h`;
const saveTitle = `${escape}22;2t`;

/** Turns off every mode that may be on. */
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

type EnteredTerminal = {
	/** For lending the screen to another program and taking it back. */
	readonly leave: string;
	readonly enter: string;
	/** Restores everything. Synchronous, so that it works on every exit path. */
	readonly restore: () => void;
	/** Queues the restoration for a terminal that takes no output now. */
	readonly restoreLater: () => void;
};

/** Clicks and the wheel, in the encoding without a column limit. */
export function mouseSequence(on: boolean): string {
	return on ? `${escape}?1000h${escape}?1006h` : `${escape}?1006l${escape}?1000l`;
}

/** `keys` is the input stream. Keys typed from now on are buffered until it is read. */
export function enterTerminal(keys: NodeJS.ReadStream): EnteredTerminal {
	// Ink does so only after the first frame; until then, Ctrl+Z would send a signal to the other processes of the
	// group.
	keys.setRawMode?.(true);
	process.stdout.write(saveTitle + enter);
	let isEntered = true;
	const restore = () => {
		// Only once: leaving the alternate screen again would move the cursor up into newer output.
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
	const restoreLater = () => {
		isEntered = false;
		process.stdout.write(restoreSequence);
	};
	return {enter, leave, restore, restoreLater};
}

/** True if box-drawing characters are available: a UTF-8 locale, and not the bare Linux console. */
export function hasUnicode(environment: NodeJS.ProcessEnv, platform: NodeJS.Platform): boolean {
	if (platform === 'win32') {
		return true;
	}

	const locale = environment.LC_ALL || environment.LC_CTYPE || environment.LANG || '';
	return environment.TERM !== 'linux' && /utf-?8/i.test(locale);
}
