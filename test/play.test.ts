import assert from 'node:assert/strict';
import {chmod, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {setImmediate as nextTurn, setTimeout as sleep} from 'node:timers/promises';
import {untilDone} from '../source/cli/run/serve.ts';
import type {Download} from '../source/downstream.ts';
import {playDownload, playerCommand, startArguments} from '../source/requests/launch-player.ts';
import {cleanText} from '../source/text/clean-text.ts';
import {blankDownload} from './support/blank-download.ts';
import {temporaryFolder} from './support/engines.ts';
import {download, idOf, MemoryDownStream} from './support/memory-downstream.ts';

test('the first installed player is used unless one is named', async t => {
	const folder = await temporaryFolder(t);
	const environment = {PATH: folder};
	await assert.rejects(playerCommand(undefined, environment, 'linux'), /no player found; install mpv/);
	await writeFile(path.join(folder, 'vlc'), '#!/bin/sh\n', {mode: 0o755});
	assert.deepEqual(await playerCommand(undefined, environment, 'linux'), ['vlc']);
	await writeFile(path.join(folder, 'mpv'), '#!/bin/sh\n', {mode: 0o644});
	assert.deepEqual(await playerCommand(undefined, environment, 'linux'), ['vlc']);
	await chmod(path.join(folder, 'mpv'), 0o755);
	assert.deepEqual(await playerCommand(undefined, environment, 'linux'), ['mpv']);
	assert.deepEqual(await playerCommand('"my player" --fs $HOME', environment, 'linux'), [
		'my player',
		'--fs',
		'$HOME',
	]);
	await assert.rejects(playerCommand('mpv | cat', environment, 'linux'), /it must be a plain command/);
	await assert.rejects(playerCommand(' ', environment, 'linux'), /it must be a plain command/);
});

test('a player starts without a shell and gets the URL as one argument', async t => {
	const folder = await temporaryFolder(t);
	const said = path.join(folder, 'said');
	await writeFile(
		path.join(folder, 'mpv'),
		`#!/bin/sh\nprintf '%s\\n' "$@" > ${said}.part\nmv ${said}.part ${said}\n`,
		{
			mode: 0o755,
		},
	);
	const environment = {PATH: `${folder}:${process.env.PATH}`};
	const streamUrl = "http://127.0.0.1:8080/stream/1/a'b;$(touch x).mkv";
	const name = 'a\u202Eb.mkv';
	const download = {...blankDownload, streamUrl, name};
	const downstream = new MemoryDownStream();
	assert.equal(await playDownload(downstream, download, {environment, startMs: 0}), 'mpv');
	let written = '';
	while (written === '') {
		written = await readFile(said, 'utf8').catch(() => '');
		await sleep(10);
	}

	const title = cleanText(name);
	assert.equal(written, `--input-ipc-server=/run/player.sock\n--force-media-title=${title}\n${streamUrl}\n`);
	await assert.rejects(
		playDownload(downstream, download, {player: '/nowhere/player', startMs: 0}),
		/\/nowhere\/player cannot be started/,
	);
	assert.deepEqual(downstream.calls, [['linkPlayer', download.id]]);
});

test('a player without a link plays too', async t => {
	const folder = await temporaryFolder(t);
	const player = path.join(folder, 'mpv');
	await writeFile(player, '#!/bin/sh\n', {mode: 0o755});
	const downstream = new MemoryDownStream();
	downstream.failure = new Error('no socket');
	assert.equal(await playDownload(downstream, blankDownload, {player, startMs: 0}), 'mpv');
});

for (const [command, expected] of [
	[
		['mpv', '--fs'],
		['--input-ipc-server=/s', '--force-media-title=A', '--start=2467.89', '--resume-playback=no'],
	],
	[
		['C:/mpv/mpv.exe'],
		['--input-ipc-server=/s', '--force-media-title=A', '--start=2467.89', '--resume-playback=no'],
	],
	[
		['mpv', '--start=5', '--input-ipc-server=/own'],
		['--force-media-title=A', '--resume-playback=no'],
	],
	[
		['/Applications/IINA.app/Contents/MacOS/iina-cli'],
		[
			...['--mpv-input-ipc-server=/s', '--mpv-force-media-title=A'],
			...['--mpv-start=2467.89', '--mpv-resume-playback=no'],
		],
	],
	[['/Applications/VLC.app/Contents/MacOS/VLC'], ['--start-time=2467']],
	[['vlc'], ['--start-time=2467']],
	[['haruna'], []],
	[['flatpak', 'run', 'io.mpv.Mpv'], []],
] as const) {
	test(`${command.join(' ')} starts at the last position of the film`, () => {
		assert.deepEqual(startArguments(command, {title: 'A', startMs: 2_467_890, socket: '/s'}), expected);
	});
}

test('a film from its start needs no options for its position', () => {
	assert.deepEqual(startArguments(['mpv'], {title: 'A', startMs: 0}), ['--force-media-title=A']);
	assert.deepEqual(startArguments(['vlc'], {title: 'A', startMs: 0}), []);
});

const mpv = {id: '1', name: 'mpv 0.38', offset: 0, ready: 0, readyMs: null, blocked: false, connected: true};
const playback = {
	player: 'mpv 0.38.0',
	durationMs: 60_000,
	paused: false,
	speed: 1,
	offset: null,
	stalled: false,
	stalls: 0,
	subtitles: null,
};

/** A run over these downloads, under a clock of its own. */
function runOf(t: TestContext, downloads: readonly Download[]) {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: 1_000_000});
	const downstream = new MemoryDownStream(downloads);
	const run = {
		downstream,
		outcome: undefined as string | undefined,
		ended: untilDone(downstream, new AbortController().signal, {since: Date.now()}),
		async pass(seconds: number) {
			for (let second = 0; second < seconds; second++) {
				t.mock.timers.tick(1000);
				await nextTurn();
			}
		},
	};
	void run.ended.then(outcome => {
		run.outcome = outcome;
	});
	return run;
}

test('a run ends once the file is complete and its linked player has ended', async t => {
	const run = runOf(t, [download({status: 'complete', playback, players: [mpv]})]);
	// A paused player closes its connection.
	run.downstream.change({downloads: [download({status: 'complete', playback})]});
	await run.pass(40);
	assert.equal(run.outcome, undefined);
	run.downstream.change({downloads: [download({status: 'complete', players: [{...mpv, connected: false}]})]});
	assert.equal(await run.ended, 'done');
});

test('a run waits for the player of another download after a linked player has ended', async t => {
	const [linked, unlinked] = [
		download({id: idOf(0), status: 'complete', playback}),
		download({id: idOf(1), status: 'complete', players: [mpv]}),
	];
	const run = runOf(t, [linked, unlinked]);
	run.downstream.change({
		downloads: [
			{...linked, playback: null},
			{...unlinked, players: []},
		],
	});
	await run.pass(29);
	assert.equal(run.outcome, undefined);
	t.mock.timers.tick(1000);
	assert.equal(await run.ended, 'done');
});

test('a run waits 30 s for a player without a link to connect again', async t => {
	const run = runOf(t, [download({status: 'complete', players: [mpv]})]);
	run.downstream.change({downloads: [download({status: 'complete', players: [{...mpv, connected: false}]})]});
	await run.pass(29);
	assert.equal(run.outcome, undefined);
	t.mock.timers.tick(1000);
	assert.equal(await run.ended, 'done');
});
