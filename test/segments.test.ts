// The rate of a connection shows the gain of another one.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {mostExpendable, Segment} from '../source/engine/fetch/segments.ts';

const MiB = 1024 * 1024;

function answeredSegment(): Segment {
	const segment = new Segment({start: 0, end: 8 * MiB, for: 'fill', urgent: false});
	segment.answered();
	segment.offset = MiB;
	segment.received = MiB;
	return segment;
}

test('a busy process measures no rate, because bytes wait in its sockets', async () => {
	const segment = answeredSegment();
	for (const end = performance.now() + 1100; performance.now() < end;) {
		// Busy.
	}

	assert.deepEqual([segment.rate, segment.sustainedRate], [undefined, undefined]);
	const other = answeredSegment();
	await sleep(1100);
	assert.ok(other.rate! > 0 && other.sustainedRate! > 0);
});

test('time spent on the disk does not count in the rate of a connection', async () => {
	const [plain, delayed] = [answeredSegment(), answeredSegment()];
	await sleep(300);
	delayed.storing = 250;
	assert.ok(plain.rate! < delayed.rate!);
});

test('a background connection ends first, then one for a pledge, then the one with the most bytes left', () => {
	const [fill, pledge, short, long] = (
		[
			['fill', 1],
			['pledge', 8],
			['player', 2],
			['player', 4],
		] as const
	).map(([use, size]) => new Segment({start: 0, end: size * MiB, for: use, urgent: false}));
	const segments = [long!, short!, pledge!, fill!];
	for (const next of [fill!, pledge!, long!, short!]) {
		assert.equal(mostExpendable(segments), next);
		// It ends already.
		next.draining.abort();
	}

	assert.equal(mostExpendable(segments), undefined);
});
