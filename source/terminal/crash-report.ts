// Reports a fault of the program to the user.
import {writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {escapeControls} from '../text/escape-controls.ts';

/** Prints two lines, and writes details to a file that only the user can read. */
export function reportCrash(error: unknown): void {
	const report = path.join(tmpdir(), `downstream-crash-${process.pid}.txt`);
	const {message, stack} = error instanceof Error ? error : {message: String(error), stack: undefined};
	try {
		writeFileSync(report, `${new Date().toISOString()} Node ${process.version}\n${stack ?? message}\n`, {
			mode: 0o600,
			flag: 'wx',
		});
	} catch {
		// The two lines below still report the crash.
	}

	const [firstLine = ''] = message.split('\n');
	process.stderr.write(
		`downstream-tui crashed: ${escapeControls(firstLine)}.\nYour downloads are kept. Report: ${report}\n`,
	);
}
