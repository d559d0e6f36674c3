import assert from 'node:assert/strict';
import {chmod, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {playDownload, playerCommand, startArguments} from '../source/requests/launch-player.ts';
import {cleanText} from '../source/text/clean-text.ts';
import {blankDownload} from './support/blank-download.ts';
import {temporaryFolder} from './support/engines.ts';
import {MemoryDownStream} from './support/memory-downstream.ts';

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

test('a player that cannot be linked plays all the same', async t => {
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
	test(`${command.join(' ')} starts where the film was left`, () => {
		assert.deepEqual(startArguments(command, {title: 'A', startMs: 2_467_890, socket: '/s'}), expected);
	});
}

test('a film from its start needs no options for its place', () => {
	assert.deepEqual(startArguments(['mpv'], {title: 'A', startMs: 0}), ['--force-media-title=A']);
	assert.deepEqual(startArguments(['vlc'], {title: 'A', startMs: 0}), []);
});
