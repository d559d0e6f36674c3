// Connection limits of a host, with a mocked clock.
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {
	HostLimits,
	type HostConnection,
	type HostUser,
	meaningOfRefusal,
	riseMs,
} from '../source/engine/fetch/host-limits.ts';

const url = 'https://cdn.example/film.mkv';

class Connection implements HostConnection {
	readonly openedAt = Date.now();
	isAnswered = false;
	isRead = false;
}

function user(): HostUser {
	return {wake: () => undefined, yieldConnection: () => false};
}

function start(t: TestContext) {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.UTC(2026, 10, 2)});
	const limits = new HostLimits();
	const host = limits.of(url);
	const [a, b] = [user(), user()];
	let wakes = 0;
	host.join({...user(), wake: () => wakes++});
	const open = (isAnswered = false, by = a) => {
		const connection = new Connection();
		connection.isAnswered = isAnswered;
		host.opened(connection, by);
		return connection;
	};
	const close = (connection: Connection) => {
		connection.isRead = true;
		host.closed(connection);
	};
	const refuse = (connection: Connection, retryAfterMs?: number) => {
		const refusal = host.refused(connection, {retryAfterMs});
		host.closed(connection);
		return refusal;
	};
	return {limits, host, a, b, wakes: () => wakes, open, close, refuse, clock: t.mock.timers};
}

test('a refusal beside an answered connection is a connection limit, even before its first byte', t => {
	const {limits, host, a, open, refuse, clock} = start(t);
	open(true);
	clock.tick(60_000);
	assert.equal(host.isLimited, false);
	assert.equal(refuse(open()), true);
	assert.deepEqual([host.ceiling(), host.mayOpen(a)], [1, false]);
	assert.equal(limits.of('https://other.example/').isLimited, false);
});

test('each refusal halves eight connections', t => {
	const {host, open, refuse} = start(t);
	open(true);
	const others = Array.from({length: 7}, () => open());
	const ceilings = others.slice(0, 3).map(connection => (refuse(connection), host.ceiling()));
	assert.deepEqual(ceilings, [4, 2, 1]);
});

test('unanswered connections set no limit', t => {
	const {host, open, refuse} = start(t);
	open();
	assert.equal(refuse(open()), false);
	assert.equal(host.isLimited, false);
});

test('a connection open at the start of the refused one, or cut just before, may count', t => {
	const {host, a, wakes, open, refuse, clock} = start(t);
	const whole = open(true);
	whole.isRead = true;
	const beside = open();
	clock.tick(100);
	host.closed(whole);
	clock.tick(20);
	assert.equal(refuse(beside), true);
	assert.deepEqual([host.mayOpen(a), wakes()], [false, 0]);
	clock.tick(500);
	assert.deepEqual([host.mayOpen(a), wakes()], [true, 1]);
	assert.equal(refuse(open()), false);
	host.closed(open(true));
	clock.tick(1000);
	assert.equal(refuse(open()), true);
	clock.tick(3000);
	assert.equal(refuse(open()), false);
});

test('an ambiguous response counts as a refusal only beside a live connection', t => {
	const {host, open} = start(t);
	const other = open(true);
	const odd = open();
	host.closed(other);
	assert.equal(host.refused(odd, {isPlain: false}), false);
	open(true);
	assert.equal(host.refused(odd, {isPlain: false}), true);
});

test('a limit rises by one every 30 s without a refusal, and ends after ten minutes', t => {
	const {host, a, wakes, open, refuse, clock} = start(t);
	open(true);
	refuse(open());
	clock.tick(29_999);
	assert.deepEqual([host.ceiling(), wakes()], [1, 0]);
	clock.tick(1);
	assert.deepEqual([host.ceiling(), wakes()], [2, 1]);
	clock.tick(20_000);
	assert.equal(refuse(open()), true);
	assert.equal(host.ceiling(), 1);
	clock.tick(30_000);
	assert.equal(host.ceiling(), 2);
	clock.tick(30_000);
	assert.equal(host.ceiling(), 3);
	clock.tick(9 * 60_000);
	assert.deepEqual([host.ceiling(), host.mayOpen(a)], [Infinity, true]);
	const before = wakes();
	clock.tick(60 * 60_000);
	assert.equal(wakes(), before);
});

test('Retry-After holds back further connections to the host', t => {
	const {host, open, refuse, clock} = start(t);
	open(true);
	refuse(open(), 3600_000);
	clock.tick(3600_000);
	assert.equal(host.ceiling(), 1);
	clock.tick(30_000);
	assert.equal(host.ceiling(), 2);
});

test('a refusal counts as a connection limit only beside answered connections', () => {
	const facts = {others: 4, answered: 4, ownAnswered: 0, answeredBefore: undefined};
	assert.equal(meaningOfRefusal({...facts, answered: 0}), 'other');
	assert.equal(meaningOfRefusal({...facts, ownAnswered: 1}), 'fewer');
	assert.equal(meaningOfRefusal(facts), 'unclear');
	assert.equal(meaningOfRefusal({...facts, answeredBefore: 4}), 'unclear');
	assert.equal(meaningOfRefusal({...facts, others: 3, answered: 3, answeredBefore: 4}), 'other');
});

test('a download refused beside another retries in place of one of its connections', async t => {
	const {host, a, b, wakes, open, close, refuse, clock} = start(t);
	const working = [open(true, a), open(true, a)];
	assert.equal(refuse(open(false, b)), true);
	assert.deepEqual([host.ceiling(b), host.mayOpen(b)], [2, false]);
	close(working[0]!);
	// The download that held the place gets it back only for a waiting player.
	assert.deepEqual([host.mayOpen(a), host.mayOpen(a, true)], [false, true]);
	assert.equal(host.mayOpen(b), false, 'the host may still count the closed one');
	clock.tick(300);
	assert.deepEqual([host.mayOpen(b), wakes()], [true, 1]);
	assert.equal(refuse(open(false, b)), false);
	await Promise.resolve();
	assert.deepEqual([host.ceiling(), host.mayOpen(a), wakes()], [Infinity, true, 2]);
});

test('a successful second attempt reveals the connection limit of the host', async t => {
	const {host, a, b, wakes, open, close, refuse, clock} = start(t);
	const working = open(true, a);
	refuse(open(false, b));
	close(working);
	clock.tick(300);
	const second = open(true, b);
	host.answered(second);
	await Promise.resolve();
	assert.deepEqual([host.ceiling(a), host.ceiling(b), wakes()], [1, 1, 2]);
	clock.tick(30_000);
	assert.equal(host.ceiling(), 2);
});

test('an unused reservation expires after 3 s', t => {
	const {host, a, b, open, close, refuse, clock} = start(t);
	const working = [open(true, a), open(true, a)];
	refuse(open(false, b));
	close(working[0]!);
	clock.tick(3299);
	assert.equal(host.mayOpen(a), false);
	clock.tick(1);
	assert.deepEqual([host.mayOpen(a), host.ceiling()], [true, Infinity]);
});

test('a download that leaves gives up its reservation', async t => {
	const {host, a, b, wakes, open, close, refuse} = start(t);
	const working = [open(true, a), open(true, a)];
	refuse(open(false, b));
	close(working[0]!);
	assert.equal(host.mayOpen(a), false);
	host.leave(b);
	await Promise.resolve();
	assert.deepEqual([host.mayOpen(a), host.ceiling(), wakes()], [true, Infinity, 1]);
});

test('simultaneous refusals count once', t => {
	const {host, a, open, close, refuse, clock} = start(t);
	const working = open(true, a);
	const further = [open(false, a), open(false, a)];
	clock.tick(100);
	close(working);
	assert.deepEqual(
		further.map(connection => refuse(connection)),
		[true, true],
	);
	assert.equal(host.mayOpen(a), false);
	clock.tick(500);
	assert.equal(host.mayOpen(a), true);
	const second = open(true, a);
	host.answered(second);
	assert.equal(host.ceiling(), 1);
});

test('a closed download is not woken, and the first download with a spare connection frees it', t => {
	const {limits, host, open, refuse, clock} = start(t);
	const asked: string[] = [];
	const asking = (name: string, spares: boolean): HostUser => ({
		wake: () => asked.push(`wake ${name}`),
		yieldConnection: () => asked.push(`yield ${name}`) > 0 && spares,
	});
	const gone = asking('gone', true);
	limits.of('https://other.example/').join(asking('other', true));
	for (const each of [gone, asking('needy', false), asking('rich', true), asking('last', true)]) {
		host.join(each);
	}

	host.leave(gone);
	host.freeConnection();
	assert.deepEqual(asked, ['yield needy', 'yield rich']);
	open(true);
	refuse(open());
	clock.tick(riseMs);
	assert.deepEqual(asked.slice(2), ['wake needy', 'wake rich', 'wake last']);
});

test('a closed connection wakes the downloads of a limited host', async t => {
	const {wakes, open, close, refuse} = start(t);
	const first = open(true);
	refuse(open());
	await Promise.resolve();
	assert.equal(wakes(), 1);
	close(first);
	await Promise.resolve();
	assert.equal(wakes(), 2);
});
