// Positions after kills of the program and of its player: how old the recorded one is, by the clock of mpv.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Download, Position} from '../source/downstream.ts';
import {atEnd} from '../test/support/cleanup.ts';
import {CliProcess, type Ready} from '../test/support/cli.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {connected} from '../test/support/connected.ts';
import {askMpv} from '../test/support/mpv-socket.ts';
import {missing} from '../test/support/programs.ts';
import {silence} from '../test/support/silence.ts';
import {randomOf} from '../test/support/soak.ts';
import {median, until} from './measure.ts';
import {startOrigin} from './origins.ts';
import {atMost} from './report.ts';
import type {Bench} from './section.ts';

/** Five rounds make 100 kills. */
const killsOfRound = 20;
/** Kills at the same time. */
const group = 10;
/** Seconds. */
const film = {name: 'sound.wav', seconds: 120};
const playsAtLeast = 3;
const playsAtMost = 9;

export async function positions(bench: Bench): Promise<void> {
	const {report, root, rounds} = bench;
	const needs = missing('mpv');
	if (needs !== false) {
		report.skip(`positions ${needs}`);
		return;
	}

	await writeFile(path.join(root, film.name), silence(film.seconds));
	const random = randomOf(1);
	for (const victim of ['the program', 'its player'] as const) {
		const ages: number[] = [];
		while (ages.length < (killsOfRound * rounds) / 2) {
			const kills = Array.from({length: group}, () => {
				const seconds = playsAtLeast + random() * (playsAtMost - playsAtLeast);
				return ageAfterKill(bench, victim, seconds);
			});
			ages.push(...(await Promise.all(kills)));
		}

		const what = `${ages.length} kills of ${victim}: age of the position`;
		report.state(`${what}, median`, 's', median(ages));
		report.state(`${what}, oldest`, 's', Math.max(...ages), atMost(5));
	}
}

/** Resolves with seconds of the film. */
function ageAfterKill(
	{root, scope}: Bench,
	victim: 'the program' | 'its player',
	seconds: number,
): Promise<number> {
	return scope(async t => {
		const {url} = await startOrigin(t, root);
		const storage = await temporaryFolder(t);
		const env = {XDG_RUNTIME_DIR: await temporaryFolder(t)};
		const program = await CliProcess.start(
			t,
			['serve', '--json', '--port', '0', '--storage', storage, '--proxy', 'direct'],
			{env},
		);
		const ready = (await program.event('ready')) as unknown as Ready;
		const ask = async <Answer>(path: string, body?: object) => {
			const response = await fetch(`${ready.url}/api${path}`, {
				...(body && {method: 'POST', body: JSON.stringify(body)}),
				headers: {authorization: `Bearer ${ready.key}`, 'content-type': 'application/json'},
			});
			return (await response.json()) as Answer;
		};

		const {id, streamUrl} = await ask<Download>('/downloads', {url: `${url}/${film.name}`});
		const {socket} = await ask<{socket: string}>(`/downloads/${id}/link-player`, {});
		const player = spawn(
			'mpv',
			['--no-config', '--vo=null', '--ao=null', '--really-quiet', `--input-ipc-server=${socket}`, streamUrl],
			{stdio: 'ignore'},
		);
		const ended = once(player, 'exit');
		atEnd(t, async () => {
			player.kill('SIGKILL');
			await ended;
		});
		const shown = () => ask<Download>(`/downloads/${id}`);
		await until(async () => (await shown()).position !== null, 'the position');
		const link = await connected({path: socket});
		atEnd(t, () => link.destroy());
		await sleep(seconds * 1000);

		const truth = Number(await askMpv(link, 'time-pos'));
		if (victim === 'the program') {
			await program.kill();
		} else {
			process.kill(player.pid!, 'SIGKILL');
			await until(async () => (await shown()).playback === null, 'the end of the link');
			await program.kill('SIGTERM');
		}

		const record = await readFile(path.join(storage, id, 'entry.json'), 'utf8');
		const {position} = JSON.parse(record) as {position?: Position};
		return truth - (position?.ms ?? 0) / 1000;
	});
}
