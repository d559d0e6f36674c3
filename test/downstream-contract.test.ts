// One suite for both implementations of the interface: the engine, and the client of a running instance.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readdir, readFile, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {ControlClient} from '../source/host/control-client.ts';
import {type Download, type DownloadId, type DownloadEngine} from '../source/downstream.ts';
import {until as untilSnapshot} from '../source/wait.ts';
import {atEnd} from './support/cleanup.ts';
import {firstWrongByte} from './support/content.ts';
import {startEngine, startOrigin, temporaryFolder, until, type TestEngine} from './support/engines.ts';
import {withCode} from './support/errors.ts';
import {FakeMpv} from './support/fake-mpv.ts';
import {films, MemoryDownStream} from './support/memory-downstream.ts';

const MiB = 1024 * 1024;
const etag = '"v1"';

const implementations: Record<string, (t: TestContext, started: TestEngine) => Promise<DownloadEngine>> = {
	Engine: async (_t, {engine}) => engine,
	async ControlClient(t, {engine, proxy}) {
		const client = await ControlClient.connect({origin: proxy.origin, key: engine.key});
		atEnd(t, () => client.dispose());
		return client;
	},
};

function find({snapshot}: DownloadEngine, id: DownloadId): Download | undefined {
	return snapshot.downloads.find(download => download.id === id);
}

for (const [name, open] of Object.entries(implementations)) {
	const start = async (t: TestContext) => {
		const started = await startEngine(t);
		return {...started, downstream: await open(t, started)};
	};

	test(`${name}: an added download is in the snapshot at once, and only once`, async t => {
		const origin = await startOrigin(t, {size: 3 * MiB, etag});
		const {downstream} = await start(t);
		const {download, existed} = await downstream.add({url: origin.url, name: 'my film.mkv', connections: 2});
		assert.equal(existed, false);
		assert.equal(find(downstream, download.id)?.name, 'my film.mkv');
		assert.equal(find(downstream, download.id)?.maxConnections, 2);
		const again = await downstream.add({url: origin.url});
		assert.deepEqual([again.existed, again.download.id], [true, download.id]);
		await until(downstream, download.id, ({status}) => status === 'complete');
		await assert.rejects(downstream.add({url: 'ftp://a/b'}), withCode('bad-request', /http/));
		await assert.rejects(
			downstream.add({url: origin.urlOf('/x'), checksum: 'sha256:12'}),
			withCode('bad-request', /sha256/),
		);
		await assert.rejects(
			downstream.add({url: origin.urlOf('/x'), connections: 17}),
			withCode('bad-request', /1 to 16/),
		);
	});

	test(`${name}: each of many additions is in the snapshot at once`, async t => {
		const origin = await startOrigin(t, {size: 1});
		const {downstream} = await start(t);
		for (let number = 0; number < 40; number++) {
			const {download} = await downstream.add({url: origin.urlOf(`/${number}`), paused: true});
			assert.ok(find(downstream, download.id), `addition ${number}`);
		}
	});

	test(`${name}: pause, cancel and resume show at once`, async t => {
		const origin = await startOrigin(t, {size: 20 * MiB, etag, bytesPerSecond: MiB});
		const {downstream} = await start(t);
		const {id} = (await downstream.add({url: origin.url})).download;
		await until(downstream, id, ({status}) => status === 'active');
		await downstream.pause(id);
		assert.equal(find(downstream, id)?.status, 'paused');
		await downstream.cancel(id);
		assert.equal(find(downstream, id)?.status, 'cancelled');
		const idle = await downstream.add({url: origin.urlOf('/idle.bin'), paused: true});
		await downstream.cancel(idle.download.id);
		const known = await downstream.add({url: origin.urlOf('/idle.bin'), paused: true});
		assert.equal(known.existed, true);
		assert.equal(find(downstream, idle.download.id)?.status, 'cancelled');
		origin.options.bytesPerSecond = undefined;
		await downstream.resume(id);
		assert.notEqual(find(downstream, id)?.status, 'cancelled');
		await until(downstream, id, ({status}) => status === 'complete');
		for (const verb of ['pause', 'resume', 'cancel', 'restore', 'verify', 'startOver'] as const) {
			await assert.rejects(downstream[verb]('0'.repeat(32)), withCode('not-found'));
		}
	});

	test(`${name}: a restored download returns to its place`, async t => {
		const origin = await startOrigin(t, {size: MiB, etag});
		const {downstream} = await start(t);
		const ids: DownloadId[] = [];
		for (const file of ['/a', '/b', '/c']) {
			const {download} = await downstream.add({url: origin.urlOf(file)});
			ids.push(download.id);
			await until(downstream, download.id, ({status}) => status === 'complete');
		}

		const [, middle = ''] = ids;
		await downstream.remove(middle, {data: 'delete', undoMs: 60_000});
		assert.equal(find(downstream, middle), undefined);
		await downstream.restore(middle);
		assert.deepEqual(
			downstream.snapshot.downloads.map(({id}) => id),
			ids,
		);
		assert.equal(find(downstream, middle)?.status, 'complete');
		await downstream.remove(middle, {data: 'keep'});
		const {download, existed} = await downstream.add({url: origin.urlOf('/b')});
		assert.deepEqual([existed, download.id, download.present], [true, middle, MiB]);
		await assert.rejects(downstream.remove('0'.repeat(32), {data: 'keep'}), withCode('not-found'));
	});

	test(`${name}: a change applies to every changeable field`, async t => {
		const origin = await startOrigin(t, {size: 2 * MiB, etag});
		const {downstream} = await start(t);
		const {id} = (await downstream.add({url: origin.url, paused: true})).download;
		const changed = await downstream.update(id, {
			name: 'other.mkv',
			limitRate: 4096,
			connections: 3,
			onDemand: true,
			checksum: `md5:${'A'.repeat(32)}`,
		});
		const expected = {
			name: 'other.mkv',
			limitRate: 4096,
			maxConnections: 3,
			onDemand: true,
			checksum: `md5:${'a'.repeat(32)}`,
		};
		for (const download of [changed, find(downstream, id)]) {
			assert.deepEqual({...download, ...expected}, download);
		}

		assert.equal((await downstream.update(id, {limitRate: null})).limitRate, null);
		await assert.rejects(downstream.update(id, {proxy: 'gopher://x'}), withCode('bad-request'));
		await assert.rejects(downstream.update(id, {limitRate: 5}), withCode('bad-request', /limitRate/));
		await assert.rejects(downstream.update('0'.repeat(32), {}), withCode('not-found'));
	});

	test(`${name}: a position is set, kept and shown`, async t => {
		const {downstream} = await start(t);
		const {id} = (await downstream.add({url: 'http://127.0.0.1:9/film.mkv', paused: true})).download;
		assert.equal(find(downstream, id)?.position, null);
		const {position} = await downstream.update(id, {positionMs: 2_467_000});
		assert.deepEqual({...position, at: 0}, {ms: 2_467_000, at: 0, watched: false, exact: true});
		assert.deepEqual(find(downstream, id)?.position, position);
		const watched = (await downstream.update(id, {watched: true})).position;
		assert.deepEqual([watched?.ms, watched?.watched], [2_467_000, true]);
		for (const positionMs of [-1, 1.5, NaN, Infinity]) {
			await assert.rejects(downstream.update(id, {positionMs}), withCode('bad-request', /positionMs/));
		}

		assert.deepEqual(find(downstream, id)?.position, watched);
	});

	test(`${name}: a player is linked by its socket and takes two commands`, async t => {
		const {downstream} = await start(t);
		const {download} = await downstream.add({url: 'http://127.0.0.1:9/film.mkv', paused: true});
		const {id} = download;
		await assert.rejects(
			downstream.controlPlayer(id, {pause: true}),
			withCode('no-player', /No linked player/),
		);
		await assert.rejects(downstream.linkPlayer('0'.repeat(32)), withCode('not-found'));
		const {socket} = await downstream.linkPlayer(id);
		await FakeMpv.listen(t, socket, {path: download.streamUrl, duration: 100, 'time-pos': 5});
		await until(downstream, id, ({playback, position}) => playback !== null && position?.ms === 5000);
		await downstream.controlPlayer(id, {seekMs: 50_000, pause: true});
		assert.equal(find(downstream, id)?.position?.ms, 50_000);
		assert.equal(find(downstream, id)?.playback?.paused, true);
		await assert.rejects(
			downstream.controlPlayer(id, {seekMs: 100_001}),
			withCode('bad-request', /past the end/),
		);
	});

	test(`${name}: a stretch is made safe, and the pledge is lifted`, async t => {
		const origin = await startOrigin(t, {size: 3 * MiB, etag});
		const {downstream} = await start(t);
		const {id} = (await downstream.add({url: origin.url, paused: true})).download;
		await assert.rejects(downstream.makeSafe(id, {bytes: 1, forMs: 1}), withCode('bad-request', /exclude/));
		await assert.rejects(
			downstream.makeSafe(id, {bytes: 1, by: 1}),
			withCode('bad-request', /in the future/),
		);
		for (const beyond of [
			{bytes: 1, by: 2 ** 53 - 1},
			{fromMs: 1000, forMs: 2 ** 53 - 1},
			{bytes: 2 ** 53 - 1},
		]) {
			await assert.rejects(
				downstream.makeSafe(id, beyond),
				withCode('bad-request', /must be a whole number/),
			);
		}

		await assert.rejects(downstream.makeSafe('0'.repeat(32), {bytes: 1}), withCode('not-found'));
		const plan = await downstream.makeSafe(id, {bytes: MiB, dryRun: true});
		assert.deepEqual([plan.n, find(downstream, id)?.pledges], [0, []]);
		const by = Date.now() + 3_600_000;
		const pledge = await downstream.makeSafe(id, {bytes: MiB, by});
		assert.deepEqual([pledge.n, pledge.by, pledge.state], [1, by, 'pending']);
		assert.deepEqual([find(downstream, id)?.pledges.length, find(downstream, id)?.status], [1, 'paused']);
		const {pledges, ranges} = await until(downstream, id, each => each.pledges[0]?.state === 'safe');
		assert.deepEqual([pledges[0]!.end, pledges[0]!.missing, ranges], [MiB, 0, [[0, MiB]]]);
		const more = await downstream.makeSafe(id, {bytes: 2 * MiB, by});
		assert.deepEqual([more.n, more.end], [1, 2 * MiB]);
		await downstream.lift(id, 1);
		assert.deepEqual(find(downstream, id)?.pledges, []);
		await assert.rejects(downstream.lift(id, 1), withCode('not-found', /no pledge 1/));
	});

	test(`${name}: a changed file starts over, with the old bytes kept`, async t => {
		const size = 16 * MiB;
		const origin = await startOrigin(t, {size, etag, bytesPerSecond: 2 * MiB});
		const {downstream} = await start(t);
		const {id} = (await downstream.add({url: origin.url})).download;
		await until(downstream, id, ({present}) => present > MiB);
		Object.assign(origin.options, {etag: '"v2"', seed: 2, bytesPerSecond: undefined});
		// The responses of the old version may cover the rest of the file.
		for (const socket of origin.sockets) {
			socket.destroy();
		}

		const failed = await until(downstream, id, ({status}) => status === 'failed');
		assert.equal(failed.error?.code, 'origin-changed');
		const beside = await downstream.startOver(id, {keepOld: true});
		assert.notEqual(beside.id, id);
		await until(downstream, beside.id, ({status}) => status === 'complete');
		assert.equal(find(downstream, id)?.present, failed.present);
		assert.equal((await downstream.startOver(id)).id, id);
		await until(downstream, id, ({present}) => present === 0 || present === size);
	});

	test(`${name}: verify finds damage`, async t => {
		const origin = await startOrigin(t, {size: 3 * MiB, etag});
		const {downstream} = await start(t);
		const {id} = (await downstream.add({url: origin.url})).download;
		const {folder} = await until(downstream, id, ({status}) => status === 'complete');
		assert.deepEqual(await downstream.verify(id), {damaged: []});
		const data = path.join(folder, 'data');
		const bytes = await readFile(data);
		bytes[MiB] = ~bytes[MiB]!;
		await writeFile(data, bytes);
		const {damaged} = await downstream.verify(id);
		assert.equal(damaged.length, 1);
		assert.ok(damaged[0]![0] <= MiB && damaged[0]![1] > MiB);
		await until(downstream, id, ({status}) => status === 'complete');
	});

	test(`${name}: errors say what the server needs`, async t => {
		const origin = await startOrigin(t, {
			size: MiB,
			etag,
			intercept({url}, response) {
				const isRefused = url === '/private';
				if (isRefused) {
					response.writeHead(401, {'www-authenticate': 'Bearer realm="films"'}).end();
				}

				return isRefused;
			},
		});
		const {downstream} = await start(t);
		const {download} = await downstream.add({url: origin.urlOf('/private')});
		const failed = await until(downstream, download.id, ({status}) => status === 'failed');
		assert.equal(failed.error?.needs, 'token');
		const other = await downstream.add({url: origin.url});
		await until(downstream, other.download.id, ({status}) => status === 'complete');
		await assert.rejects(downstream.update(other.download.id, {url: origin.urlOf('/private')}), {
			name: 'DownStreamError',
			code: 'origin-refused',
			needs: 'token',
		});
	});

	test(`${name}: the order of the queue and the rate limit change`, async t => {
		// Slow: a complete download has no place in the queue.
		const origin = await startOrigin(t, {size: 8 * MiB, etag, bytesPerSecond: MiB});
		const {downstream} = await start(t);
		const first = (await downstream.add({url: origin.urlOf('/a'), paused: true})).download;
		const second = (await downstream.add({url: origin.urlOf('/b'), paused: true})).download;
		await downstream.resume(first.id);
		await downstream.resume(second.id);
		await downstream.setLimitRate(2048);
		assert.equal(downstream.snapshot.limitRate, 2048);
		await downstream.moveInQueue(second.id, -1);
		assert.ok(find(downstream, second.id)!.queueRank < find(downstream, first.id)!.queueRank);
		await downstream.setLimitRate(null);
		assert.equal(downstream.snapshot.limitRate, null);
		await assert.rejects(downstream.setLimitRate(5), withCode('bad-request', /limitRate/));
	});

	test(`${name}: an export resolves with its path, or rejects with the reason`, async t => {
		const origin = await startOrigin(t, {size: 3 * MiB, etag});
		const folder = await temporaryFolder(t);
		const {downstream} = await start(t);
		const {id} = (await downstream.add({url: origin.url, paused: true})).download;
		const target = path.join(folder, 'film.bin');
		await assert.rejects(downstream.export(id, {path: target}), withCode('incomplete'));
		const taken = path.join(folder, 'taken.bin');
		await writeFile(taken, 'somebody’s');
		await assert.rejects(downstream.export(id, {path: taken, when: 'complete'}), withCode('target-exists'));
		assert.equal(find(downstream, id)?.exportWhenComplete, null);
		await downstream.resume(id);
		const {path: later} = await downstream.export(id, {path: target, when: 'complete'});
		assert.equal(later, target);
		await until(downstream, id, ({exportedTo}) => exportedTo === target);
		assert.equal(firstWrongByte(await readFile(target), 0), -1);
		await assert.rejects(downstream.export(id, {path: target}), withCode('target-exists'));
		const both = await downstream.export(id, {path: folder + path.sep, keepBoth: true});
		assert.equal(both.path, path.join(folder, 'film (2).bin'));
		assert.equal((await readdir(folder)).length, 3);
	});

	test(`${name}: unchanged downloads keep their identity`, async t => {
		const origin = await startOrigin(t, {size: MiB, etag});
		const {downstream} = await start(t);
		const still = (await downstream.add({url: origin.urlOf('/a'), paused: true})).download;
		const before = find(downstream, still.id);
		const other = (await downstream.add({url: origin.urlOf('/b')})).download;
		await until(downstream, other.id, ({status}) => status === 'complete');
		assert.equal(find(downstream, still.id), before);
		const {snapshot} = downstream;
		assert.equal(downstream.snapshot, snapshot);
	});
}

test('a client has the exact snapshot of the instance', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB, etag});
	const started = await startEngine(t);
	const {engine} = started;
	const client = await implementations.ControlClient!(t, started);
	for (const file of ['/a', '/b', '/c']) {
		const {download} = await client.add({url: origin.urlOf(file)});
		await until(
			client,
			download.id,
			({status, bytesPerSecond}) => status === 'complete' && bytesPerSecond === 0,
		);
	}

	engine.addBanner('a sentence');
	await client.setLimitRate(5000);
	await client.remove(engine.snapshot.downloads[1]!.id, {data: 'keep'});
	// Fading speeds and players make further snapshots; equal versions have equal content.
	await new Promise<void>(resolve => {
		const look = () => {
			if (client.snapshot.version === engine.snapshot.version) {
				unsubscribe();
				resolve();
			}
		};

		const unsubscribe = client.subscribe(look);
		look();
	});
	assert.deepEqual(client.snapshot, engine.snapshot);
	assert.equal(client.snapshot.banners.at(-1), 'a sentence');
	assert.equal(client.snapshot.origin, engine.origin);
});

test('a client reads events across the boundaries of chunks', async t => {
	const {snapshot} = new MemoryDownStream(films(3, {name: 'größe.mkv'}));
	const {downloads, ...rest} = snapshot;
	const changes = (version: number) => ({...rest, version, changed: [{...downloads[1]!, present: version}]});
	const eventText = (event: string, data: object) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
	const bytes = Buffer.from(eventText('snapshot', snapshot) + eventText('changes', changes(1)));
	const server = createServer((_request, response) => {
		for (const byte of bytes) {
			response.write(Buffer.of(byte));
		}

		response.write(eventText('changes', changes(2)) + eventText('changes', changes(3)));
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => server.close());
	const {port} = server.address() as AddressInfo;
	const client = await ControlClient.connect({origin: `http://127.0.0.1:${port}`, key: 'key'});
	atEnd(t, () => client.dispose());
	await untilSnapshot(client, ({version}) => version === 3 || undefined, AbortSignal.timeout(30_000));
	assert.deepEqual(client.snapshot.downloads, downloads.with(1, {...downloads[1]!, present: 3}));
});

test('when the instance ends, its client shows that and finds the next one', async t => {
	const origin = await startOrigin(t, {size: MiB, etag});
	const first = await startEngine(t);
	let current: TestEngine | undefined = first;
	const copyOf = ({engine, proxy}: TestEngine) => ({origin: proxy.origin, key: engine.key});
	const client = await ControlClient.connect(copyOf(first), async () => current && copyOf(current));
	atEnd(t, () => client.dispose());
	const {id} = (await client.add({url: origin.url})).download;
	await until(client, id, ({status}) => status === 'complete');
	current = undefined;
	const shows = (fits: () => boolean) =>
		new Promise<void>(resolve => {
			const unsubscribe = client.subscribe(() => {
				if (fits()) {
					unsubscribe();
					resolve();
				}
			});
		});
	const ended = 'The running instance has quit';
	const lost = shows(() => client.snapshot.banners.includes(ended));
	await first.close();
	await lost;
	assert.equal(client.snapshot.downloads.length, 1);
	await assert.rejects(client.pause(id), withCode('not-found', /has quit$/));
	const found = shows(() => !client.snapshot.banners.includes(ended));
	current = await startEngine(t, {storageDir: first.storageDir});
	await found;
	assert.equal(client.snapshot.origin, current.engine.origin);
	await client.remove(id, {data: 'keep'});
	assert.deepEqual(current.engine.snapshot.downloads, []);
});

test('a disposed client leaves the instance running', async t => {
	const origin = await startOrigin(t, {size: MiB, etag});
	const {engine, proxy} = await startEngine(t);
	const client = await ControlClient.connect({origin: proxy.origin, key: engine.key});
	const {id} = (await client.add({url: origin.url})).download;
	await client.dispose();
	await assert.rejects(client.pause(id), withCode('not-found'));
	await until(engine, id, ({status}) => status === 'complete');
});

test('a client with a wrong key, or without an instance, rejects with a sentence', async t => {
	const {proxy, engine, close} = await startEngine(t);
	await assert.rejects(
		ControlClient.connect({origin: proxy.origin, key: 'wrong'}),
		withCode('bad-request', /The key is missing or wrong/),
	);
	await close();
	await assert.rejects(
		ControlClient.connect({origin: proxy.origin, key: engine.key}),
		withCode('not-found', /has quit/),
	);
});
