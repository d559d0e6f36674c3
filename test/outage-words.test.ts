import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Download} from '../source/downstream.ts';
import {outageSentence, outagesOf, timedOutage, withoutSilentCeilings} from '../source/text/outage-words.ts';
import {dashboardTest} from './support/dashboard-test.ts';
import {download, idOf} from './support/memory-downstream.ts';

const now = Date.now();

function waiting(index: number, change: Partial<Download> = {}, status?: number): Download {
	return download({
		id: idOf(index),
		name: `film-${index}.mkv`,
		status: 'waiting',
		retryAt: now + 30_000 * (index + 1),
		error: {
			code: status === undefined ? 'origin-unreachable' : 'origin-busy',
			message: 'connection refused',
			at: now,
			tries: 3,
			since: now - 190_000 + index * 1000,
		},
		...change,
	});
}

test('an outage has the time since the first failure, and the next attempt of any download', () => {
	const [outage, ...others] = outagesOf([
		waiting(0),
		waiting(1),
		download(),
		waiting(2, {status: 'failed'}),
		// One lost connection of a download that works.
		waiting(3, {error: {...waiting(0).error!, tries: 1}}),
	]);
	assert.deepEqual(others, []);
	assert.equal(
		outageSentence(outage!),
		'cdn.example.org cannot be reached. 2 downloads wait and will continue.',
	);
	assert.deepEqual(timedOutage(outage!, now), [
		'cdn.example.org has not responded for 3m. 2 downloads wait; retrying in 30 s, r retries now.',
		'cdn.example.org has not responded for 3m; retrying in 30 s, r retries now.',
		'cdn.example.org has not responded for 3m; retrying in 30 s.',
	]);
	assert.match(
		timedOutage(outage!, now - 170_000)[0]!,
		/^cdn\.example\.org has not responded\. 2 downloads wait; /,
	);
});

test('downloads wait for a connection to a server as long as it sends on the others', () => {
	const queued = download({id: idOf(9), status: 'queued', hostCeiling: 1, lastByteAt: null});
	const shown = (...others: Download[]) =>
		withoutSilentCeilings([...others, queued], now).at(-1)!.hostCeiling;
	const sending = download({lastByteAt: now - 1000});
	const stalled = download({lastByteAt: now - 6000});
	const elsewhere = download({url: 'https://other.example.org/film.mkv', lastByteAt: now - 1000});
	assert.equal(shown(sending), 1);
	assert.equal(shown(sending, stalled), 1);
	assert.equal(shown(download({status: 'asking', lastByteAt: null})), 1);
	assert.equal(shown(stalled), null);
	assert.equal(shown(waiting(0, {lastByteAt: null}), elsewhere), null);
	assert.equal(shown(elsewhere), 1);
});

test('a busy host is busy', () => {
	const url = 'https://other.example.org/film.mkv';
	const outages = outagesOf([waiting(0, {}, 503), waiting(1, {url}, 503)]);
	assert.deepEqual(
		outages.map(outage => timedOutage(outage, now)[0]),
		[
			'cdn.example.org has been busy for 3m. 1 download waits; retrying in 30 s, r retries now.',
			'other.example.org has been busy for 3m. 1 download waits; retrying in 60 s, r retries now.',
		],
	);
});

dashboardTest(
	'the banner of an outage counts down to the next attempt',
	{downloads: [waiting(0), waiting(1)], columns: 80, rows: 24},
	async (screen, downstream) => {
		const banners = outagesOf(downstream.snapshot.downloads).map(outage => outageSentence(outage));
		downstream.change({banners: [...banners, 'Disk full.']});
		await screen.shows(/^! cdn\.example\.org has not responded for 3m; retrying in \d+ s, r retries now\.$/m);
		assert.match(screen.text, /^! Disk full\.$/m);
		screen.resize(120, 24);
		await screen.shows(/^! .* for 3m\. 2 downloads wait; retrying in \d+ s, r retries now\.$/m);
	},
);
