// A real linked mpv: its time, our commands, and the record after a kill of either side.
import assert from 'node:assert/strict';
import {EventEmitter} from 'node:events';
import {readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {settleMs} from '../source/dashboard/ui-store.ts';
import type {Download, DownloadEngine, Position} from '../source/downstream.ts';
import {attach} from '../source/host/find-instance.ts';
import {playDownload} from '../source/requests/launch-player.ts';
import {atEnd} from './support/cleanup.ts';
import {CliProcess} from './support/cli.ts';
import {startEngine, temporaryFolder, until} from './support/engines.ts';
import {serveFilm} from './support/films.ts';
import {startNginx} from './support/nginx.ts';
import {missing} from './support/programs.ts';
import {silence} from './support/silence.ts';
import {TestTerminal} from './support/terminal.ts';

const skip = missing('mpv', 'nginx');
/** A film on an origin, and an mpv without windows that reports its process id. */
async function startFilm(t: TestContext) {
	const folder = await temporaryFolder(t);
	await writeFile(path.join(folder, 'sound.wav'), silence(100));
	const url = `${await startNginx(t, folder)}/sound.wav`;
	const player = path.join(folder, 'mpv');
	const pidFile = path.join(folder, 'pid');
	await writeFile(
		player,
		`#!/bin/sh
echo $$ > '${pidFile}'
exec mpv --no-config --no-terminal --vo=null --ao=null "$@"
`,
		{mode: 0o755},
	);
	const pid = async () => Number(await readFile(pidFile, 'utf8').catch(() => NaN));
	atEnd(t, async () => end(await pid()));
	return {url, player, pid};
}

/** Ends a running player. */
function end(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		// It has exited, or never started.
	}
}

const first = ({snapshot}: DownloadEngine): Download => snapshot.downloads[0]!;

test('a linked mpv shows its time, seeks, pauses and exits', {skip}, async t => {
	const {url, player, pid} = await startFilm(t);
	const {engine} = await startEngine(t);
	const {id} = (await engine.add({url, name: 'A film — with a name.wav'})).download;
	const known = await until(engine, id, ({size}) => size !== null);
	assert.equal(await playDownload(engine, known, {player, startMs: 0}), 'mpv');
	const {playback} = await until(
		engine,
		id,
		({position, playback}) => position !== null && playback?.durationMs === 100_000,
	);
	assert.match(playback!.player, /^mpv \d+\.\d+/);
	await until(engine, id, ({position}) => position!.ms > 0);
	await engine.controlPlayer(id, {seekMs: 40_000});
	await until(engine, id, ({position}) => position!.ms > 40_000);
	await engine.controlPlayer(id, {pause: true});
	await until(engine, id, ({playback}) => playback!.paused);
	await engine.controlPlayer(id, {pause: false, seekMs: 98_000});
	const watched = await until(engine, id, ({playback}) => playback === null);
	assert.deepEqual([watched.position!.watched, watched.position!.ms], [true, 100_000]);

	await playDownload(engine, known, {player, startMs: 50_000});
	await until(engine, id, ({position}) => position!.ms >= 50_000 && !position!.watched);
	end(await pid());
	const {position} = await until(engine, id, ({playback}) => playback === null);
	assert.ok(position!.ms >= 50_000 && position!.ms < 60_000 && !position!.watched, `${position!.ms}`);
});

test('the stalls of mpv are those of the origin', {skip}, async t => {
	const {player} = await startFilm(t);
	const bytes = silence(20, 192_000);
	/** The origin waits before each of these bytes. */
	const gates = [2_000_000, 4_000_000];
	const opened = new EventEmitter();
	const origin = await serveFilm(t, bytes, {
		headers: {'content-type': 'audio/wav'},
		intercept(_request, response, {range}) {
			const {end} = range ?? {end: bytes.length};
			let start = range?.start ?? 0;
			response.writeHead(range ? 206 : 200, {
				'content-length': end - start,
				'accept-ranges': 'bytes',
				etag: '"film"',
				...(range && {'content-range': `bytes ${start}-${end - 1}/${bytes.length}`}),
			});
			const write = () => {
				const gate = Math.min(end, gates[0] ?? end);
				if (start < gate) {
					response.write(bytes.subarray(start, gate));
					start = gate;
				}

				if (start === end) {
					response.end();
				}
			};

			write();
			opened.on('gate', write);
			return true;
		},
	});
	const {engine} = await startEngine(t, {connections: 1});
	const {id} = (await engine.add({url: origin.urlOf('/sound.wav')})).download;
	const known = await until(engine, id, ({size}) => size !== null);
	await playDownload(engine, known, {player, startMs: 0});
	for (let stalls = 1; gates.length > 0; stalls++) {
		await until(engine, id, ({playback}) => playback?.stalled === true && playback.stalls === stalls);
		gates.shift();
		opened.emit('gate');
		await until(engine, id, ({playback}) => playback?.stalled === false);
	}

	const {playback} = await until(engine, id, ({position}) => position!.ms > 7000);
	assert.deepEqual([playback?.stalls, playback?.durationMs], [2, 20_000]);
});

test('the position survives SIGKILL of the program, and play continues there', {skip}, async t => {
	const {url, player, pid} = await startFilm(t);
	const storage = path.join(await temporaryFolder(t), 'storage');
	const runtime = await temporaryFolder(t);
	const serveArgs = ['--storage', storage, '--port', '0', '--proxy', 'direct'];
	const args = [...serveArgs, '--player', player];
	const env = {XDG_RUNTIME_DIR: runtime};
	const program = await CliProcess.start(t, ['play', ...args, url], {env});
	const client = await attachWhenReady(storage);
	atEnd(t, () => client.dispose());
	// It accepts commands once it has a position.
	const {id} = await untilFirst(client, ({playback, position}) => playback !== null && position !== null);
	assert.equal((await stat(path.join(runtime, 'downstream-tui'))).mode & 0o777, 0o700);
	await client.controlPlayer(id, {seekMs: 60_000});
	const recorded = await untilRecorded(path.join(storage, id, 'entry.json'), ({ms}) => ms >= 60_000);
	await program.kill();
	end(await pid());
	assert.ok(recorded.ms < 80_000 && recorded.exact && !recorded.watched);

	const next = await CliProcess.start(t, ['play', ...args, url], {env});
	const other = await attachWhenReady(storage);
	atEnd(t, () => other.dispose());
	await untilFirst(other, ({playback, position}) => playback !== null && position!.ms > 60_000);
	const [, place = ''] = / is playing sound\.wav at (1:\d\d) from http/.exec(next.stdout) ?? [];
	assert.notEqual(place, '', next.stdout);

	// The run ends with its player; a running instance starts the next one.
	end(await pid());
	assert.equal(await next.exit(), 0, next.stderr);
	const instance = await CliProcess.start(t, ['serve', '--json', ...serveArgs], {env});
	await instance.event('ready');
	const asking = await TestTerminal.start(t, ['play', ...args, '--continue', 'ask', url], {
		columns: 100,
		rows: 10,
		env,
	});
	await asking.shows(/Continue at 1:\d\d\? \[Y\/n\]/);
	asking.press('n');
	asking.press('enter');
	await asking.shows(/is playing sound\.wav from/);
	assert.equal(await asking.exit(), 0);
});

test('keys of the dashboard seek and pause mpv', {skip}, async t => {
	const {url, player} = await startFilm(t);
	const storage = path.join(await temporaryFolder(t), 'storage');
	const args = ['--storage', storage, '--port', '0', '--proxy', 'direct', '--player', player];
	const terminal = await TestTerminal.start(t, [...args, url], {columns: 110, rows: 40});
	await terminal.shows('sound.wav');
	terminal.press('o');
	await terminal.shows(/► 0:\d\d/);
	terminal.press('enter');
	await terminal.shows(/Player +mpv .* of 1:40 .*\n[\s\S]*g go to/);
	terminal.press('up');
	await terminal.shows(/Player +mpv .* 1:[0-3]\d of 1:40/);
	terminal.press(' ');
	await terminal.shows(/Player +mpv .* of 1:40 · paused/);
	terminal.press('g');
	await terminal.shows('Go to: sound.wav');
	terminal.press('15');
	await sleep(2 * settleMs);
	terminal.press('enter');
	await terminal.shows(/Player +mpv .* 0:15 of 1:40 · paused/);
	terminal.press('left');
	await terminal.shows(/Player +mpv .* 0:05 of 1:40 · paused/);
});

async function attachWhenReady(storage: string) {
	for (;;) {
		const client = await attach(storage);
		if (client) {
			return client;
		}

		await sleep(50);
	}
}

async function untilFirst(
	client: DownloadEngine,
	condition: (download: Download) => boolean,
): Promise<Download> {
	for (;;) {
		if (first(client) && condition(first(client))) {
			return first(client);
		}

		await new Promise<void>(resolve => {
			const unsubscribe = client.subscribe(() => {
				unsubscribe();
				resolve();
			});
			setTimeout(resolve, 200);
		});
	}
}

/** Reads the record like the next run. */
async function untilRecorded(file: string, condition: (position: Position) => boolean): Promise<Position> {
	for (;;) {
		const {position} = JSON.parse(await readFile(file, 'utf8')) as {position?: Position};
		if (position && condition(position)) {
			return position;
		}

		await sleep(50);
	}
}
