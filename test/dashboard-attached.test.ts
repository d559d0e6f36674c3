import assert from 'node:assert/strict';
import {once} from 'node:events';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {test} from 'node:test';
import {ControlClient} from '../source/host/control-client.ts';
import {atEnd} from './support/cleanup.ts';
import {download, everyState, films, MemoryDownStream} from './support/memory-downstream.ts';
import {Screen} from './support/screen.tsx';

test('no download is shown as running between the end of one instance and the start of the next', async t => {
	let {snapshot} = new MemoryDownStream([...everyState(), download({status: 'exporting', completedAt: 1})]);
	const server = createServer((_request, response) => {
		response.write(`event: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`);
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => server.close());
	const copy = {origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, key: 'key'};
	let isThere = false;
	const client = await ControlClient.connect(copy, async () => (isThere ? copy : undefined));
	atEnd(t, () => client.dispose());
	const screen = new Screen(t, client, {columns: 120, rows: 40, isAttached: true});
	await screen.shows(/again in \d+ s/);
	server.closeAllConnections();
	await screen.shows('The running instance has ended');
	assert.doesNotMatch(screen.text, /[KM]iB\/s|again in|asking the|stalled \d|export 62%|mpv 0/);
	const before = new Map(snapshot.downloads.map(({id, status}) => [id, status]));
	const still = ['complete', 'failed', 'paused', 'cancelled'];
	for (const shown of client.snapshot.downloads) {
		const {id, name, status, completedAt} = shown;
		const was = before.get(id)!;
		assert.equal(status, still.includes(was) ? was : completedAt === null ? 'queued' : 'complete', name);
		const {bytesPerSecond, bytesPerSecondLong, connections, segments, players, retryAt} = shown;
		assert.deepEqual(
			{bytesPerSecond, bytesPerSecondLong, connections, segments, players, retryAt},
			{bytesPerSecond: 0, bytesPerSecondLong: 0, connections: 0, segments: [], players: [], retryAt: null},
		);
	}

	snapshot = new MemoryDownStream(films(1)).snapshot;
	isThere = true;
	await screen.shows('▸ ↓ film-0.mkv');
	assert.doesNotMatch(screen.text, /has ended/);
});
