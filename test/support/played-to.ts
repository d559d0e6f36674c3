// How far mpv plays a stretch.
import {execFile} from 'node:child_process';
import {promisify} from 'node:util';

/** Resolves with the last time of the stretch that mpv shows, in milliseconds. Rejects if it fails or takes a minute. */
export async function playedTo(url: string, fromMs: number, toMs: number): Promise<number> {
	const {stdout, stderr} = await promisify(execFile)(
		'mpv',
		[
			...['--no-config', '--vo=null', '--ao=null', '--ao-null-untimed=yes', '--untimed', '--cache-secs=10'],
			...['--msg-level=all=error,statusline=status', '--term-status-msg=at ${=time-pos} end', '--cache=yes'],
			...[`--start=${fromMs / 1000}`, `--end=${toMs / 1000}`, url],
		],
		{timeout: 60_000, maxBuffer: 16 * 1024 * 1024},
	);
	const seconds = [...(stdout + stderr).matchAll(/at ([\d.]+) end/g)].at(-1)?.[1];
	return Math.round(Number(seconds) * 1000);
}
