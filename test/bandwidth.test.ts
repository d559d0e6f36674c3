import assert from 'node:assert/strict';
import {test} from 'node:test';
import {Bandwidth, type Stop} from '../source/engine/fetch/bandwidth.ts';

const KiB = 1024;
const serves = () => true;
const fills = () => false;

function stopOf(signal = new AbortController(), urgency = new AbortController()): Stop {
	return {signal: signal.signal, urgency: urgency.signal};
}

/** Uses up what an idle limit has saved, so that every further taking waits. */
async function drain(bandwidth: Bandwidth): Promise<void> {
	await bandwidth.take(bandwidth.slice, fills, stopOf());
	await bandwidth.take(bandwidth.slice, fills, stopOf());
}

test('connections together stay within the lower of two limits but for a short burst', async () => {
	const shared = new Bandwidth(400 * KiB);
	const own = new Bandwidth(200 * KiB, shared);
	const began = performance.now();
	let bytes = 0;
	await Promise.all(
		[1, 2, 3, 4].map(async () => {
			while (bytes < 100 * KiB) {
				await own.take(own.slice, fills, stopOf());
				bytes += own.slice;
				const allowed = (200 * KiB * (performance.now() - began)) / 1000 + 3 * own.slice;
				assert.ok(bytes <= allowed, `${bytes} of ${allowed}`);
			}
		}),
	);
});

test('a connection that serves a player comes first, even if it begins to while it waits', async () => {
	const bandwidth = new Bandwidth(64 * KiB);
	await drain(bandwidth);
	const order: string[] = [];
	let hasPlayer = false;
	const take = async (name: string, servesPlayer: () => boolean) => {
		await bandwidth.take(bandwidth.slice, servesPlayer, stopOf());
		order.push(name);
	};
	const all = [
		take('background', fills),
		take('changed', () => hasPlayer),
		take('player', serves),
		take('second', serves),
	];
	hasPlayer = true;
	await Promise.all(all);
	assert.deepEqual(order, ['changed', 'player', 'second', 'background']);
});

test('no limit, a lifted limit and an urgent end keep no connection waiting, and an abort rejects', async () => {
	const bandwidth = new Bandwidth();
	assert.equal(bandwidth.slice, Infinity);
	await bandwidth.take(2 ** 40, fills, stopOf());

	bandwidth.limit = 1024;
	await drain(bandwidth);
	const [ended, aborted] = [new AbortController(), new AbortController()];
	const hour = Array.from({length: 3600}, () => bandwidth.take(KiB, fills, stopOf()));
	const urgent = bandwidth.take(KiB, fills, stopOf(undefined, ended));
	const rejected = assert.rejects(bandwidth.take(KiB, fills, stopOf(aborted)), /over/);
	const lifted = bandwidth.take(KiB, fills, stopOf());
	ended.abort();
	aborted.abort(new Error('over'));
	await Promise.all([urgent, rejected]);
	bandwidth.limit = Infinity;
	await Promise.all([...hour, lifted]);
});

test('slices that wait when the limit falls become slices of the new limit', async () => {
	const bandwidth = new Bandwidth(1024 * KiB * KiB);
	await drain(bandwidth);
	const waiting = [1, 2].map(() => bandwidth.take(bandwidth.slice, fills, stopOf()));
	bandwidth.limit = 64 * KiB;
	assert.deepEqual(await Promise.all(waiting), [bandwidth.slice, bandwidth.slice]);
	const late = AbortSignal.timeout(30_000);
	await bandwidth.take(bandwidth.slice, serves, {signal: late, urgency: late});
	assert.equal(late.aborted, false);
});

test('the background yields to a waiting player until it is served', async () => {
	const shared = new Bandwidth();
	const own = new Bandwidth(Infinity, shared);
	const served = shared.playerWaits();
	let hasYielded = false;
	const yielding = own.yieldToPlayers(fills, stopOf()).then(() => {
		hasYielded = true;
	});
	await own.yieldToPlayers(serves, stopOf());
	assert.equal(hasYielded, false);
	served();
	await yielding;
	await own.yieldToPlayers(fills, stopOf());
});
