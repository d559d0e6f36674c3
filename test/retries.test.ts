// When a transfer is tried again and when it is given up, by a clock that is turned by hand.
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {DownStreamError} from '../source/downstream.ts';
import {Retries} from '../source/engine/retries.ts';

const KiB = 1024;

type Try = {
	/** Until it fails. */
	takesMs: number;
	/** That fail together. */
	connections: number;
	/** What they bring before. */
	bytes: number;
};

/** Tries an origin until it is given up, or so often. */
function exhaust(t: TestContext, {takesMs, connections, bytes}: Try, most = 100) {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.UTC(2026, 10, 2)});
	const began = Date.now();
	const retries = new Retries(() => {}, undefined);
	let tries = 0;
	while (!retries.failure && tries < most) {
		t.mock.timers.tick(Math.ceil((retries.dueAt ?? Date.now()) - Date.now()));
		tries++;
		const opened = Date.now();
		t.mock.timers.tick(takesMs);
		retries.progressed(bytes);
		for (let connection = 0; connection < connections; connection++) {
			retries.failed(new DownStreamError('origin-unreachable', 'It is gone'), opened);
		}
	}

	return {tries, seconds: (Date.now() - began) / 1000, isGivenUp: retries.failure !== undefined};
}

for (const [words, how] of [
	['refuses connections', {takesMs: 0, connections: 1, bytes: 0}],
	['resets four connections at once', {takesMs: 0, connections: 4, bytes: 0}],
	['answers no attempt to connect', {takesMs: 10_000, connections: 1, bytes: 0}],
	['takes requests and says nothing', {takesMs: 20_000, connections: 4, bytes: 0}],
	['closes after a thousand bytes', {takesMs: 10, connections: 1, bytes: 1000}],
] as const) {
	test(`an origin that ${words} is given up after at most 45 s and 20 tries, and not at once`, t => {
		const {tries, seconds} = exhaust(t, how);
		assert.ok(seconds <= 45, `${seconds} s`);
		assert.ok(seconds >= 20, `${seconds} s`);
		assert.ok(tries <= 20, `${tries} tries`);
	});
}

test('an origin whose connections fall silent one after the other is given up in time, too', t => {
	for (let apart = 0; apart <= 20_000; apart += 1000) {
		t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.UTC(2026, 10, 2)});
		const began = Date.now();
		const lastByteAt = began + apart;
		/** Requests that will have been silent for too long. */
		const pending = [began + 20_000, lastByteAt + 20_000];
		const retries = new Retries(() => pending.push(Date.now() + 20_000), undefined);
		while (!retries.failure) {
			t.mock.timers.tick(100);
			const due = pending.findIndex(at => at <= Date.now());
			if (due !== -1) {
				const [at] = pending.splice(due, 1);
				const quietSince = Math.max(at! - 20_000, lastByteAt);
				retries.failed(new DownStreamError('origin-unreachable', 'no more bytes in time'), quietSince);
			}
		}

		const seconds = (Date.now() - lastByteAt) / 1000;
		assert.ok(seconds <= 45.5, `${seconds} s, ${apart} ms apart`);
		assert.ok(seconds >= 20, `${seconds} s, ${apart} ms apart`);
		t.mock.timers.reset();
	}
});

test('the sleep of the computer is no silence of the origin', t => {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.UTC(2026, 10, 2)});
	for (const seconds of [30, 60, 36_000]) {
		const retries = new Retries(() => {}, undefined);
		const error = new DownStreamError('origin-unreachable', 'connection reset');
		assert.equal(retries.failed(error, Date.now() - seconds * 1000), true);
		retries.cancel();
	}
});

test('an origin that fails again and again, but brings the file nearer each time, is not given up', t => {
	assert.equal(exhaust(t, {takesMs: 1000, connections: 4, bytes: 16 * KiB}, 200).isGivenUp, false);
});

test('what the origin asked one connection to wait is not cut short by another one, nor by a player', t => {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.UTC(2026, 10, 2)});
	let tries = 0;
	const retries = new Retries(() => {
		tries++;
	}, undefined);
	const reset = new DownStreamError('origin-unreachable', 'connection reset');
	retries.failed(reset);
	retries.failed(new DownStreamError('origin-busy', 'busy', {status: 503, retryAfterMs: 20_000}));
	retries.failed(reset);
	for (let second = 0; second < 19; second++) {
		t.mock.timers.tick(1000);
		retries.hurry();
	}

	assert.equal(tries, 0);
	assert.equal(retries.lastError?.code, 'origin-busy');
	t.mock.timers.tick(1000);
	assert.equal(tries, 1);
});

test('a wait that is longer than the patience of a player is told at once, a shorter one is waited for', t => {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.UTC(2026, 10, 2)});
	for (const [seconds, isHopeless] of [
		[10, false],
		[3600, true],
	] as const) {
		const retries = new Retries(() => {}, undefined);
		retries.failed(new DownStreamError('origin-busy', 'busy', {retryAfterMs: seconds * 1000}));
		assert.equal(retries.hopeless !== undefined, isHopeless);
	}
});
