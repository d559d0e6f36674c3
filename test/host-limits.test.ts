// Connection limits of a host, with a mocked clock.
import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {
	HostLimits,
	type HostConnection,
	meaningOfRefusal,
	riseMs,
} from '../source/engine/fetch/host-limits.ts';

const host = 'cdn.example';

class Connection implements HostConnection {
	readonly openedAt = Date.now();
	isAnswered = false;
	isRead = false;
}

function start(t: TestContext) {
	t.mock.timers.enable({apis: ['setTimeout', 'Date'], now: Date.UTC(2026, 10, 2)});
	const risen: string[] = [];
	const limits = new HostLimits();
	limits.join({host, wake: () => risen.push(host), yieldConnection: () => false});
	const open = (isAnswered = false, download?: string) => {
		const connection = new Connection();
		connection.isAnswered = isAnswered;
		limits.opened(host, connection, download);
		return connection;
	};
	const close = (connection: Connection) => {
		connection.isRead = true;
		limits.closed(host, connection);
	};
	const refuse = (connection: Connection, retryAfterMs?: number) => {
		const refusal = limits.refused(host, connection, {retryAfterMs});
		limits.closed(host, connection);
		return refusal;
	};
	return {limits, risen, open, close, refuse, clock: t.mock.timers};
}

test('a refusal beside an answered connection is a connection limit, even before its first byte', t => {
	const {limits, open, refuse, clock} = start(t);
	open(true);
	clock.tick(60_000);
	assert.equal(limits.isLimited(host), false);
	assert.equal(refuse(open()), true);
	assert.deepEqual([limits.ceiling(host), limits.mayOpen(host)], [1, false]);
	assert.equal(limits.isLimited('other.example'), false);
});

test('each refusal halves eight connections', t => {
	const {limits, open, refuse} = start(t);
	open(true);
	const others = Array.from({length: 7}, () => open());
	const ceilings = others.slice(0, 3).map(connection => (refuse(connection), limits.ceiling(host)));
	assert.deepEqual(ceilings, [4, 2, 1]);
});

test('unanswered connections set no limit', t => {
	const {limits, open, refuse} = start(t);
	open();
	assert.equal(refuse(open()), false);
	assert.equal(limits.isLimited(host), false);
});

test('a connection open at the start of the refused one, or cut just before, may count', t => {
	const {open, refuse, limits, risen, clock} = start(t);
	const whole = open(true);
	whole.isRead = true;
	const beside = open();
	clock.tick(100);
	limits.closed(host, whole);
	clock.tick(20);
	assert.equal(refuse(beside), true);
	assert.deepEqual([limits.mayOpen(host), risen], [false, []]);
	clock.tick(500);
	assert.deepEqual([limits.mayOpen(host), risen], [true, [host]]);
	assert.equal(refuse(open()), false);
	limits.closed(host, open(true));
	clock.tick(1000);
	assert.equal(refuse(open()), true);
	clock.tick(3000);
	assert.equal(refuse(open()), false);
});

test('an ambiguous response counts as a refusal only beside a live connection', t => {
	const {open, limits} = start(t);
	const other = open(true);
	const odd = open();
	limits.closed(host, other);
	assert.equal(limits.refused(host, odd, {isPlain: false}), false);
	open(true);
	assert.equal(limits.refused(host, odd, {isPlain: false}), true);
});

test('a limit rises by one every 30 s without a refusal, and ends after ten minutes', t => {
	const {limits, risen, open, refuse, clock} = start(t);
	open(true);
	refuse(open());
	clock.tick(29_999);
	assert.deepEqual([limits.ceiling(host), risen], [1, []]);
	clock.tick(1);
	assert.deepEqual([limits.ceiling(host), risen], [2, [host]]);
	clock.tick(20_000);
	assert.equal(refuse(open()), true);
	assert.equal(limits.ceiling(host), 1);
	clock.tick(30_000);
	assert.equal(limits.ceiling(host), 2);
	clock.tick(30_000);
	assert.equal(limits.ceiling(host), 3);
	clock.tick(9 * 60_000);
	assert.deepEqual([limits.ceiling(host), limits.mayOpen(host)], [Infinity, true]);
	const {length} = risen;
	clock.tick(60 * 60_000);
	assert.equal(risen.length, length);
});

test('Retry-After holds back further connections to the host', t => {
	const {limits, open, refuse, clock} = start(t);
	open(true);
	refuse(open(), 3600_000);
	clock.tick(3600_000);
	assert.equal(limits.ceiling(host), 1);
	clock.tick(30_000);
	assert.equal(limits.ceiling(host), 2);
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
	const {limits, risen, open, close, refuse, clock} = start(t);
	const working = [open(true, 'a'), open(true, 'a')];
	assert.equal(refuse(open(false, 'b')), true);
	assert.deepEqual([limits.ceiling(host, 'b'), limits.mayOpen(host, 'b')], [2, false]);
	close(working[0]!);
	// The download that held the place gets it back only for a waiting player.
	assert.deepEqual([limits.mayOpen(host, 'a'), limits.mayOpen(host, 'a', true)], [false, true]);
	assert.equal(limits.mayOpen(host, 'b'), false, 'the host may still count the closed one');
	clock.tick(300);
	assert.deepEqual([limits.mayOpen(host, 'b'), risen], [true, [host]]);
	assert.equal(refuse(open(false, 'b')), false);
	await Promise.resolve();
	assert.deepEqual([limits.ceiling(host), limits.mayOpen(host, 'a'), risen], [Infinity, true, [host, host]]);
});

test('a successful second attempt reveals the connection limit of the host', async t => {
	const {limits, risen, open, close, refuse, clock} = start(t);
	const working = open(true, 'a');
	refuse(open(false, 'b'));
	close(working);
	clock.tick(300);
	const second = open(true, 'b');
	limits.answered(host, second);
	await Promise.resolve();
	assert.deepEqual([limits.ceiling(host, 'a'), limits.ceiling(host, 'b'), risen], [1, 1, [host, host]]);
	clock.tick(30_000);
	assert.equal(limits.ceiling(host), 2);
});

test('an unused reservation expires after 3 s', t => {
	const {limits, open, close, refuse, clock} = start(t);
	const working = [open(true, 'a'), open(true, 'a')];
	refuse(open(false, 'b'));
	close(working[0]!);
	clock.tick(3299);
	assert.equal(limits.mayOpen(host, 'a'), false);
	clock.tick(1);
	assert.deepEqual([limits.mayOpen(host, 'a'), limits.ceiling(host)], [true, Infinity]);
});

test('simultaneous refusals count once', t => {
	const {limits, open, close, refuse, clock} = start(t);
	const working = open(true, 'a');
	const further = [open(false, 'a'), open(false, 'a')];
	clock.tick(100);
	close(working);
	assert.deepEqual(
		further.map(connection => refuse(connection)),
		[true, true],
	);
	assert.equal(limits.mayOpen(host, 'a'), false);
	clock.tick(500);
	assert.equal(limits.mayOpen(host, 'a'), true);
	const second = open(true, 'a');
	limits.answered(host, second);
	assert.equal(limits.ceiling(host), 1);
});

test('a closed download is not woken, and the first download with a spare connection frees it', t => {
	const {limits, clock, open, refuse} = start(t);
	const asked: string[] = [];
	const user = (name: string, place: string, spares: boolean) => ({
		host: place,
		wake: () => asked.push(`wake ${name}`),
		yieldConnection: () => asked.push(`yield ${name}`) > 0 && spares,
	});
	const gone = user('gone', host, true);
	const users = [user('other', 'other.example', true), user('needy', host, false), user('rich', host, true)];
	for (const each of [gone, ...users, user('last', host, true)]) {
		limits.join(each);
	}

	limits.leave(gone);
	limits.freeConnection(host);
	assert.deepEqual(asked, ['yield needy', 'yield rich']);
	open(true);
	refuse(open());
	clock.tick(riseMs);
	assert.deepEqual(asked.slice(2), ['wake needy', 'wake rich', 'wake last']);
});

test('a closed connection wakes the downloads of a limited host', async t => {
	const {risen, open, refuse, close} = start(t);
	const first = open(true);
	refuse(open());
	await Promise.resolve();
	assert.deepEqual(risen, [host]);
	close(first);
	await Promise.resolve();
	assert.deepEqual(risen, [host, host]);
});
