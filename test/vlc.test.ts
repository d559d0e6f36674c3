// A real VLC, which no link reaches: its inferred time against its own clock.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, readdirSync} from 'node:fs';
import {chmod, writeFile} from 'node:fs/promises';

import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {atEnd} from './support/cleanup.ts';
import {connected} from './support/connected.ts';
import {downloadOf, startEngine, temporaryFolder, until} from './support/engines.ts';
import {freePort, startNginx} from './support/nginx.ts';
import {missing} from './support/programs.ts';
import {silence} from './support/silence.ts';

/** VLC is only a frame without them. */
function missingPlugins(): string | false {
	const folders = existsSync('/usr/lib') ? readdirSync('/usr/lib') : [];
	const isThere = folders.some(folder => existsSync(`/usr/lib/${folder}/vlc/plugins/lua`));
	return isThere || process.env.CI ? false : 'needs the plugins of VLC (vlc-plugin-base)';
}

/** The film takes 768 kB each second. */
const film = {seconds: 100, rate: 192_000};
const nobody = 65_534;

/** Plays a stream, controlled by its `rc` interface. */
async function startVlc(t: TestContext, url: string) {
	const home = await temporaryFolder(t);
	await chmod(home, 0o777);
	const port = await freePort();
	const child = spawn(
		'vlc',
		[
			...['-I', 'rc', '--rc-host', `127.0.0.1:${port}`, '--no-dbus', '--no-video'],
			...['--vout', 'dummy', '--aout', 'adummy', url],
		],
		{
			stdio: 'ignore',
			env: {PATH: process.env.PATH, HOME: home},
			// It refuses to run as root.
			...(process.geteuid?.() === 0 && {uid: nobody, gid: nobody}),
		},
	);
	const ended = once(child, 'exit');
	atEnd(t, async () => {
		child.kill('SIGKILL');
		await ended;
	});
	const socket = await connected({port, host: '127.0.0.1'});
	atEnd(t, () => socket.destroy());
	socket.setEncoding('utf8');
	return {
		command: (words: string) => socket.write(`${words}\n`),
		/** Resolves with its time in milliseconds. */
		async time(): Promise<number> {
			let text = '';
			const read = (more: string) => {
				text += more;
			};

			socket.on('data', read);
			socket.write('get_time\n');
			while (!/\d+\s*\n/.test(text)) {
				await once(socket, 'data');
			}

			socket.off('data', read);
			return 1000 * Number(/(\d+)\s*\n/.exec(text)![1]);
		},
	};
}

test(
	'the time of VLC is inferred within 15 s, also after a seek and a pause',
	{skip: missing('vlc', 'nginx') || missingPlugins()},
	async t => {
		const folder = await temporaryFolder(t);
		await writeFile(path.join(folder, 'sound.wav'), silence(film.seconds, film.rate));
		const {engine} = await startEngine(t);
		const {id, streamUrl} = (await engine.add({url: `${await startNginx(t, folder)}/sound.wav`})).download;
		await until(engine, id, ({status}) => status === 'complete');
		const vlc = await startVlc(t, streamUrl);
		const isNear = async () => {
			const truth = await vlc.time();
			const {ms, exact} = downloadOf(engine, id).position!;
			assert.ok(!exact && Math.abs(ms - truth) <= 15_000, `${ms} instead of ${truth}`);
			return ms;
		};

		await until(engine, id, ({position}) => position !== null);
		await isNear();
		vlc.command('seek 40');
		await until(engine, id, ({position}) => position!.ms > 40_000);
		await isNear();
		vlc.command('pause');
		await sleep(20_000);
		const paused = await isNear();
		vlc.command('pause');
		await until(engine, id, ({position}) => position!.ms > paused);
		await isNear();
	},
);
