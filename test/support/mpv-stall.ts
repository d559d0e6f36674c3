// mpv, played until it waits for bytes.
import {spawn} from 'node:child_process';
import {once} from 'node:events';

import path from 'node:path';
import readline from 'node:readline';
import type {TestContext} from 'node:test';
import {connected} from './connected.ts';
import {temporaryFolder} from './engines.ts';

/** Milliseconds. A shorter wait is the machine's. */
const stallMs = 1000;

/** Resolves with the second of the film at which mpv waits for bytes; Infinity if it plays to the end. */
export async function playUntilStall(
	t: TestContext,
	url: string,
	...args: readonly string[]
): Promise<number> {
	const socket = path.join(await temporaryFolder(t), 'mpv.sock');
	const options = ['--no-config', '--vo=null', '--ao=null', '--really-quiet', '--cache=yes'];
	const child = spawn('mpv', [...options, `--input-ipc-server=${socket}`, ...args, url], {stdio: 'ignore'});
	const ended = once(child, 'exit');
	try {
		const link = await connected({path: socket});
		for (const [id, name] of ['time-pos', 'paused-for-cache'].entries()) {
			link.write(`${JSON.stringify({command: ['observe_property', id + 1, name]})}\n`);
		}

		return await stallIn(readline.createInterface({input: link}));
	} finally {
		// It may wait for bytes.
		child.kill('SIGKILL');
		await ended;
	}
}

async function stallIn(events: readline.Interface): Promise<number> {
	let second: number | undefined;
	let stalledAt = Infinity;
	let timer: NodeJS.Timeout | undefined;
	for await (const text of events) {
		const {event, name, data} = JSON.parse(text) as {event?: string; name?: string; data?: unknown};
		if (event === 'end-file') {
			break;
		}

		if (event === 'property-change' && name === 'time-pos' && typeof data === 'number') {
			second = data;
		} else if (event === 'property-change' && name === 'paused-for-cache') {
			clearTimeout(timer);
			const at = second;
			if (data === true && at !== undefined) {
				timer = setTimeout(() => {
					stalledAt = at;
					events.close();
				}, stallMs);
			}
		}
	}

	clearTimeout(timer);
	return stalledAt;
}
