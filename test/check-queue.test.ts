import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setImmediate} from 'node:timers/promises';
import {CheckQueue, type Check} from '../source/engine/download/check-queue.ts';

/** A check that runs until its release or abort. */
function held(): {check: Check; letGo: () => void; isRunning: () => boolean} {
	let isRunning = false;
	let letGo!: () => void;
	const gone = new Promise<void>(resolve => {
		letGo = resolve;
	});
	const check: Check = async signal => {
		isRunning = true;
		const aborted = new Promise((_, reject) => {
			signal.addEventListener('abort', () => reject(signal.reason as Error));
		});
		await Promise.race([gone, aborted]).finally(() => (isRunning = false));
		return [];
	};
	return {check, letGo, isRunning: () => isRunning};
}

test('one check runs at a time, in order', async () => {
	const queue = new CheckQueue();
	const [first, second] = [held(), held()];
	const outcomes = [queue.add('doubt', first.check), queue.add('whole', second.check)];
	assert.deepEqual([first.isRunning(), second.isRunning()], [true, false]);
	assert.equal(queue.find('whole'), outcomes[1]);
	first.letGo();
	await outcomes[0];
	await setImmediate();
	assert.deepEqual([first.isRunning(), second.isRunning()], [false, true]);
	assert.equal(queue.find('doubt'), undefined);
	second.letGo();
	await queue.settled();
	assert.equal(queue.find('whole'), undefined);
});

test('a check aborted in the queue never starts', async () => {
	const queue = new CheckQueue();
	const [first, second] = [held(), held()];
	const running = queue.add('doubt', first.check);
	const waiting = queue.add('whole', second.check);
	queue.abort(new Error('not now'), 'whole');
	assert.equal(first.isRunning(), true);
	first.letGo();
	await running;
	await assert.rejects(waiting, /not now/);
	assert.equal(second.isRunning(), false);
});

test('a failed check does not prevent the next', async () => {
	const queue = new CheckQueue();
	const failing = queue.add('doubt', async () => Promise.reject(new Error('disk')));
	const next = queue.add('whole', async () => [{start: 0, end: 1}]);
	await assert.rejects(failing, /disk/);
	assert.deepEqual(await next, [{start: 0, end: 1}]);
});

test('aborting ends the checks of all kinds', async () => {
	const queue = new CheckQueue();
	const checks = [queue.add('doubt', held().check), queue.add('whole', held().check)];
	queue.abort(new Error('the end'));
	await queue.settled();
	await Promise.all(checks.map(async check => assert.rejects(check, /the end/)));
});
