import assert from 'node:assert/strict';
import {once} from 'node:events';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {StorageLock} from '../source/engine/store/storage-lock.ts';
import {attach} from '../source/host/find-instance.ts';
import {temporaryFolder} from './support/engines.ts';

/** An origin on a port that no program listens on. */
async function closedOrigin(): Promise<string> {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const {port} = server.address() as AddressInfo;
	server.close();
	await once(server, 'close');
	return `http://127.0.0.1:${port}`;
}

test('attach waits for the exit of an ending instance and does not connect to it', async t => {
	const storage = await temporaryFolder(t);
	const lock = await StorageLock.acquire(storage);
	await lock.publish(await closedOrigin());
	const [attached] = await Promise.all([attach(storage), sleep(300).then(() => lock.release())]);
	assert.equal(attached, undefined);
});

test('an instance that neither answers nor ends is an error', async t => {
	const storage = await temporaryFolder(t);
	const lock = await StorageLock.acquire(storage);
	t.after(() => lock.release());
	await lock.publish(await closedOrigin());
	await assert.rejects(attach(storage), /has quit/);
});
