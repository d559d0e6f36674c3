import assert from 'node:assert/strict';
import {once} from 'node:events';
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {test} from 'node:test';
import {ControlClient} from '../source/host/control-client.ts';
import {blankPledge} from './support/blank-download.ts';
import {atEnd} from './support/cleanup.ts';
import {download, everyState, films, idOf, MemoryDownStream} from './support/memory-downstream.ts';
import {Screen} from './support/screen.tsx';

test('no download is shown as running between the end of one instance and the start of the next', async t => {
	const pledges = [{...blankPledge, fromMs: 0, toMs: 60_000, etaAt: Date.now() + 60_000}];
	let {snapshot} = new MemoryDownStream([
		...everyState(),
		download({status: 'exporting', completedAt: 1}),
		download({id: idOf(99), name: 'pledged.mkv', status: 'paused', pledges}),
	]);
	const server = createServer((_request, response) => {
		response.write(`event: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`);
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	atEnd(t, () => server.close());
	const copy = {origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, key: 'key'};
	let isThere = false;
	const client = await ControlClient.connect(copy, async () => (isThere ? copy : undefined));
	atEnd(t, () => client.dispose());
	let takenOver = 0;
	const attachment = {
		get isConnected() {
			return client.isConnected;
		},
		isOwn: false,
		isElsewhere: true,
		takeOver: async () => {
			takenOver++;
		},
	};
	const screen = new Screen(t, client, {columns: 120, rows: 40, attachment});
	await screen.shows(/retry in \d+ s/);
	assert.match(screen.lines[0]!, / attached to http:\/\/127\.0\.0\.1:\d+/);
	assert.match(screen.lines.at(-1)!, / q detach/);
	await screen.send('R');
	await screen.shows('the other instance already runs the downloads');
	server.closeAllConnections();
	await screen.shows('The other instance has quit. R continues its downloads.');
	assert.match(screen.lines.at(-1)!, / q quit/);
	assert.doesNotMatch(
		screen.text,
		/attached to|[KM]iB\/s|retry in|connecting|stalled \d|export 62%|mpv 0|queued/,
	);
	assert.match(screen.text, /– Big\.Buck\.Bunny.* stopped +▐$/m);
	assert.match(screen.text, /\[1 all \d+\] +4 stopped \d+ +5 done \d +6 failed 1 /);
	assert.match(screen.lines.at(-1)!, /^ Enter details .*R continue here .*\? help/);
	for (const key of ['c', 'o', 'e', 'p', 'w', 'W']) {
		await screen.send(key);
		await screen.shows('The other instance has quit. R continues the downloads here.');
		await screen.send('j');
	}

	assert.deepEqual([screen.copied, screen.played], [[], []]);
	await screen.send('R');
	await screen.shows('The downloads continue here');
	assert.equal(takenOver, 1);
	const before = new Map(snapshot.downloads.map(({id, status}) => [id, status]));
	const still = ['complete', 'failed', 'paused', 'cancelled'];
	for (const shown of client.snapshot.downloads) {
		const {id, name, status, completedAt} = shown;
		const was = before.get(id)!;
		assert.equal(status, still.includes(was) ? was : completedAt === null ? 'queued' : 'complete', name);
		const {bytesPerSecond, bytesPerSecondLong, connections, segments, players, retryAt} = shown;
		assert.ok(shown.pledges.every(({etaAt}) => etaAt === null));
		assert.deepEqual(
			{bytesPerSecond, bytesPerSecondLong, connections, segments, players, retryAt},
			{bytesPerSecond: 0, bytesPerSecondLong: 0, connections: 0, segments: [], players: [], retryAt: null},
		);
	}

	snapshot = new MemoryDownStream(films(1)).snapshot;
	isThere = true;
	await screen.shows('▸ ↓ film-0.mkv');
	assert.doesNotMatch(screen.text, /has quit/);
});
