import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {open, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {CliProcess, startGet} from './support/cli.ts';
import {fillContent, firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {startNginx} from './support/nginx.ts';
import {notFound} from './support/origin.ts';
import {missing} from './support/programs.ts';
import {assertNotRequested, recordedRanges} from './support/recorded-ranges.ts';

const MiB = 1024 * 1024;

async function sha256(file: string): Promise<string> {
	const hash = createHash('sha256');
	for await (const chunk of createReadStream(file, {highWaterMark: MiB})) {
		hash.update(chunk as Buffer);
	}

	return hash.digest('hex');
}

test(
	'get of 1 GiB from nginx yields the same file within 150 MiB of memory',
	{skip: missing('nginx')},
	async t => {
		const folder = await temporaryFolder(t);
		const file = path.join(folder, 'large.bin');
		const handle = await open(file, 'w');
		const block = Buffer.alloc(16 * MiB);
		for (let offset = 0; offset < 1024 * MiB; offset += block.length) {
			fillContent(block, offset);
			await handle.write(block);
		}

		await handle.close();
		const url = `${await startNginx(t, folder)}/large.bin`;
		const target = path.join(folder, 'fetched.bin');
		const memoryFile = path.join(folder, 'memory');
		const get = await CliProcess.start(
			t,
			['get', '--port', '0', '--storage', path.join(folder, 'storage'), '-o', target, url],
			{
				env: {PEAK_MEMORY_FILE: memoryFile},
				nodeArgs: ['--import', path.join(import.meta.dirname, 'support/report-peak-memory.mjs')],
			},
		);
		assert.equal(await get.exit(), 0, get.stderr);
		assert.equal(get.stdout, `${target}\n`);
		assert.equal(await sha256(target), await sha256(file));
		const peak = Number(await readFile(memoryFile, 'utf8')) / 1024;
		t.diagnostic(`peak memory: ${Math.round(peak)} MiB`);
		assert.ok(peak < 150, `${peak} MiB`);
	},
);

test('get takes file names from the server, and keeps existing files', async t => {
	const origin = await startOrigin(t, {
		size: 3 * MiB,
		etag: '"v1"',
		headers: {'content-disposition': 'attachment; filename="film.tar.gz"'},
	});
	const folder = await temporaryFolder(t);
	await writeFile(path.join(folder, 'film.tar.gz'), 'precious');
	const get = await startGet(t, path.join(folder, 'storage'), '--export-dir', folder, origin.url);
	assert.equal(await get.exit(), 0, get.stderr);
	assert.equal(await readFile(path.join(folder, 'film.tar.gz'), 'utf8'), 'precious');
	const second = path.join(folder, 'film (2).tar.gz');
	assert.equal(get.stdout, `${second}\n`);
	assert.equal(firstWrongByte(await readFile(second), 0), -1);
});

test('get with -o does not start if the file exists', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const folder = await temporaryFolder(t);
	const target = path.join(folder, 'there');
	await writeFile(target, 'precious');
	const get = await startGet(t, path.join(folder, 'storage'), '-o', target, origin.url);
	assert.equal(await get.exit(), 1);
	assert.match(get.stderr, /already exists/);
	assert.equal(await readFile(target, 'utf8'), 'precious');
	assert.equal(origin.requests.length, 0);
});

test('get with -o does not start without its folder', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const folder = await temporaryFolder(t);
	const target = path.join(folder, 'missing', 'film.bin');
	const get = await startGet(t, path.join(folder, 'storage'), '-o', target, origin.url);
	assert.equal(await get.exit(), 2);
	assert.equal(
		get.stderr,
		`downstream-tui: -o ${target}: The folder ${path.dirname(target)} does not exist\n`,
	);
	assert.equal(origin.requests.length, 0);
});

test('get numbers several files of one name in a folder, and keeps existing ones', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const folder = await temporaryFolder(t);
	const out = path.join(folder, 'out') + path.sep;
	const get = async (...targets: string[]) =>
		startGet(t, path.join(folder, 'storage'), '-o', out, ...targets.map(target => origin.urlOf(target)));
	const first = await get('/a/film.bin', '/b/film.bin', '/c/film.bin');
	assert.equal(await first.exit(), 0, first.stderr);
	const files = ['film (2).bin', 'film (3).bin', 'film.bin'];
	assert.deepEqual((await readdir(out)).toSorted(), files);
	const second = await get('/d/film.bin');
	assert.equal(await second.exit(), 0, second.stderr);
	// Its bytes are the same.
	assert.equal(second.stdout, `${path.join(out, 'film.bin')}\n`);
	assert.deepEqual((await readdir(out)).toSorted(), files);
});

test('get of several URLs exits with 1 if one fails, and still fetches the others', async t => {
	const origin = await startOrigin(t, {
		size: MiB,
		intercept: notFound('/missing'),
	});
	const folder = await temporaryFolder(t);
	const urls = [origin.urlOf('/one.bin'), origin.urlOf('/missing'), origin.urlOf('/two.bin')];
	const out = path.join(folder, 'out') + path.sep;
	const get = await startGet(t, path.join(folder, 'storage'), '-o', out, ...urls);
	assert.equal(await get.exit(), 1);
	assert.match(get.stderr, /404: no such file on the server 127\.0\.0\.1/);
	assert.deepEqual(
		(await readdir(out)).toSorted((a, b) => a.localeCompare(b)),
		['one.bin', 'two.bin'],
	);
});

test('an interrupted get resumes', async t => {
	const size = 24 * MiB;
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: 2 * MiB});
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const target = path.join(folder, 'film.bin');
	const args = ['get', '--port', '0', '--storage', storage, '-o', target, origin.url];
	const first = await CliProcess.start(t, args);
	while (origin.bytesSent < 4 * MiB) {
		await new Promise(resolve => setTimeout(resolve, 20));
	}

	first.child.kill('SIGINT');
	assert.equal(await first.exit(), 130);
	await assert.rejects(stat(target), {code: 'ENOENT'});
	const [download] = (await readdir(storage, {withFileTypes: true})).filter(entry => entry.isDirectory());
	const recorded = await recordedRanges(path.join(storage, download!.name));
	assert.ok(recorded.length > 0);
	const firstRequest = origin.requests.length;
	origin.options.bytesPerSecond = undefined;
	const second = await CliProcess.start(t, args);
	assert.equal(await second.exit(), 0, second.stderr);
	assert.equal(firstWrongByte(await readFile(target), 0), -1);
	assertNotRequested(recorded, origin.requests.slice(firstRequest));
});

test('get completes its download even if the settings say on demand', async t => {
	const size = 3 * MiB;
	const origin = await startOrigin(t, {size, etag: '"v1"'});
	const folder = await temporaryFolder(t);
	const target = path.join(folder, 'film.bin');
	const get = await CliProcess.start(
		t,
		[...['get', '--port', '0', '--storage', path.join(folder, 'storage'), '-o', target, origin.url]],
		{env: {DOWNSTREAM_TUI_ON_DEMAND: '1'}},
	);
	assert.equal(await get.exit(), 0, get.stderr);
	assert.equal(firstWrongByte(await readFile(target), 0), -1);
});

test('get keeps to --cache-size once its files are exported', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const urls = ['/a.bin', '/b.bin', '/c.bin'].map(name => origin.urlOf(name));
	const common = ['--port', '0', '--storage', storage, '--cache-size', '1500K', '-o', `${folder}${path.sep}`];
	const get = await CliProcess.start(t, ['get', '--keep', ...common, ...urls]);
	assert.equal(await get.exit(), 0, get.stderr);
	for (const name of ['a.bin', 'b.bin', 'c.bin']) {
		assert.equal(firstWrongByte(await readFile(path.join(folder, name)), 0), -1);
	}

	const stored = (await readdir(storage)).filter(name => /^[\da-f]{32}$/.test(name));
	assert.equal(stored.length, 1);
});

for (const [answer, seed, code, sentence] of [
	[
		'stop',
		1,
		1,
		/The file changed on the server: its ETag is new, but samples of the bytes agree; .* \(its ETag was "v1" and is "v2" now\)/,
	],
	['continue', 1, 0, undefined],
	[
		'continue',
		2,
		1,
		/The file changed on the server: its bytes differ .* \(its ETag was "v1" and is "v2" now\)/,
	],
	['restart', 2, 0, undefined],
] as const) {
	const what = seed === 1 ? 'a new label on the same bytes' : 'other bytes';
	test(`get --on-change ${answer} after ${what} exits with ${code}`, async t => {
		const size = 16 * MiB;
		// Most of the file is requested after the change.
		const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: MiB});
		const folder = await temporaryFolder(t);
		const target = path.join(folder, 'film.bin');
		const args = ['--port', '0', '--storage', path.join(folder, 'storage'), '--on-change', answer];
		const get = await CliProcess.start(t, ['get', ...args, '--connections', '1', '-o', target, origin.url]);
		while (origin.bytesSent < MiB) {
			await new Promise(resolve => setTimeout(resolve, 10));
		}

		Object.assign(origin.options, {etag: '"v2"', seed, bytesPerSecond: undefined});
		assert.equal(await get.exit(), code, get.stderr);
		if (sentence) {
			assert.match(get.stderr, sentence);
			assert.deepEqual(await readdir(folder), ['storage']);
		} else {
			assert.equal(firstWrongByte(await readFile(target), 0, seed), -1);
		}
	});
}

test('get gives up after --give-up-after without data, exits with 76 and reports each state once', async t => {
	const origin = await startOrigin(t, {
		size: MiB,
		intercept(request) {
			request.socket.destroy();
			return true;
		},
	});
	const folder = await temporaryFolder(t);
	const args = ['get', '--port', '0', '--storage', path.join(folder, 'storage'), '-o', folder + path.sep];
	const get = await CliProcess.start(t, [...args, '--give-up-after', '4s', origin.url]);
	assert.equal(await get.exit(), 76);
	const [waits, gaveUp, ...others] = get.stderr.trimEnd().split('\n');
	assert.match(waits!, /^downstream-tui: film\.bin: 127\.0\.0\.1: connection lost; retry \d+ in /);
	assert.match(gaveUp!, /film\.bin: 127\.0\.0\.1: connection lost; gave up after 4s without data/);
	assert.deepEqual(others, []);
	assert.ok(origin.requests.length >= 3, `${origin.requests.length} requests`);
});

test('a plain run gives up with the same exit code and sentence', async t => {
	const origin = await startOrigin(t, {
		size: MiB,
		intercept(request) {
			request.socket.destroy();
			return true;
		},
	});
	const storage = path.join(await temporaryFolder(t), 'storage');
	const args = ['--json', '--port', '0', '--storage', storage, '--give-up-after', '2s', origin.url];
	const plain = await CliProcess.start(t, args);
	assert.equal(await plain.exit(), 76);
	assert.match(
		plain.stderr,
		/^downstream-tui: film\.bin: 127\.0\.0\.1: connection lost; gave up after 2s without data/,
	);
});

test('get waits for a silent server and names it', async t => {
	let isSilent = true;
	const waiting: Array<() => void> = [];
	const origin = await startOrigin(t, {
		size: MiB,
		async intercept() {
			if (isSilent) {
				await new Promise<void>(resolve => waiting.push(resolve));
			}

			return false;
		},
	});
	const folder = await temporaryFolder(t);
	const target = path.join(folder, 'film.bin');
	const args = ['get', '--port', '0', '--storage', path.join(folder, 'storage'), '-o', target];
	const get = await CliProcess.start(t, [...args, '--give-up-after', '0', '--timeout', '1s', origin.url]);
	while (!get.stderr.includes('\n')) {
		await new Promise(resolve => setTimeout(resolve, 20));
	}

	isSilent = false;
	for (const answer of waiting) {
		answer();
	}

	assert.equal(await get.exit(), 0, get.stderr);
	assert.match(get.stderr, /^downstream-tui: film\.bin: .*timed out without a response.*\n/);
	assert.equal(firstWrongByte(await readFile(target), 0), -1);
});
