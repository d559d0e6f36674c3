import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {get} from 'node:http';
import {chmod, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import stringWidth from 'string-width';
import {attach} from '../source/host/find-instance.ts';
import {StorageLock, storageOwner} from '../source/engine/store/storage-lock.ts';
import {CliProcess, startInstance} from './support/cli.ts';
import {collectionOf} from './support/collections.ts';
import {firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {modesLeft, TestTerminal} from './support/terminal.ts';

const run = promisify(execFile);
const MiB = 1024 * 1024;

for (const [columns, rows] of [
	[80, 24],
	[120, 40],
] as const) {
	test(`every key of the footer works on ${columns}x${rows}`, async t => {
		const origin = await startOrigin(t, {size: 120 * MiB, etag: '"v1"', bytesPerSecond: MiB});
		const folder = await temporaryFolder(t);
		// A fake clipboard program.
		const clipboard = path.join(folder, 'clipboard');
		await writeFile(path.join(folder, 'xclip'), `#!/bin/sh\ncat > ${clipboard}\n`);
		await chmod(path.join(folder, 'xclip'), 0o755);
		const env = {DISPLAY: ':99', PATH: `${folder}:${process.env.PATH}`};
		const args = [
			'--port',
			'0',
			'--storage',
			path.join(folder, 'storage'),
			'--export-dir',
			path.join(folder, 'out'),
			// Two connections leave a gap between their parts.
			...['--connections', '2'],
		];
		const terminal = await TestTerminal.start(t, args, {columns, rows, env});

		await terminal.shows('Nothing here yet');
		terminal.paste(`${origin.urlOf('/first-film.mkv')}\n${origin.urlOf('/second.mkv')}`);
		await terminal.shows('2 links');
		await terminal.answer('enter');
		await terminal.shows('Added 2');
		const filled = await terminal.shows(/↓ first-film\.mkv +[█▉-▏▓▒░▸·]*█[█▉-▏▓▒░▸·]*[▉-▏▸]/);
		for (const line of filled.split('\n')) {
			assert.ok(stringWidth(line) <= columns);
		}

		assert.match(filled, /▸ ↓ first-film\.mkv/);
		terminal.press('j');
		await terminal.shows(/▸ ↓ second\.mkv/);
		terminal.press('k');
		await terminal.shows(/▸ ↓ first-film\.mkv/);
		terminal.press('down');
		await terminal.shows(/▸ ↓ second\.mkv/);
		terminal.press('up');
		await terminal.shows(/▸ ↓ first-film\.mkv/);

		terminal.press('p');
		await terminal.shows(/‖ first-film\.mkv.*paused/);
		terminal.press('r');
		await terminal.shows(/↓ first-film\.mkv/);

		terminal.press('c');
		await terminal.shows('Copied the stream URL');
		const url = await readFile(clipboard, 'utf8');
		const {stdout} = await run('curl', ['-sS', '-r', '100000000-100000999', url], {encoding: 'buffer'});
		assert.equal(stdout.length, 1000);
		assert.equal(firstWrongByte(stdout, 100_000_000), -1);
		await terminal.shows(/first-film\.mkv +[█▉-▏▓▒░▸·]+··[█▉-▏▓▒░▸┃]·/);

		terminal.press('enter');
		// The page of details replaces the list, which may dock a map too.
		await terminal.shows(/^(?![^]*\[1 all)/);
		await terminal.shows(/Map {2}1 cell = /);
		await terminal.shows(/Players .*curl .* at \d/);
		terminal.press('esc');
		await terminal.shows(/▸ ↓ first-film\.mkv/);

		terminal.press('?');
		await terminal.shows('pause or resume');
		terminal.press('up');
		await terminal.shows('a player reads here');
		terminal.press('esc');
		// The palette covers the list.
		await terminal.shows(/^(?![^]*What do you want)/);

		terminal.press('e');
		await terminal.shows(/To +.*first-film\.mkv/);
		await terminal.answer('ctrl+u');
		await terminal.shows(/To +│/);
		terminal.press(path.join(folder, 'xjkq?.mkv'));
		await terminal.shows('xjkq?.mkv');
		terminal.press('enter');
		await terminal.shows('Will be exported when complete');

		terminal.press('j');
		await terminal.shows(/▸ ↓ second\.mkv/);
		terminal.press('x');
		await terminal.shows('Remove this download?');
		await terminal.answer('enter');
		await terminal.shows(
			screen => /▸ ↓ second\.mkv/.test(screen) && !screen.includes('Remove this download?'),
		);
		terminal.press('x');
		await terminal.shows('Remove this download?');
		await terminal.answer('D');
		await terminal.shows(/Removed second\.mkv.*u undoes it/);
		assert.doesNotMatch(terminal.screen, /[↓‖] second\.mkv/);
		terminal.press('u');
		await terminal.shows(/[↓·] second\.mkv/);

		terminal.press('a');
		await terminal.shows('Add downloads');
		terminal.press('htps://typo');
		await terminal.shows('"htps" is not http or https');
		terminal.press('esc');
		await terminal.shows(/[↓·] second\.mkv/);

		origin.options.bytesPerSecond = undefined;
		await terminal.shows(/✓ first-film\.mkv.*done/);
		await terminal.shows(/✓ second\.mkv.*done/);
		while (!(await stat(path.join(folder, 'xjkq?.mkv')).catch(() => undefined))) {
			await sleep(20);
		}

		assert.equal(firstWrongByte(await readFile(path.join(folder, 'xjkq?.mkv')), 0), -1);
		terminal.press('q');
		assert.equal(await terminal.exit(), 0);
		assert.equal(terminal.isAlternate, false);
	});
}

test('q asks first while a download runs', async t => {
	const origin = await startOrigin(t, {size: 120 * MiB, bytesPerSecond: MiB});
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage, origin.url], {
		columns: 80,
		rows: 24,
	});
	await terminal.shows(/↓ film\.bin/);
	terminal.press('q');
	await terminal.shows('1 download is running');
	await terminal.answer('enter');
	await terminal.shows(/↓ film\.bin/);
	terminal.press('ctrl+c');
	await terminal.shows('Quit?');
	await terminal.answer('q');
	assert.equal(await terminal.exit(), 0);
	assert.match(terminal.screen, /^Stopped: film\.bin at [\d.<]+%\. downstream-tui continues it\.$/m);
	assert.doesNotMatch(terminal.screen, /Saving/);
});

test('R continues the downloads of an instance that has quit, on the same screen', async t => {
	const origin = await startOrigin(t, {size: 120 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const storage = await temporaryFolder(t);
	const {serve} = await startInstance(t, storage, origin.url);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage], {
		columns: 100,
		rows: 30,
	});
	await terminal.shows(/↓ film\.bin .* [KM]iB\/s/);
	serve.child.kill('SIGTERM');
	await terminal.shows('The other instance has quit. R continues its downloads.');
	await terminal.shows(/– film\.bin .* stopped/);
	await serve.exit();
	// As an instance that releases the folder late.
	const lock = await StorageLock.acquire(storage);
	terminal.press('R');
	await sleep(500);
	await lock.release();
	await terminal.shows(/↓ film\.bin .* [KM]iB\/s/);
	assert.doesNotMatch(terminal.screen, /has quit/);
	// Now this copy runs the downloads: leaving it asks.
	terminal.press('q');
	await terminal.shows('1 download is running');
	await terminal.answer('q');
	assert.equal(await terminal.exit(), 0);
	assert.match(terminal.screen, /Stopped: film\.bin/);
	assert.deepEqual(modesLeft(terminal.raw), []);
});

for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT'] as const) {
	test(`${signal} restores the terminal`, async t => {
		const storage = await temporaryFolder(t);
		const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage], {
			columns: 80,
			rows: 24,
		});
		await terminal.shows('Nothing here yet');
		assert.ok(terminal.isAlternate);
		terminal.signal(signal);
		assert.equal(await terminal.exit(), signal === 'SIGHUP' ? 129 : 130);
		assert.equal(terminal.isAlternate, false);
		assert.deepEqual(modesLeft(terminal.raw), []);
	});
}

test('a signal during the start ends the program', async t => {
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage], {
		columns: 80,
		rows: 24,
	});
	// The query for the background precedes the screen.
	while (!terminal.raw.includes('\u001B]11;?')) {
		await terminal.nextOutput();
	}

	terminal.signal('SIGTERM');
	assert.equal(await terminal.exit(), 130);
	assert.equal(await storageOwner(storage), undefined);
	assert.deepEqual(modesLeft(terminal.raw), []);
});

test('Ctrl+C twice quits at once and restores every mode', async t => {
	const origin = await startOrigin(t, {size: 120 * MiB, bytesPerSecond: MiB});
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage, '--mouse', origin.url], {
		columns: 80,
		rows: 24,
	});
	await terminal.shows(/↓ film\.bin/);
	await terminal.shows(() => modesLeft(terminal.raw).includes('?1006h'));
	terminal.press('ctrl+c');
	await terminal.shows('Quit?');
	terminal.press('ctrl+c');
	assert.equal(await terminal.exit(), 0);
	assert.deepEqual(modesLeft(terminal.raw), []);
});

test('closing the terminal ends the program, which releases its storage', async t => {
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage], {
		columns: 80,
		rows: 24,
	});
	await terminal.shows('Nothing here yet');
	assert.ok(existsSync(path.join(storage, 'owner.json')));
	terminal.hangUp();
	await terminal.exit();
	assert.equal(existsSync(path.join(storage, 'owner.json')), false);
});

test('the URL of the command line is selected, even if it is known or another instance runs', async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const start = (name: string) =>
		TestTerminal.start(t, ['--port', '0', '--storage', storage, origin.urlOf(`/${name}.bin`)], {
			columns: 80,
			rows: 24,
		});
	for (const name of ['a', 'b', 'c', 'b']) {
		const terminal = await start(name);
		await terminal.shows(new RegExp(`▸ ✓ ${name}\\.bin`));
		terminal.press('q');
		assert.equal(await terminal.exit(), 0);
	}

	await startInstance(t, storage);
	const attached = await start('d');
	await attached.shows(/✓ a\.bin[^]*▸ ✓ d\.bin/);
	attached.press('k');
	await attached.shows(/▸ ✓ c\.bin/);
});

test('the selected row is inverse from end to end, except for its bar', async t => {
	const storage = await collectionOf(t, 2);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage], {
		columns: 100,
		rows: 23,
	});
	await terminal.shows(/▸ ‖ film-number-0\.mkv/);
	const inverse = (name: string) => {
		const row = terminal.screen.split('\n').findIndex(line => line.includes(name));
		const line = terminal.emulator.buffer.active.getLine(row)!;
		return Array.from({length: 99}, (_, column) => (line.getCell(column)!.isInverse() ? 'i' : '.')).join('');
	};
	assert.match(inverse('film-number-0'), /^i{22}\.{42}i{35}$/);
	assert.match(inverse('film-number-1'), /^\.{99}$/);
	terminal.press('j');
	await terminal.shows(/▸ ‖ film-number-1\.mkv/);
	assert.match(inverse('film-number-0'), /^\.{99}$/);
	assert.match(inverse('film-number-1'), /^i{22}\.{42}i{35}$/);
});

test('on a known background, the selected row has one tint from end to end', async t => {
	const storage = await collectionOf(t, 2);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage, '--theme', 'dark'], {
		columns: 100,
		rows: 23,
		env: {COLORTERM: 'truecolor'},
	});
	await terminal.shows(/▸ ‖ film-number-0\.mkv/);
	const backgrounds = (name: string) => {
		const row = terminal.screen.split('\n').findIndex(line => line.includes(name));
		const line = terminal.emulator.buffer.active.getLine(row)!;
		const cells = Array.from({length: 99}, (_, column) => line.getCell(column)!);
		return new Set(cells.map(cell => (cell.isInverse() ? 'inverse' : cell.isBgRGB() ? 'tint' : 'none')));
	};
	assert.deepEqual([...backgrounds('film-number-0')], ['tint']);
	assert.deepEqual([...backgrounds('film-number-1')], ['none']);
});

test('names and headers from servers and players lose their escape sequences', async t => {
	const origin = await startOrigin(t, {
		size: MiB,
		etag: '"\u009B32m"',
		headers: {
			'content-disposition': 'attachment; filename="\u009B31mevil\u009D52;c;aGk=.mkv"',
			'content-type': 'video/\u009B33m',
		},
	});
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage, origin.url], {
		columns: 80,
		rows: 24,
	});
	await terminal.shows(/✓ .*evil.*\.mkv/);
	terminal.press('enter');
	await terminal.shows(/ETag "\uFFFD/);
	const links = terminal.raw.split('\u001B]8;;').map(text => text.split('\u0007')[0]!);
	const streamUrl = links.find(link => link.includes('/stream/'))!;
	const player = get(streamUrl, {headers: {'user-agent': '\u009B34mplayer'}});
	player.on('error', () => undefined);
	await terminal.shows(/Players.*34mplayer/);
	assert.ok(!/[\u009B\u009D]/.test(terminal.raw));
});

test('a resized terminal is redrawn, and says if it is too small', async t => {
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage], {
		columns: 100,
		rows: 30,
	});
	await terminal.shows('Nothing here yet');
	terminal.resize(38, 6);
	await terminal.shows('38x6: too small');
	terminal.resize(80, 24);
	await terminal.shows('Nothing here yet');
	terminal.press('q');
	assert.equal(await terminal.exit(), 0);
});

test('a second Ctrl+C stops a save that hangs', async t => {
	const origin = await startOrigin(t, {size: 120 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const folder = await temporaryFolder(t);
	const stuck = path.join(folder, 'stuck');
	const preload = path.join(import.meta.dirname, 'support/stuck-disk.mjs');
	const terminal = await TestTerminal.start(
		t,
		['--port', '0', '--storage', path.join(folder, 'storage'), origin.urlOf('/film.mkv')],
		{columns: 80, rows: 24, env: {NODE_OPTIONS: `--import=${preload}`, STUCK: stuck}},
	);
	await terminal.shows(/↓ film\.mkv +[█▉-▏▓▒░▸·]*[█▉-▏]/);
	await writeFile(stuck, '');
	terminal.press('q');
	await terminal.shows('Quit?');
	await terminal.answer('q');
	await terminal.shows('Saving… Ctrl+C again to force quit');
	assert.ok(!terminal.isAlternate);
	terminal.press('ctrl+c');
	assert.equal(await terminal.exit(), 130);
	assert.deepEqual(modesLeft(terminal.raw), []);
});

test('a terminal that hung while the program quit is restored once it takes output', async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	// The shell keeps the terminal open after the end of the program.
	const terminal = await TestTerminal.shell(t, {columns: 120, rows: 40});
	await terminal.shows('shell> ');
	const before = modesLeft(terminal.raw);
	const args = `--port 0 --storage ${await temporaryFolder(t)} --on-demand ${origin.urlOf('/film.bin')}`;
	terminal.press(`"$NODE" "$CLI" ${args}\r`);
	await terminal.shows(/q quit/);
	terminal.hang();
	for (let frame = 0; frame < 60; frame++) {
		terminal.press('ctrl+l');
	}

	await sleep(1000);
	terminal.press('q');
	await sleep(3000);
	terminal.recover();
	await terminal.shows(() => terminal.raw.split('shell> ').length > 2);
	assert.deepEqual(modesLeft(terminal.raw), before);
	// The emulator draws later than it receives.
	await terminal.shows(() => !terminal.isAlternate);
});

test('URLs of the command line that are not added yet are added before the program quits', async t => {
	const origin = await startOrigin(t, {size: 120 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const folder = await temporaryFolder(t);
	const urls = Array.from({length: 60}, (_, number) => origin.urlOf(`/${number}.bin`));
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', folder, ...urls], {
		columns: 120,
		rows: 40,
	});
	await terminal.shows(/↓ \d+\.bin/);
	terminal.press('q');
	await terminal.shows('Quit?');
	await terminal.answer('q');
	assert.equal(await terminal.exit(), 0);
	const list = await CliProcess.start(t, ['list', '--storage', folder]);
	assert.equal(await list.exit(), 0);
	assert.equal(list.stdout.trim().split('\n').length, urls.length);
});

test('a terminal that takes no output blocks neither downloads nor the exit of the program', async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	const folder = await temporaryFolder(t);
	const args = [
		'--port',
		'0',
		'--storage',
		folder,
		'--read-ahead',
		'64k',
		'--on-demand',
		origin.urlOf('/film.bin'),
	];
	const terminal = await TestTerminal.start(t, args, {columns: 120, rows: 40});
	await terminal.shows('film.bin');
	const instance = await attach(folder);
	t.after(() => instance!.dispose());
	const {streamUrl} = instance!.snapshot.downloads[0]!;
	terminal.hang();
	// More than the buffers on the way hold.
	for (let frame = 0; frame < 200; frame++) {
		terminal.press('ctrl+l');
	}

	await sleep(1000);
	const response = await fetch(streamUrl, {
		headers: {range: 'bytes=500000-999999'},
		signal: AbortSignal.timeout(10_000),
	});
	assert.equal(firstWrongByte(Buffer.from(await response.arrayBuffer()), 500_000), -1);
	terminal.signal('SIGTERM');
	const isOver = () => {
		try {
			process.kill(terminal.pid, 0);
			return false;
		} catch {
			return true;
		}
	};
	for (let waited = 0; waited < 100 && !isOver(); waited++) {
		await sleep(100);
	}

	assert.ok(isOver(), 'still running');
	assert.equal(await storageOwner(folder), undefined);
});
