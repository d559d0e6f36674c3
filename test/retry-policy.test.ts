// Retries of a transfer, with a mocked clock.
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {DownStreamError} from '../source/downstream.ts';
import {HttpError} from '../source/engine/http/errors.ts';
import {RetryPolicy} from '../source/engine/fetch/retry-policy.ts';

const KiB = 1024;
const minute = 60_000;
const hour = 60 * minute;
const gone = new DownStreamError('origin-unreachable', 'It is gone');
const silent = new DownStreamError('origin-unreachable', 'timed out without a response', {
	cause: new HttpError('HEADERS_TIMEOUT', 'No answer in time'),
});
const missing = new DownStreamError('origin-refused', '404: no such file', {status: 404});

function busy(retryAfterMs?: number): DownStreamError {
	return new DownStreamError('origin-busy', 'busy', {status: 503, retryAfterMs});
}

function turnClock(t: TestContext): void {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.UTC(2026, 10, 2)});
}

type Try = {
	/** Milliseconds until the failure. */
	takesMs: number;
	/** Connections that fail together. */
	connections: number;
	/** Bytes received before. */
	bytes: number;
};

/** Retries an origin for `forMs`; returns the delays between attempts in milliseconds. */
function pausesOf(t: TestContext, {takesMs, connections, bytes}: Try, forMs: number): number[] {
	turnClock(t);
	const end = Date.now() + forMs;
	const retries = new RetryPolicy(() => {}, undefined);
	const pauses: number[] = [];
	while (Date.now() < end) {
		const opened = Date.now();
		t.mock.timers.tick(takesMs);
		if (bytes > 0) {
			retries.progressed(bytes);
		}

		for (let connection = 0; connection < connections; connection++) {
			assert.equal(retries.failed(gone, bytes > 0 ? Date.now() : opened), true);
		}

		assert.equal(retries.permanentError, undefined);
		const pause = Math.ceil(retries.retryAt! - Date.now());
		pauses.push(pause);
		t.mock.timers.tick(pause);
	}

	return pauses;
}

for (const [words, how] of [
	['refuses connections', {takesMs: 0, connections: 1, bytes: 0}],
	['resets four connections at once', {takesMs: 0, connections: 4, bytes: 0}],
	['accepts no connection', {takesMs: 8000, connections: 1, bytes: 0}],
	['closes after a thousand bytes', {takesMs: 10, connections: 1, bytes: 1000}],
] as const) {
	test(`an origin that ${words} is retried forever, with delays that grow to five minutes`, t => {
		const pauses = pausesOf(t, how, 12 * hour);
		assert.ok(pauses[0]! >= 375 && pauses[0]! <= 625, `${pauses[0]} ms`);
		assert.ok(Math.max(...pauses) <= 6.25 * minute, `${Math.max(...pauses)} ms`);
		const later = pauses.slice(12);
		assert.ok(
			later.every(pause => pause >= 3.5 * minute),
			`${Math.min(...later)} ms`,
		);
		assert.ok(new Set(later).size > later.length / 2, 'no jitter');
	});
}

test('a slow attempt has a short delay before the next', t => {
	const pauses = pausesOf(t, {takesMs: 5 * minute, connections: 1, bytes: 0}, 10 * hour);
	assert.ok(Math.max(...pauses) <= 625, `${Math.max(...pauses)} ms`);
});

test('an origin that makes progress at each attempt is retried soon', t => {
	const pauses = pausesOf(t, {takesMs: 1000, connections: 4, bytes: 16 * KiB}, hour);
	assert.ok(Math.max(...pauses) <= 625, `${Math.max(...pauses)} ms`);
});

test('attempts on request do not lengthen the delays of later ones', t => {
	turnClock(t);
	const retries = new RetryPolicy(() => {}, undefined);
	const untilNext = () => Math.ceil(retries.retryAt! - Date.now());
	while (retries.failures < 6) {
		retries.failed(gone);
		t.mock.timers.tick(untilNext());
	}

	for (let requests = 0; requests < 6; requests++) {
		retries.failed(gone);
		// The seventh delay, 32 s, spread by a quarter.
		assert.ok(untilNext() >= 24_000 && untilNext() <= 40_000, `${untilNext()} ms`);
		t.mock.timers.tick(2000);
		retries.retryNow(true);
		assert.equal(retries.retryAt, undefined);
	}

	assert.equal(retries.failures, 12);
	retries.failed(gone);
	t.mock.timers.tick(untilNext());
	retries.failed(gone);
	assert.ok(untilNext() >= 48_000, `${untilNext()} ms`);
});

test('Retry-After is honoured at any length', t => {
	for (const seconds of [20, 3600, 100 * 86_400]) {
		turnClock(t);
		let tries = 0;
		const retries = new RetryPolicy(() => tries++, undefined);
		retries.failed(gone);
		retries.failed(busy(seconds * 1000));
		retries.failed(gone);
		assert.deepEqual(
			[retries.retryAt, retries.lastError?.code],
			[Date.now() + seconds * 1000, 'origin-busy'],
		);
		// A timer lasts 24 days at most.
		for (let left = seconds - 1; left > 0; left -= 86_400) {
			t.mock.timers.tick(Math.min(left, 86_400) * 1000);
		}

		assert.equal(tries, 0);
		t.mock.timers.tick(1000);
		assert.equal(tries, 1);
		t.mock.timers.reset();
	}
});

test('a new request cuts Retry-After short, a reader at a hole does not', t => {
	turnClock(t);
	const retries = new RetryPolicy(() => {}, undefined);
	retries.failed(busy(20_000));
	t.mock.timers.tick(2000);
	retries.retryNow(false);
	assert.equal(retries.blockingError?.code, 'origin-busy');
	retries.retryNow(true);
	assert.equal(retries.blockingError, undefined);
});

test('a request clears any error, at most one attempt a second', t => {
	for (const error of [gone, missing, busy(hour)]) {
		turnClock(t);
		let tries = 0;
		const retries = new RetryPolicy(() => tries++, undefined);
		retries.failed(error);
		for (let request = 0; request < 5; request++) {
			t.mock.timers.tick(100);
			retries.retryNow(true);
		}

		assert.ok(tries <= Number(error === gone), `${tries} tries`);
		assert.equal(retries.permanentError, undefined);
		t.mock.timers.tick(500);
		assert.deepEqual([tries, retries.blockingError], [1, undefined]);
		t.mock.timers.tick(5000);
		retries.failed(error);
		t.mock.timers.tick(1000);
		retries.retryNow(true);
		assert.equal(retries.blockingError, undefined);
		t.mock.timers.reset();
	}
});

test('a restart clears a transient error and keeps a permanent one', () => {
	const stored = {message: 'It failed', at: 1};
	assert.equal(new RetryPolicy(() => {}, {...stored, code: 'origin-unreachable'}).blockingError, undefined);
	assert.equal(
		new RetryPolicy(() => {}, {...stored, code: 'origin-refused'}).permanentError?.message,
		'It failed',
	);
});

test('the sleep of the computer does not count as an outage', t => {
	turnClock(t);
	const retries = new RetryPolicy(() => {}, undefined);
	retries.failed(gone, Date.now() - 10 * hour);
	assert.ok(retries.playerWaitsUntil({since: Date.now() - 10 * hour, isAnswered: false}) > Date.now());
});

test('each missing response extends the timeout permanently, up to five minutes', t => {
	turnClock(t);
	const retries = new RetryPolicy(() => {}, undefined);
	const times = [];
	for (let tries = 0; tries < 6; tries++) {
		const time = retries.responseTimeout(30_000);
		times.push(time / 1000);
		const asked = Date.now();
		t.mock.timers.tick(time);
		// Four simultaneous ones count once.
		for (let connection = 0; connection < 4; connection++) {
			retries.failed(silent, asked);
			t.mock.timers.tick(700);
		}

		retries.retryNow(true);
	}

	assert.deepEqual(times, [30, 60, 120, 240, 300, 300]);
	retries.progressed(1024 * KiB);
	retries.reset();
	assert.equal(retries.responseTimeout(30_000), 300_000);
	assert.equal(retries.responseTimeout(600_000), 600_000);
});

for (const [words, error, takesMs, isAnswered, seconds] of [
	['refuses connections', gone, 0, false, [4, 10]],
	['accepts no connection', gone, 8000, false, [8, 10]],
	['is busy', busy(), 0, false, [4, 10]],
	['is busy for an hour', busy(hour), 0, false, [0, 0]],
	['closes in the middle of a response', gone, 0, true, [20, 45]],
	['stays silent', silent, 30_000, false, undefined],
] as const) {
	const told = seconds ? `gets the error after ${seconds[0]} to ${seconds[1]} s` : 'waits';
	for (const random of [0, 0.5, 0.999]) {
		test(`a player of an origin that ${words} ${told}, with a jitter of ${random}`, t => {
			turnClock(t);
			t.mock.method(Math, 'random', () => random);
			const since = Date.now();
			const failing = () => retries.failed(error, tried);
			const retries = new RetryPolicy(() => {
				tried = Date.now();
				setTimeout(failing, takesMs);
			}, undefined);
			let tried = since;
			setTimeout(failing, takesMs);
			const end = since + 10 * minute;
			t.mock.timers.tick(1);
			while (retries.playerWaitsUntil({since, isAnswered}) > Date.now() && Date.now() < end) {
				t.mock.timers.tick(50);
			}

			const waited = (Date.now() - since) / 1000;
			const [least, most] = seconds ?? [600, 601];
			assert.ok(waited >= least && waited <= most + 0.2, `${waited} s`);
		});
	}
}

test('an error has the time of the first of its attempts', t => {
	turnClock(t);
	const began = Date.now();
	const retries = new RetryPolicy(() => {}, undefined);
	retries.failed(gone);
	t.mock.timers.tick(minute);
	retries.failed(busy(1000));
	assert.deepEqual([retries.blockingError?.tries, retries.blockingError?.since], [2, began]);
	t.mock.timers.tick(minute);
	retries.progressed(100 * KiB);
	retries.failed(gone);
	assert.deepEqual([retries.blockingError?.tries, retries.blockingError?.since], [1, Date.now()]);
});
