// Linked players at the level of their protocol, without a film: display, records and rejected input.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {chmod, mkdir, readFile, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {connect, createServer, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {setImmediate as nextTurn, setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import type {DownloadFilm} from '../source/downstream.ts';
import {MpvLink, type PlayerState} from '../source/engine/player/mpv-link.ts';
import {isSocketPath, newSocketPath, removeSocket} from '../source/engine/player/socket-folder.ts';
import {playlistOf} from '../source/proxy/playlist.ts';
import {blankDownload} from './support/blank-download.ts';
import {atEnd} from './support/cleanup.ts';
import {downloadOf, startEngine, temporaryFolder, until} from './support/engines.ts';
import {withCode} from './support/errors.ts';
import {FakeMpv} from './support/fake-mpv.ts';
import {missing} from './support/programs.ts';

/** An engine with an idle download. */
async function startPaused(t: TestContext) {
	const started = await startEngine(t);
	const {download} = await started.engine.add({url: 'http://127.0.0.1:9/film.mkv', paused: true});
	const {id} = download;
	const link = async (properties: Readonly<Record<string, unknown>> = {}) => {
		const {socket} = await started.engine.linkPlayer(id);
		return FakeMpv.listen(t, socket, {path: download.streamUrl, duration: 100, 'time-pos': 0, ...properties});
	};

	return {...started, id, link, path: download.streamUrl};
}

test('the snapshot shows time, state and stalls of a linked player', async t => {
	const {engine, id, link} = await startPaused(t);
	const player = await link({'time-pos': 10});
	await until(engine, id, ({position}) => position?.ms === 10_000);
	player.set({speed: 1.5, 'paused-for-cache': true});
	await until(engine, id, ({playback}) => playback?.stalled === true);
	player.set({'paused-for-cache': false});
	player.set({'paused-for-cache': true});
	player.set({'paused-for-cache': false});
	player.set({'current-tracks/sub/lang': 'en'});
	const {playback, position} = await until(
		engine,
		id,
		({playback}) => playback?.stalls === 2 && playback.subtitles !== null,
	);
	assert.deepEqual(playback, {
		player: 'mpv 0.38.0',
		durationMs: 100_000,
		paused: false,
		speed: 1.5,
		offset: null,
		stalled: false,
		stalls: 2,
		subtitles: 'en',
	});
	assert.deepEqual({...position, at: 0}, {ms: 10_000, at: 0, watched: false, exact: true});
});

test('a linked player gets only the commands seek and pause', async t => {
	const {engine, id, link} = await startPaused(t);
	const player = await link();
	await until(engine, id, ({playback}) => playback?.durationMs === 100_000);
	await engine.controlPlayer(id, {seekMs: 41_500, pause: true});
	const {position, playback} = downloadOf(engine, id);
	assert.deepEqual([position?.ms, playback?.paused], [41_500, true]);
	await engine.controlPlayer(id, {pause: false});
	assert.equal(downloadOf(engine, id).playback?.paused, false);
	await assert.rejects(engine.controlPlayer(id, {}), withCode('bad-request', /needs seekMs or pause/));
	await assert.rejects(engine.controlPlayer(id, {seekMs: 100_001}), withCode('bad-request', /past the end/));
	await assert.rejects(
		engine.controlPlayer('0'.repeat(32), {pause: true}),
		withCode('not-found', /no download/),
	);
	assert.deepEqual(
		player.commands.filter(([name]) => !/^(?:observe|get)_property$/.test(name)),
		[
			['seek', 41.5, 'absolute'],
			['set_property', 'pause', true],
			['set_property', 'pause', false],
		],
	);
});

test('the position survives the exit of the player and a restart', async t => {
	const {engine, id, link, storageDir, close} = await startPaused(t);
	const player = await link({'time-pos': 62});
	await until(engine, id, ({position}) => position?.ms === 62_000);
	await player.quit();
	const left = await until(engine, id, ({playback}) => playback === null);
	assert.equal(left.position?.ms, 62_000);
	await assert.rejects(engine.controlPlayer(id, {pause: true}), withCode('no-player', /No linked player/));
	await close();
	const next = await startEngine(t, {storageDir});
	assert.deepEqual(downloadOf(next.engine, id).position, left.position);
});

test('a player that outlives the program is linked again, and its socket goes with it', async t => {
	const {engine, id, link, storageDir, close} = await startPaused(t);
	const player = await link({'time-pos': 62});
	await until(engine, id, ({position}) => position?.ms === 62_000);
	const {socket} = await recordOf(storageDir, id, ({playerSocket}) => playerSocket !== undefined);
	await close();
	player.set({'time-pos': 70});
	const next = await startEngine(t, {storageDir});
	await until(next.engine, id, ({position, playback}) => playback !== null && position?.ms === 70_000);
	await next.engine.controlPlayer(id, {seekMs: 75_000});
	assert.deepEqual(player.commands.at(-1), ['seek', 75, 'absolute']);
	await player.quit();
	await until(next.engine, id, ({playback}) => playback === null);
	await recordOf(storageDir, id, ({playerSocket}) => playerSocket === undefined);
	assert.equal(existsSync(socket!), false);
});

test('a player that ended while no program ran is forgotten', async t => {
	const {engine, id, link, storageDir, close} = await startPaused(t);
	const player = await link({'time-pos': 62});
	await until(engine, id, ({position}) => position?.ms === 62_000);
	await recordOf(storageDir, id, ({playerSocket}) => playerSocket !== undefined);
	await close();
	await player.quit();
	const next = await startEngine(t, {storageDir});
	await recordOf(storageDir, id, ({playerSocket}) => playerSocket === undefined);
	assert.equal(downloadOf(next.engine, id).playback, null);
});

/** Resolves with the socket in the record of a download, once the record is as wanted. */
async function recordOf(
	storageDir: string,
	id: string,
	isWanted: (record: {playerSocket?: string}) => boolean,
): Promise<{socket: string | undefined}> {
	for (;;) {
		// A save renames the file.
		const text = await readFile(path.join(storageDir, id, 'entry.json'), 'utf8').catch(() => undefined);
		const record = text === undefined ? undefined : (JSON.parse(text) as {playerSocket?: string});
		if (record && isWanted(record)) {
			return {socket: record.playerSocket};
		}

		await sleep(50);
	}
}

test('a film is watched past 92 %, and at its end', async t => {
	const {engine, id, link} = await startPaused(t);
	const player = await link({'time-pos': 91.9});
	const near = await until(engine, id, ({position}) => position?.ms === 91_900);
	assert.equal(near.position?.watched, false);
	await engine.controlPlayer(id, {seekMs: 92_000});
	assert.equal(downloadOf(engine, id).position?.watched, true);
	await engine.controlPlayer(id, {seekMs: 91_000});
	assert.equal(downloadOf(engine, id).position?.watched, false);
	player.send({event: 'end-file', reason: 'eof'});
	const ended = await until(engine, id, ({position}) => position?.watched === true);
	assert.equal(ended.position?.ms, 100_000);
	player.set({path: undefined, 'time-pos': undefined});
	await until(engine, id, ({playback}) => playback === null);
	assert.deepEqual(downloadOf(engine, id).position, ended.position);
});

test('a stream cut off in the middle of a film leaves the position there', async t => {
	const {engine, id, link} = await startPaused(t);
	const player = await link({'time-pos': 50});
	await until(engine, id, ({position}) => position?.ms === 50_000);
	player.set({'eof-reached': true});
	player.send({event: 'end-file', reason: 'eof'});
	await player.quit();
	const {position} = await until(engine, id, ({playback}) => playback === null);
	assert.deepEqual([position?.ms, position?.watched], [50_000, false]);
});

test('a player started past the end has watched nothing', async t => {
	const {engine, id, link} = await startPaused(t);
	const player = await link({'time-pos': 3600});
	await until(engine, id, ({position}) => position?.ms === 0);
	player.send({event: 'end-file', reason: 'eof'});
	await player.quit();
	const {position} = await until(engine, id, ({playback}) => playback === null);
	assert.deepEqual([position?.ms, position?.watched], [0, false]);
});

test('the link follows a player to another film of ours and ends for other files', async t => {
	const {engine, id, link, path: own} = await startPaused(t);
	const {download: other} = await engine.add({url: 'http://127.0.0.1:9/other.mkv', paused: true});
	const player = await link({'time-pos': 5});
	await until(engine, id, ({position}) => position?.ms === 5000);
	player.set({'time-pos': 7, path: other.streamUrl});
	await until(engine, other.id, ({position}) => position?.ms === 7000);
	assert.equal(downloadOf(engine, id).playback, null);
	assert.equal(downloadOf(engine, id).position?.ms, 5000);
	player.set({'time-pos': 9, path: '/home/user/holidays.mkv'});
	await until(engine, other.id, ({playback}) => playback === null);
	await assert.rejects(
		engine.controlPlayer(other.id, {pause: true}),
		withCode('no-player', /No linked player/),
	);
	player.set({'time-pos': 11, path: own});
	await until(engine, id, ({position}) => position?.ms === 11_000);
});

test('the newest of two players of one film counts', async t => {
	const {engine, id, link} = await startPaused(t);
	const first = await link({'time-pos': 10});
	await until(engine, id, ({position}) => position?.ms === 10_000);
	const second = await link({'time-pos': 20});
	await until(engine, id, ({position}) => position?.ms === 20_000);
	await engine.controlPlayer(id, {seekMs: 30_000});
	first.set({'time-pos': 12, speed: 2});
	assert.ok(first.commands.every(([name]) => name !== 'seek'));
	await second.quit();
	const {position} = await until(engine, id, ({playback}) => playback?.speed === 2);
	assert.ok(position!.ms < 30_000, `${position!.ms}`);
});

for (const [what, text] of [
	['a line without JSON', 'hello\n'],
	['NaN', '{"event":"property-change","name":"duration","data":NaN}\n'],
	['an infinite duration', '{"event":"property-change","name":"duration","data":1e999}\n'],
	['a duration as text', '{"event":"property-change","name":"duration","data":"long"}\n'],
	['a speed of zero', '{"event":"property-change","name":"speed","data":0}\n'],
	['a pause as text', '{"event":"property-change","name":"pause","data":"yes"}\n'],
	['a language as a number', '{"event":"property-change","name":"current-tracks/sub/lang","data":5}\n'],
	['a path as a number', '{"event":"property-change","name":"path","data":5}\n'],
	['a list', '[1, 2]\n'],
	['null', 'null\n'],
	['a line of 1 MiB', `{"event":"${'x'.repeat(1024 * 1024)}"}\n`],
	['1 MiB without a line', 'x'.repeat(1024 * 1024)],
	['zeros', '\0\0\0\0\n'],
] as const) {
	test(`${what} from a player ends the link and keeps the last position`, async t => {
		const {engine, id, link} = await startPaused(t);
		const player = await link({'time-pos': 10});
		await until(engine, id, ({position}) => position?.ms === 10_000);
		player.write(text);
		const {position} = await until(engine, id, ({playback}) => playback === null);
		assert.equal(position?.ms, 10_000);
	});
}

test('a player that changes its file faster than it replies loses its link', async t => {
	const {engine, id, link, path} = await startPaused(t);
	const player = await link({'time-pos': 10});
	await until(engine, id, ({position}) => position?.ms === 10_000);
	const changes = Array.from({length: 200}, (_, index) => `${path}?${index % 2}`);
	player.send(...changes.map(data => ({event: 'property-change', name: 'path', data})));
	await until(engine, id, ({playback}) => playback === null);
});

test('an invalid time ends the link', async t => {
	const {engine, id, link} = await startPaused(t);
	const player = await link({'time-pos': 10});
	await until(engine, id, ({position}) => position?.ms === 10_000);
	player.set({'time-pos': 'now'});
	player.send({event: 'playback-restart'});
	await until(engine, id, ({playback}) => playback === null);
});

/** A link over a socket pair, with its reports. */
async function linkedPair(t: TestContext) {
	const socketPath = path.join(await temporaryFolder(t), 's');
	const server = createServer().listen(socketPath);
	await once(server, 'listening');
	const socket = connect(socketPath);
	const [[peer]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [
		[Socket],
		unknown,
	];
	const told: PlayerState[] = [];
	const written: string[] = [];
	peer.setEncoding('utf8').on('data', (text: string) => written.push(text));
	peer.on('error', () => undefined);
	let ends = 0;
	const link = new MpvLink(socket, {
		changed: () => told.push(link.state),
		ended: () => {
			ends++;
		},
	});
	atEnd(t, async () => {
		link.close();
		peer.destroy();
		server.close();
	});
	return {link, peer, told, written, ends: () => ends};
}

test('arbitrary bytes end a link or leave it in a valid state', async t => {
	const words = [
		...['{', '}', '[', ']', ':', ',', '"', '\n', '\\', '\0', '\uFFFF', ' ', 'null', 'true', '-', '1e999'],
		...['"event"', '"property-change"', '"name"', '"data"', '"time-pos"', '"duration"', '"path"', '"speed"'],
		...['"end-file"', '"reason"', '"eof"', '"request_id"', '"error"', '"success"', '1', '1.5', '-3', '1e15'],
		'{"event":"property-change","name":"path","data":"http://127.0.0.1:1/stream/0/x"}\n',
		'{"event":"property-change","name":"duration","data":5}\n',
		'{"request_id":9,"error":"success","data":4}\n',
	];
	let seed = 7;
	const random = (below: number) => {
		seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
		return Math.floor((seed / 2_147_483_648) * below);
	};

	for (let round = 0; round < 40; round++) {
		const {peer, told, link, ends} = await linkedPair(t);
		for (let line = 0; line < 50 && ends() === 0; line++) {
			peer.write(`${Array.from({length: random(12)}, () => words[random(words.length)]).join('')}\n`);
			await nextTurn();
		}

		for (const {positionMs = 0, durationMs, speed, stalls} of [...told, link.state]) {
			assert.ok(Number.isSafeInteger(positionMs) && positionMs >= 0, `${positionMs}`);
			assert.ok(
				durationMs === null || (Number.isSafeInteger(durationMs) && durationMs >= 0),
				`${durationMs}`,
			);
			assert.ok(Number.isFinite(speed) && speed > 0, `${speed}`);
			assert.ok(Number.isSafeInteger(stalls) && stalls >= 0, `${stalls}`);
		}

		link.close();
	}
});

test('a playing player reports twice a second, and a paused one gets no requests', async t => {
	t.mock.timers.enable({apis: ['setTimeout', 'setInterval']});
	const {peer, told, written, link} = await linkedPair(t);
	const send = async (name: string, data: unknown) => {
		peer.write(`${JSON.stringify({event: 'property-change', name, data})}\n`);
		await nextTurn();
	};

	const settled = async (condition: () => boolean) => {
		for (let turn = 0; turn < 100_000 && !condition(); turn++) {
			await nextTurn();
		}
	};

	for (let speed = 1; speed <= 100; speed++) {
		await send('speed', 1 + speed / 100);
	}

	await settled(() => link.state.speed === 2);
	assert.equal(told.length, 1);
	t.mock.timers.tick(500);
	assert.equal(told.length, 2);
	assert.equal(told.at(-1)?.speed, 2);
	t.mock.timers.tick(500);
	assert.equal(told.length, 2);
	await send('path', '/film.mkv');
	await send('pause', true);
	await settled(() => link.state.paused);
	await settled(() => written.join('').includes('time-pos'));
	const before = written.length;
	t.mock.timers.tick(60_000);
	await nextTurn();
	assert.equal(written.length, before);
});

test('sockets are in a folder for the user alone', {skip: process.platform === 'win32'}, async t => {
	const runtime = await temporaryFolder(t);
	const folder = path.join(runtime, 'downstream-tui');
	const modeOf = async (file: string) => (await stat(path.dirname(file))).mode & 0o777;
	const first = await newSocketPath({XDG_RUNTIME_DIR: runtime});
	assert.equal(path.dirname(first), folder);
	assert.equal(await modeOf(first), 0o700);
	assert.equal(isSocketPath(first), true);
	assert.equal(isSocketPath('/home/user/film.mkv'), false);
	assert.notEqual(await newSocketPath({XDG_RUNTIME_DIR: runtime}), first);
	await chmod(folder, 0o755);
	assert.equal(await modeOf(await newSocketPath({XDG_RUNTIME_DIR: runtime})), 0o700);

	// A fallback folder for a symbolic link, for a missing folder and for a name too long for a socket.
	await rm(folder, {recursive: true});
	const elsewhere = await temporaryFolder(t);
	await symlink(elsewhere, folder);
	const long = path.join(runtime, 'x'.repeat(90));
	await mkdir(long);
	for (const XDG_RUNTIME_DIR of [runtime, '/nowhere', 'relative', undefined, long]) {
		const file = await newSocketPath({XDG_RUNTIME_DIR});
		assert.equal(isSocketPath(file), true);
		assert.ok(file.startsWith(path.join(tmpdir(), 'downstream-tui-')), file);
		assert.equal(await modeOf(file), 0o700);
		await writeFile(file, '');
		await removeSocket(file);
		assert.equal(existsSync(path.dirname(file)), false);
	}

	await removeSocket(first);
	assert.ok(existsSync(runtime));
});

const notRoot = process.geteuid?.() === 0 ? false : 'needs root, to be another user';

test('another user cannot reach a socket', {skip: missing('setpriv') || notRoot}, async t => {
	const runtime = await temporaryFolder(t);
	await chmod(runtime, 0o755);
	const socket = await newSocketPath({XDG_RUNTIME_DIR: runtime});
	await FakeMpv.listen(t, socket);
	await chmod(socket, 0o777);
	const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
	await promisify(execFile)('setpriv', [...nobody, 'stat', runtime]);
	await assert.rejects(promisify(execFile)('setpriv', [...nobody, 'stat', socket]), /Permission denied/);
});

test('on Windows the socket is a pipe', async () => {
	const pipe = await newSocketPath({}, 'win32');
	assert.match(pipe, /^\\\\\.\\pipe\\downstream-tui-[\da-f]{24}$/);
	assert.equal(isSocketPath(pipe), true);
});

const blankFilm: DownloadFilm = {
	...{durationMs: 0, exact: true, indexBytes: 0, indexOffset: 0, tracks: [], playable: []},
	...{position: 0, watchTo: 0, forecastRate: 0, stallAt: null, waitMs: 0, neededRate: 0},
};

test('the playlist lists only started films, each at its last position', () => {
	const film = (name: string, ms: number, at: number, watched = false) => ({
		...blankDownload,
		film: {...blankFilm, durationMs: 6_000_000},
		name,
		position: {ms, at, watched, exact: true},
	});
	const downloads = [
		{...blankDownload, name: 'new.mkv'},
		film('begun.mkv', 2_467_890, 1),
		film('seen.mkv', 5000, 3, true),
		film('later.mkv', 1000, 2),
		film('shorter now.mkv', 6_000_000, 4),
	];
	const {streamUrl} = blankDownload;
	assert.equal(
		playlistOf(downloads),
		`#EXTM3U
#EXTINF:-1,new.mkv
${streamUrl}
#EXTINF:-1,begun.mkv
#EXTVLCOPT:start-time=2467
${streamUrl}
#EXTINF:-1,seen.mkv
${streamUrl}
#EXTINF:-1,later.mkv
#EXTVLCOPT:start-time=1
${streamUrl}
#EXTINF:-1,shorter now.mkv
${streamUrl}
`,
	);
	assert.deepEqual(
		Array.from(playlistOf(downloads, {onlyBegun: true}).matchAll(/,(.*)/g), ([, name]) => name),
		['later.mkv', 'begun.mkv'],
	);
});
