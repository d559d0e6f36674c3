// Output of `get`: files, standard output, JSON, progress and last line.
import assert from 'node:assert/strict';
import {createHash} from 'node:crypto';
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import {progressText} from '../source/cli/output/progress-line.ts';
import type {Download} from '../source/downstream.ts';
import {builtCli, cleanEnvironment, CliProcess, startGet} from './support/cli.ts';
import {blankDownload} from './support/blank-download.ts';
import {content, firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {notFound, type OriginRequestRecord} from './support/origin.ts';
import {recordedRanges} from './support/recorded-ranges.ts';
import {TestTerminal} from './support/terminal.ts';

const MiB = 1024 * 1024;
const isWindows = process.platform === 'win32';

type Finished = {code: number | string; stdout: string; stderr: string};

/** A storage folder and a `get` that uses it. */
async function prepare(t: TestContext) {
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const run = async (...args: string[]): Promise<Finished> => {
		const program = await CliProcess.start(t, args);
		const code = await program.exit();
		return {code, stdout: program.stdout, stderr: program.stderr};
	};
	return {
		folder,
		storage,
		get: (...args: string[]) => run('get', '--port', '0', '--storage', storage, ...args),
		list: (...args: string[]) => run('list', '--storage', storage, ...args),
	};
}

/** The bytes before `end` that were sent; those in flight beyond a cut depend on the load of the machine. */
function bytesUpTo(end: number, requests: readonly OriginRequestRecord[]): number {
	return requests.reduce((sum, {sent}) => sum + Math.max(0, Math.min(sent.end, end) - sent.start), 0);
}

/** The download ids in a storage folder, once there are any. */
async function filmIds(storage: string): Promise<string[]> {
	for (;;) {
		const ids = (await readdir(storage).catch(() => [])).filter(name => /^[\da-f]{32}$/.test(name));
		if (ids.length > 0) {
			return ids;
		}

		await sleep(20);
	}
}

test('a repeated command succeeds, fetches nothing and leaves one file', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag: '"v1"'});
	const {folder, storage, get, list} = await prepare(t);
	const film = path.join(folder, 'film.bin');
	for (const target of [
		['-o', film],
		['-o', `${folder}/`],
		['--export-dir', folder],
		['--keep-both', '-o', film],
	]) {
		assert.deepEqual(await get(...target, origin.url), {code: 0, stdout: `${film}\n`, stderr: ''});
	}

	assert.equal(origin.bytesSent, 2 * MiB);
	assert.deepEqual((await readdir(folder)).toSorted(), ['film.bin', 'storage']);
	assert.equal((await stat(film)).nlink, 1);
	assert.equal((await list()).stdout, '');
	for (const id of (await readdir(storage)).filter(name => !name.endsWith('key'))) {
		assert.ok(!(await readdir(path.join(storage, id))).includes('data'));
	}

	// Another folder gets its own file, and the first stays.
	const other = path.join(folder, 'other.bin');
	assert.equal((await get('-o', other, origin.url)).code, 0);
	assert.equal(firstWrongByte(await readFile(other), 0), -1);
	assert.equal(firstWrongByte(await readFile(film), 0), -1);

	// A file deleted by the user is fetched again.
	await rm(film);
	assert.equal((await get('-o', film, origin.url)).code, 0);
	assert.equal(firstWrongByte(await readFile(film), 0), -1);
});

test('an edited file is not replaced without --overwrite', async t => {
	const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
	const {folder, get} = await prepare(t);
	const film = path.join(folder, 'film.bin');
	assert.equal((await get('-o', film, origin.url)).code, 0);
	const edited = Buffer.alloc(MiB, 'x');
	await writeFile(film, edited);
	const refused = await get('-o', film, origin.url);
	assert.deepEqual(refused, {
		code: 1,
		stdout: '',
		stderr: `downstream-tui: ${film} already exists; --overwrite replaces it, --keep-both keeps both\n`,
	});
	assert.ok(edited.equals(await readFile(film)));

	const second = path.join(folder, 'film (2).bin');
	assert.deepEqual(await get('--keep-both', '-o', film, origin.url), {
		code: 0,
		stdout: `${second}\n`,
		stderr: '',
	});
	assert.ok(edited.equals(await readFile(film)));
	assert.equal(firstWrongByte(await readFile(second), 0), -1);
	assert.equal((await get('--overwrite', '-o', film, origin.url)).code, 0);
	assert.equal(firstWrongByte(await readFile(film), 0), -1);
	const both = await get('--overwrite', '--keep-both', origin.url);
	assert.equal(both.code, 2);
	assert.match(both.stderr, /--overwrite and --keep-both exclude each other/);
});

test('a file of another size in the folder fails the download before its transfer', async t => {
	const size = 40 * MiB;
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond: MiB});
	const {folder, get} = await prepare(t);
	const film = path.join(folder, 'film.bin');
	await writeFile(film, 'precious');
	const refused = await get('-o', folder, origin.url);
	assert.equal(refused.code, 1);
	assert.match(
		refused.stderr,
		/film\.bin already exists; --overwrite replaces it, --keep-both keeps both\n$/,
	);
	assert.equal(await readFile(film, 'utf8'), 'precious');
	assert.ok(origin.bytesSent < size / 2, `${origin.bytesSent}`);
});

test('-o - streams the files in order to standard output', {skip: isWindows && 'needs sh'}, async t => {
	const origin = await startOrigin(t, {size: 3 * MiB, etag: '"v1"'});
	const {folder, storage, get, list} = await prepare(t);
	const command = [process.execPath, await builtCli(), 'get', '--port', '0', '--storage', storage];
	const {stdout, stderr} = await promisify(execFile)(
		'sh',
		['-c', '"$@" | cat', 'sh', ...command, '-o', '-', origin.urlOf('/one'), origin.urlOf('/two')],
		{cwd: folder, env: cleanEnvironment(), encoding: 'buffer', maxBuffer: 16 * MiB},
	);
	const one = content(0, 3 * MiB);
	assert.ok(stdout.equals(Buffer.concat([one, one])));
	assert.equal(stderr.length, 0);
	assert.deepEqual(await readdir(folder), ['storage']);
	assert.equal((await list('--all')).stdout, '');

	// A reader that closes the pipe ends the program.
	const head = await promisify(execFile)(
		'sh',
		['-c', '"$@" | head -c 1000', 'sh', ...command, '-o', '-', origin.url],
		{cwd: folder, env: cleanEnvironment(), encoding: 'buffer'},
	);
	assert.ok(head.stdout.equals(one.subarray(0, 1000)));

	const both = await get('--json', '-o', '-', origin.url);
	assert.equal(both.code, 2);
	assert.match(both.stderr, /-o -: standard output cannot take the file: --json writes there too/);
	const terminal = await TestTerminal.start(t, ['get', '--storage', storage, '-o', '-', origin.url], {
		columns: 100,
		rows: 10,
	});
	assert.equal(await terminal.exit(), 2);
	assert.match(terminal.screen, /standard output cannot take the file: it is a terminal/);
});

test(
	'-o - survives a cut connection, and fails for a missing file',
	{skip: isWindows && 'needs sh'},
	async t => {
		let cuts = 0;
		const origin = await startOrigin(t, {
			size: 2 * MiB,
			etag: '"v1"',
			bytesPerSecond: 4 * MiB,
			async intercept(request, response) {
				if (request.url === '/missing') {
					response.writeHead(404).end();
					return true;
				}

				if (cuts++ < 2) {
					setTimeout(() => request.socket.destroy(), 100);
				}

				return false;
			},
		});
		const {folder, storage} = await prepare(t);
		const target = path.join(folder, 'film');
		const command = [process.execPath, await builtCli(), 'get', '--port', '0', '--storage', storage];
		const sh = (url: string) =>
			promisify(execFile)('sh', ['-c', '"$@" > "$0"', target, ...command, '-o', '-', url], {
				env: cleanEnvironment(),
			});
		await sh(origin.url);
		assert.equal(firstWrongByte(await readFile(target), 0), -1);
		await assert.rejects(sh(origin.urlOf('/missing')), {code: 1, stderr: /missing: 404/});
		assert.equal((await stat(target)).size, 0);
	},
);

/** For a shell that changes the conditions of the program. */
async function getCommand(storage: string, ...args: string[]): Promise<string[]> {
	return [process.execPath, await builtCli(), 'get', '--port', '0', '--storage', storage, ...args];
}

test(
	'a full output fails with its reason',
	{skip: !existsSync('/dev/full') && 'needs /dev/full'},
	async t => {
		const {storage} = await prepare(t);
		const origin = await startOrigin(t, {size: MiB, etag: '"v1"'});
		const command = await getCommand(storage, '-o', '-', origin.url);
		const failed: unknown = await promisify(execFile)(
			'sh',
			['-c', 'exec "$@" > /dev/full', 'sh', ...command],
			{
				env: cleanEnvironment(),
			},
		).catch((error: unknown) => error);
		const {code, stderr} = failed as {code: number; stderr: string};
		assert.match(stderr, /output cannot be written: .*no space left on device/);
		assert.equal(code, 1);
	},
);

test('a file beyond the limit of the shell fails with its reason', {skip: isWindows}, async t => {
	const {storage} = await prepare(t);
	const origin = await startOrigin(t, {size: 4 * MiB, etag: '"v1"'});
	const command = await getCommand(storage, origin.url);
	// In blocks of 512 or 1024 bytes.
	const limited = CliProcess.run(t, ['sh', '-c', 'ulimit -f 2000; exec "$@"', 'sh', ...command], {});
	assert.equal(await limited.exit(), 1, limited.stderr);
	assert.match(limited.stderr, /The disk cannot hold a file of 4194304 bytes/);
});

test('--json prints one object for each file', async t => {
	const origin = await startOrigin(t, {
		size: MiB,
		etag: '"v1"',
		intercept: notFound('/missing'),
	});
	const {folder, get} = await prepare(t);
	const sha256 = createHash('sha256').update(content(0, MiB)).digest('hex');
	const film = path.join(folder, 'film.bin');
	const checked = await get(
		'--json',
		'--checksum',
		`sha256:${sha256}`,
		'-o',
		film,
		`${origin.url}?token=geheim`,
	);
	assert.equal(checked.code, 0, checked.stderr);
	assert.deepEqual(JSON.parse(checked.stdout), {
		url: `${origin.url}?token=***`,
		path: film,
		bytes: MiB,
		status: 'done',
		sha256,
	});
	const several = await get(
		'--json',
		'-o',
		`${folder}/`,
		origin.urlOf('/one'),
		origin.urlOf('/missing'),
		'ftp://a/b',
	);
	assert.equal(several.code, 1);
	const files = several.stdout
		.trimEnd()
		.split('\n')
		.map(
			line =>
				JSON.parse(line) as {
					url: string;
					status: string;
					path: string;
					sha256?: string;
					error?: {code: string};
				},
		);
	const byUrl = new Map(files.map(file => [file.url, file]));
	const one = path.join(folder, 'one');
	assert.equal(byUrl.get(origin.urlOf('/one'))?.path, one);
	assert.equal(
		byUrl.get(origin.urlOf('/one'))?.sha256,
		createHash('sha256')
			.update(await readFile(one))
			.digest('hex'),
	);
	assert.equal(byUrl.get(origin.urlOf('/missing'))?.error?.code, 'origin-refused');
	assert.equal(byUrl.get('ftp://a/b')?.error?.code, 'bad-request');
	assert.equal(files.length, 3);
});

test('a failed download leaves the list and keeps its bytes for the next run', async t => {
	const size = 8 * MiB;
	let isBroken = true;
	const origin = await startOrigin(t, {
		size,
		etag: '"v1"',
		bytesPerSecond: 8 * MiB,
		intercept(request, response) {
			if (isBroken && (request.url === '/missing' || origin.bytesSent >= MiB)) {
				response.writeHead(404).end();
				return true;
			}

			return false;
		},
	});
	const {folder, get, list} = await prepare(t);
	const film = path.join(folder, 'film.bin');
	const failed = await get('--connections', '1', '-o', `${folder}/`, origin.url, origin.urlOf('/missing'));
	assert.equal(failed.code, 1);
	assert.equal((await list()).stdout, '');
	const all = await list('--all');
	assert.match(all.stdout, /^ {2}- {2}[\da-f]{8} {2}kept .* film\.bin .*404.*\n$/);
	assert.match((await list('--all', '--json')).stdout, /"status":"removed"/);
	isBroken = false;
	const first = origin.requests.length;
	const again = await get('-o', film, origin.url);
	assert.equal(again.code, 0, again.stderr);
	assert.equal(firstWrongByte(await readFile(film), 0), -1);
	const sentAgain = bytesUpTo(MiB, origin.requests.slice(first));
	assert.ok(sentAgain < MiB / 8, `the bytes of the first run are used, but for ${sentAgain}`);
});

test('a killed get leaves nothing in the list, and neither does the next one', async t => {
	const origin = await startOrigin(t, {size: 12 * MiB, etag: '"v1"', bytesPerSecond: 2 * MiB});
	const {folder, storage, get, list} = await prepare(t);
	const film = path.join(folder, 'film.bin');
	const killed = await startGet(t, storage, '--connections', '1', '-o', film, origin.url);
	const [id] = (await filmIds(storage)) as [string];
	// It takes more than a second: a run that began less than a second after the addition leaves the download to the other.
	while (!(await recordedRanges(path.join(storage, id)).catch(() => [])).some(({end}) => end >= 3 * MiB)) {
		await sleep(20);
	}

	assert.match((await list('--all')).stdout, /^ {2}1 .* film\.bin\n$/);
	await killed.kill();
	assert.equal((await list()).stdout, '');
	assert.match((await list('--all')).stdout, /^ {2}- {2}[\da-f]{8} {2}kept .* film\.bin\n$/);
	origin.options.bytesPerSecond = undefined;
	const first = origin.requests.length;
	const again = await get('-o', film, origin.url);
	assert.equal(again.code, 0, again.stderr);
	const sentAgain = bytesUpTo(MiB, origin.requests.slice(first));
	assert.ok(sentAgain < MiB / 2, `the bytes of the first run are used, but for ${sentAgain}`);
	assert.equal((await stat(film)).nlink, 1);
	assert.equal((await list()).stdout, '');

	// With --keep it is in the list from the start.
	const kept = await get('--keep', '-o', film, origin.url);
	assert.deepEqual([kept.code, (await list()).stdout.split('\n').length], [0, 2]);
});

test('a host that refuses the first attempt is reported without a terminal', async t => {
	const {get} = await prepare(t);
	const refused = await get('--give-up-after', '2s', 'http://127.0.0.1:9/x.bin');
	assert.equal(refused.code, 76);
	const [first] = refused.stderr.split('\n');
	assert.match(first!, /^downstream-tui: x\.bin: 127\.0\.0\.1: connection refused; retry \d in \d+s$/);
});

test('get --first reports the first failure without a terminal, and draws its progress on one', async t => {
	const {storage, get} = await prepare(t);
	const refused = await get('--first', '1M', '--give-up-after', '2s', 'http://127.0.0.1:9/x.bin');
	assert.equal(refused.code, 76);
	assert.match(
		refused.stderr,
		/^downstream-tui: x\.bin: 127\.0\.0\.1: connection refused; retry \d in \d+s\n/,
	);
	const origin = await startOrigin(t, {size: 40 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const silent = await get('--first', '1M', origin.urlOf('/a.bin'));
	assert.deepEqual([silent.code, silent.stderr], [0, '']);
	const terminal = await TestTerminal.start(
		t,
		['get', '--port', '0', '--storage', storage, '--first', '30M', origin.urlOf('/b.bin')],
		{columns: 100, rows: 10},
	);
	await terminal.shows(/b\.bin .* 30\.0 MiB .*MiB\/s/);
	terminal.press('\u0003');
	assert.equal(await terminal.exit(), 130);
});

test('Ctrl+C leaves a clean line that reports the kept bytes', async t => {
	const origin = await startOrigin(t, {size: 40 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const {storage, list} = await prepare(t);
	const terminal = await TestTerminal.start(
		t,
		['get', '--port', '0', '--storage', storage, '-o', `${storage}-film`, origin.url],
		{columns: 100, rows: 10},
	);
	await terminal.shows(/film\.bin .* \d+\.\d%/);
	terminal.press('\u0003');
	assert.equal(await terminal.exit(), 130);
	assert.match(terminal.screen, /^downstream-tui: kept \d+\.\d%; the same command resumes\s*$/);
	assert.equal((await list()).stdout, '');
	const [, id] = /^\s*-\s+(\w+)\s+kept .* film\.bin/m.exec((await list('--all')).stdout)!;
	const remove = async (...args: string[]) => {
		const command = await CliProcess.start(t, ['remove', '--storage', storage, ...args]);
		return {code: await command.exit(), stderr: command.stderr};
	};
	assert.deepEqual(await remove('--delete-data', id!.slice(0, 8)), {code: 0, stderr: ''});
	assert.equal((await list('--all')).stdout, '');
	assert.equal((await remove('--delete-data', id!)).code, 1);
});

test('the progress line shows one download with its bar, or the number of finished ones', () => {
	const style = {width: 79, now: 0, ascii: true};
	const active: Download = {
		...blankDownload,
		status: 'active',
		size: 100 * MiB,
		present: 31 * MiB,
		ranges: [[0, 31 * MiB]],
		bytesPerSecond: MiB,
		bytesPerSecondLong: MiB,
	};
	const error = {
		code: 'origin-unreachable',
		message: 'a.example: connection refused',
		at: 0,
		tries: 1,
	} as const;
	const waiting: Download = {
		...active,
		name: 'b.mkv',
		status: 'waiting',
		error,
		retryAt: 4000,
		present: 0,
		bytesPerSecond: 0,
		bytesPerSecondLong: 0,
	};
	assert.match(
		progressText({open: [active], total: 1, finishedBytes: 0}, style),
		/^film\.mkv .* 31\.0% .*\/s 1m09s$/,
	);
	assert.equal(
		progressText({open: [waiting, active, active], total: 5, finishedBytes: 200 * MiB}, style),
		'2 of 5, 52%  2.00 MiB/s  1m59s',
	);
	assert.equal(
		progressText({open: [waiting, {...active, status: 'queued'}], total: 2, finishedBytes: 0}, style),
		'b.mkv: a.example: connection refused; retry 2 in 4s',
	);
});
