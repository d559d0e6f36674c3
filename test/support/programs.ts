// System programs for tests. Tests of a missing program are skipped, except in CI.
import {spawnSync} from 'node:child_process';
import process from 'node:process';

/** For `test(name, {skip: missing('nginx', 'mpv')}, …)`. */
export function missing(...programs: string[]): string | false {
	if (process.env.CI) {
		return false;
	}

	const absent = programs.filter(program => spawnSync('which', [program]).status !== 0);
	return absent.length > 0 ? `needs ${absent.join(', ')}` : false;
}
