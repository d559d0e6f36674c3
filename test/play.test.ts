import assert from 'node:assert/strict';
import {chmod, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {play, playerCommand} from '../source/requests/launch-player.ts';
import {temporaryFolder} from './support/engines.ts';

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
	const url = "http://127.0.0.1:8080/stream/1/a'b;$(touch x).mkv";
	assert.equal(await play(url, {environment}), 'mpv');
	let written = '';
	while (written === '') {
		written = await readFile(said, 'utf8').catch(() => '');
		await sleep(10);
	}

	assert.equal(written, `${url}\n`);
	await assert.rejects(play(url, {player: '/nowhere/player'}), /\/nowhere\/player cannot be started/);
});
