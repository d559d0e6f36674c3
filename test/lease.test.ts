// Leases: a killed client's additions and resumptions are undone, unless somebody else wants them.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import path from 'node:path';
import {pipeline} from 'node:stream';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {byId, type Download} from '../source/downstream.ts';
import {ControlClient} from '../source/host/control-client.ts';
import {start} from '../source/host/engine-host.ts';
import {attach} from '../source/host/find-instance.ts';
import {Leases} from '../source/leases.ts';
import {until as untilSnapshot} from '../source/wait.ts';
import {atEnd} from './support/cleanup.ts';
import {startGet, startInstance} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';
import {download, films, idOf, MemoryDownStream} from './support/memory-downstream.ts';
import {ask, startProxy} from './support/proxy-client.ts';

const MiB = 1024 * 1024;
const graceMs = 20;

type Act = (client: ControlClient, download: Download, t: TestContext) => Promise<unknown>;

/**
 * An instance with a paused download, and a `get` that fetches it and another file. `prepare` acts on the paused one
 * before.
 */
async function getBeside(t: TestContext, prepare: Act = async () => undefined) {
	const origin = await startOrigin(t, {size: 60 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const folder = await temporaryFolder(t);
	const storage = path.join(folder, 'storage');
	const {serve} = await startInstance(t, storage);
	const client = (await attach(storage))!;
	atEnd(t, () => client.dispose());
	const {download: listed} = await client.add({url: origin.urlOf('/listed'), paused: true});
	await prepare(client, listed, t);
	const files = `${folder}/files/`;
	const get = await startGet(t, storage, '-o', files, listed.url, origin.urlOf('/new'));
	const isFetching = ({status, present}: Download) => status === 'active' && present > 0;
	await until(client, listed.id, isFetching);
	await untilSnapshot(
		client,
		({downloads}) => (downloads.length === 2 && downloads.every(isFetching)) || undefined,
		AbortSignal.timeout(60_000),
	);
	return {origin, serve, client, get, storage, files, id: listed.id};
}

/** The lease of a killed `get` has ended: its new download is off the list. */
async function undone(client: ControlClient): Promise<void> {
	const limit = AbortSignal.timeout(60_000);
	await untilSnapshot(client, ({downloads}) => downloads.length === 1 || undefined, limit);
}

test('the new download of a killed get leaves the list, and its bytes are kept', async t => {
	const {origin, client, get, storage, files} = await getBeside(t);
	await get.kill('SIGKILL');
	await undone(client);
	origin.options.bytesPerSecond = undefined;
	const {length} = origin.requests;
	const again = await startGet(t, storage, '-o', files, origin.urlOf('/new'));
	assert.equal(await again.exit(), 0, again.stderr);
	assert.equal(firstWrongByte(await readFile(`${files}new`), 0), -1);
	const sent = origin.requests.slice(length).reduce((sum, {sent: {start, end}}) => sum + end - start, 0);
	assert.ok(sent < 60 * MiB, `${sent} bytes`);
});

const earlier: Record<string, {prepare?: Act; isAsBefore: (download: Download) => boolean}> = {
	paused: {isAsBefore: ({status}) => status === 'paused'},
	cancelled: {prepare: (client, {id}) => client.cancel(id), isAsBefore: ({status}) => status === 'cancelled'},
	'paused on-demand': {
		prepare: (client, {id}) => client.update(id, {onDemand: true}),
		isAsBefore: ({status, onDemand}) => status === 'paused' && onDemand,
	},
};

for (const [name, {prepare, isAsBefore}] of Object.entries(earlier)) {
	test(`a ${name} download is so again after the get that resumed it was killed`, async t => {
		const {client, get, id} = await getBeside(t, prepare);
		assert.equal(byId(client.snapshot.downloads, id)!.onDemand, false);
		await get.kill('SIGKILL');
		await until(client, id, isAsBefore);
	});
}

/** The downloads of a storage folder at the next start, which fetches nothing, once their bytes are checked. */
async function nextStart(t: TestContext, storageDir: string): Promise<readonly Download[]> {
	const {engine} = await startEngine(t, {storageDir, maxActive: 0});
	return untilSnapshot(
		engine,
		({downloads}) => (downloads.every(({status}) => status !== 'checking') ? downloads : undefined),
		AbortSignal.timeout(60_000),
	);
}

function statuses(downloads: readonly Download[]): string[] {
	return downloads.map(({name, status, onDemand}) => `${name} ${status}${onDemand ? ' on demand' : ''}`);
}

test('the next start undoes what get had changed if its instance was killed, too', async t => {
	const {serve, client, get, storage} = await getBeside(t);
	await client.dispose();
	await Promise.all([serve.kill('SIGKILL'), get.kill('SIGKILL')]);
	assert.deepEqual(statuses(await nextStart(t, storage)), ['listed paused']);
});

test('the next start undoes nothing that somebody else has commanded since', async t => {
	const {serve, client, get, storage, id} = await getBeside(t);
	const {downloads} = client.snapshot;
	await client.resume(id);
	await client.update(downloads.find(each => each.id !== id)!.id, {name: 'evening.mkv'});
	await client.dispose();
	await Promise.all([serve.kill('SIGKILL'), get.kill('SIGKILL')]);
	assert.deepEqual(statuses(await nextStart(t, storage)), ['listed queued', 'evening.mkv queued']);
});

test('a paused download is so at the next start after a get without an instance was killed', async t => {
	const origin = await startOrigin(t, {size: 60 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const storageDir = path.join(await temporaryFolder(t), 'storage');
	const {engine, close} = await startEngine(t, {storageDir});
	const {download: listed} = await engine.add({url: origin.urlOf('/listed'), paused: true});
	await engine.update(listed.id, {onDemand: true});
	await close();
	const get = await startGet(
		t,
		storageDir,
		'-o',
		`${storageDir}/../files/`,
		listed.url,
		origin.urlOf('/new'),
	);
	let client;
	while (!(client = await attach(storageDir))) {
		await sleep(20);
	}

	atEnd(t, () => client.dispose());
	await untilSnapshot(
		client,
		({downloads}) =>
			(downloads.length === 2 && downloads.every(({present, onDemand}) => present > 0 && !onDemand)) ||
			undefined,
		AbortSignal.timeout(60_000),
	);
	await get.kill('SIGKILL');
	assert.deepEqual(statuses(await nextStart(t, storageDir)), ['listed paused on demand']);
});

const others: Record<string, Act> = {
	'resumed it': (client, {id}) => client.resume(id),
	'added it': (client, {url}) => client.add({url}),
	'renamed it': (client, {id}) => client.update(id, {name: 'evening.mkv'}),
	'plays it': async (_client, {streamUrl}, t) => {
		const player = new AbortController();
		atEnd(t, () => player.abort());
		const {body} = await fetch(streamUrl, {signal: player.signal});
		body!.pipeTo(new WritableStream()).catch(() => undefined);
	},
};

for (const [what, act] of Object.entries(others)) {
	test(`a download continues after the get that resumed it was killed if somebody ${what}`, async t => {
		const {client, get, id} = await getBeside(t);
		await act(client, byId(client.snapshot.downloads, id)!, t);
		await get.kill('SIGKILL');
		await undone(client);
		assert.equal(byId(client.snapshot.downloads, id)?.status, 'active');
	});
}

test('two runs of get hold a download until both are killed', async t => {
	const {client, get, storage, files, id} = await getBeside(t);
	const {url} = byId(client.snapshot.downloads, id)!;
	const marker = url.replace('listed', 'marker');
	const second = await startGet(t, storage, '-o', `${files}second/`, url, marker);
	const limit = AbortSignal.timeout(60_000);
	await untilSnapshot(client, ({downloads}) => downloads.length === 3 || undefined, limit);
	await get.kill('SIGKILL');
	const has = (name: string) => client.snapshot.downloads.some(each => each.name === name);
	await untilSnapshot(client, () => !has('new') || undefined, limit);
	assert.equal(byId(client.snapshot.downloads, id)?.status, 'active');
	await second.kill('SIGKILL');
	await until(client, id, ({status}) => status === 'paused');
	assert.equal(has('marker'), false);
});

test('Ctrl+C in one of two runs of get for a download leaves it to the other', async t => {
	const {origin, client, get, storage, files, id} = await getBeside(t);
	const {url} = byId(client.snapshot.downloads, id)!;
	const second = await startGet(t, storage, '-o', `${files}second/`, url, url.replace('listed', 'marker'));
	const limit = AbortSignal.timeout(60_000);
	await untilSnapshot(client, ({downloads}) => downloads.length === 3 || undefined, limit);
	get.child.kill('SIGINT');
	assert.equal(await get.exit(), 130);
	assert.equal(byId(client.snapshot.downloads, id)?.status, 'active');
	origin.options.bytesPerSecond = undefined;
	assert.equal(await second.exit(), 0, second.stderr);
	await until(client, id, ({status}) => status === 'complete');
});

test('another run of get, right after a kill, leaves no download in the list', async t => {
	const {origin, client, get, storage, files, id} = await getBeside(t);
	await get.kill('SIGKILL');
	const again = await startGet(t, storage, '-o', files, origin.urlOf('/new'));
	await until(client, id, ({status}) => status === 'paused');
	origin.options.bytesPerSecond = undefined;
	assert.equal(await again.exit(), 0, again.stderr);
	await undone(client);
});

test('a client of the same process takes a download out of a lease, too', async t => {
	const origin = await startOrigin(t, {size: 60 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const storageDir = await temporaryFolder(t);
	const settings = {port: 0, exactPort: false, allowOrigins: [], openStream: false};
	const host = await start({...settings, storageDir, proxy: 'direct'});
	atEnd(t, () => host.dispose());
	const client = (await attach(storageDir, 'lease'))!;
	const [first, second] = await Promise.all(
		['/a', '/b'].map(async place => (await client.add({url: origin.urlOf(place)})).download),
	);
	await host.engine.moveInQueue(first!.id, 1);
	await client.dispose();
	const limit = AbortSignal.timeout(60_000);
	await untilSnapshot(host.engine, ({downloads}) => !byId(downloads, second!.id) || undefined, limit);
	assert.ok(byId(host.engine.snapshot.downloads, first!.id));
});

test('a connection that breaks for a moment ends no lease', async t => {
	const origin = await startOrigin(t, {size: 60 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const {engine, proxy} = await startEngine(t);
	const sockets = new Set<Socket>();
	const relay = createServer(socket => {
		const onward = connect(proxy.port, '127.0.0.1');
		pipeline(socket, onward, socket, () => undefined);
		sockets.add(socket);
	}).listen(0, '127.0.0.1');
	await once(relay, 'listening');
	const instance = {key: engine.key, origin: `http://127.0.0.1:${(relay.address() as AddressInfo).port}`};
	const clientOf = async (lease: string) => {
		const client = await ControlClient.connect({...instance, lease}, async () => ({...instance, lease}));
		atEnd(t, () => client.dispose());
		return client;
	};
	const broken = await clientOf('broken');
	const {id} = (await broken.add({url: origin.url})).download;
	const lost = untilSnapshot(broken, () => !broken.isConnected || undefined, AbortSignal.timeout(60_000));
	for (const socket of sockets) {
		socket.destroy();
	}

	await lost;
	const ended = await clientOf('ended');
	const {download: marker} = await ended.add({url: origin.urlOf('/marker')});
	await ended.dispose();
	const limit = AbortSignal.timeout(60_000);
	await untilSnapshot(engine, ({downloads}) => !byId(downloads, marker.id) || undefined, limit);
	assert.equal(byId(engine.snapshot.downloads, id)?.status, 'active');
	relay.close();
});

/** Leases of an engine with one paused download. */
function leasesOf(...listed: Download[]) {
	const engine = new MemoryDownStream(listed);
	return {engine, leases: new Leases(engine, graceMs)};
}

/** Another lease that begins now has ended. */
async function graceOver(leases: Leases, engine: MemoryDownStream): Promise<void> {
	const url = `https://example.com/${engine.calls.length}`;
	const {download: marker} = await leases.with('marker').add({url});
	await untilSnapshot(
		engine,
		({downloads}) => !byId(downloads, marker.id) || undefined,
		AbortSignal.timeout(60_000),
	);
}

const paused = download({id: idOf(0), status: 'paused'});

test('a lease without a connection ends, and undoes its resumption', async () => {
	const {engine, leases} = leasesOf(paused);
	await leases.with('a').resume(paused.id);
	await graceOver(leases, engine);
	assert.deepEqual(
		engine.calls.filter(([name]) => name === 'pause'),
		[['pause', paused.id]],
	);
});

test('a client that connects again keeps its lease', async () => {
	const {engine, leases} = leasesOf(paused);
	const disconnect = leases.connect('a');
	await leases.with('a').resume(paused.id);
	await graceOver(leases, engine);
	disconnect();
	const disconnectAgain = leases.connect('a');
	await graceOver(leases, engine);
	assert.ok(!engine.calls.some(([name]) => name === 'pause'));
	disconnectAgain();
	await graceOver(leases, engine);
	assert.ok(engine.calls.some(([name]) => name === 'pause'));
});

test('a released lease undoes nothing', async () => {
	const {engine, leases} = leasesOf(paused);
	const disconnect = leases.connect('a');
	await leases.with('a').resume(paused.id);
	leases.release('a');
	disconnect();
	await graceOver(leases, engine);
	assert.ok(!engine.calls.some(([name]) => name === 'pause'));
});

test('a command that outlasts the instance is not undone', async () => {
	const {engine, leases} = leasesOf(paused);
	leases.close();
	await leases.with('a').resume(paused.id);
	await graceOver(new Leases(engine, graceMs), engine);
	assert.ok(!engine.calls.some(([name]) => name === 'pause'));
});

test('the last lease undoes what it has taken over from a killed client, even as it is released', async () => {
	const {engine, leases} = leasesOf(paused);
	leases.connect('again');
	await leases.with('killed').resume(paused.id);
	const {id} = (await leases.with('killed').add({url: 'https://example.com/new'})).download;
	await leases.with('again').resume(paused.id);
	await leases.with('again').add({url: 'https://example.com/new'});
	await graceOver(leases, engine);
	assert.ok(byId(engine.snapshot.downloads, id));
	leases.release('again');
	await graceOver(leases, engine);
	assert.equal(byId(engine.snapshot.downloads, id), undefined);
	assert.ok(engine.calls.some(([name]) => name === 'pause'));
});

test('a client that stops or removes a download leaves it to another lease that holds it', async () => {
	const onDemand = download({id: idOf(0), status: 'paused', onDemand: true});
	const {engine, leases} = leasesOf(onDemand);
	const [one, two] = [leases.with('one'), leases.with('two')];
	leases.connect('one');
	leases.connect('two');
	const {id} = (await one.add({url: 'https://example.com/new'})).download;
	await two.add({url: 'https://example.com/new'});
	await one.resume(onDemand.id);
	await two.resume(onDemand.id);
	await two.update(onDemand.id, {onDemand: false});
	const {length} = engine.calls;
	await one.remove(id, {data: 'keep'});
	await one.update(onDemand.id, {onDemand: true});
	await one.pause(onDemand.id);
	assert.equal(engine.calls.length, length);
	await two.remove(id, {data: 'keep'});
	await two.update(onDemand.id, {onDemand: true});
	await two.pause(onDemand.id);
	assert.deepEqual(
		engine.calls.slice(length).map(([name]) => name),
		['remove', 'update', 'pause'],
	);
});

test('commands of the client itself leave its lease in place', async () => {
	const {engine, leases} = leasesOf(paused);
	const client = leases.with('a');
	await client.resume(paused.id);
	await client.update(paused.id, {onDemand: false});
	await client.startOver(paused.id);
	await graceOver(leases, engine);
	assert.ok(engine.calls.some(([name]) => name === 'pause'));
});

test('a running download stays as it is', async () => {
	const [running] = films(1);
	const {engine, leases} = leasesOf(running!);
	await leases.with('a').resume(running!.id);
	await graceOver(leases, engine);
	assert.deepEqual(
		engine.calls.filter(([, id]) => id === running!.id),
		[['resume', running!.id]],
	);
});

test('the API takes a lease from the header, with the key alone', async t => {
	const {engine, proxy} = await startProxy(t);
	const status = async (method: string, target: string, key: string, lease: string) => {
		const headers = {authorization: `Bearer ${key}`, ...(lease !== '' && {'downstream-lease': lease})};
		return (await ask(proxy, target, {method, headers})).status;
	};
	assert.equal(await status('DELETE', '/api/lease', engine.key, 'a'), 204);
	assert.equal(await status('DELETE', '/api/lease', engine.key, ''), 400);
	assert.equal(await status('GET', '/api/downloads', engine.key, 'not valid'), 400);
	assert.equal(await status('GET', '/api/downloads', engine.viewKey, 'a'), 403);
});
