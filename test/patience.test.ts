import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Download} from '../source/downstream.ts';
import {parseDuration} from '../source/text/duration.ts';
import {behindPledge, QuietTime, Waits} from '../source/cli/output/patience.ts';
import {blankDownload, blankPledge} from './support/blank-download.ts';

const error = {
	code: 'origin-unreachable',
	message: 'cdn.example.org: connection refused',
	at: 0,
	tries: 3,
} as const;
const asking: Download = blankDownload;
const waiting: Download = {...blankDownload, size: 100, status: 'waiting', error, retryAt: 8000};

/** In the form that `get` prints. */
function linesOf(waits: Waits, download: Download, now: number): string[] {
	const wait = waits.next(download, now);
	return wait ? [`${download.name}: ${wait.words}`] : [];
}

test('durations are parsed as people write them', () => {
	const read = ['90s', '5m', '2h', '1.5h', '1d', '30', ' 5M ', '0'].map(text => parseDuration(text));
	assert.deepEqual(read, [90_000, 300_000, 7_200_000, 5_400_000, 86_400_000, 30_000, 300_000, 0]);
	for (const text of ['', 'soon', '5x', '-1s', '5 m s', '1e3', 'Infinity']) {
		assert.equal(parseDuration(text), undefined, text);
	}
});

test('the time without data restarts with each byte, and stops while the disk is read', () => {
	const quiet = new QuietTime();
	let now = 0;
	const look = (downloads: Download[], milliseconds: number) => {
		for (const end = now + milliseconds; now < end; now += 500) {
			quiet.look(downloads, now);
		}

		return quiet.look(downloads, now);
	};
	assert.equal(look([waiting, asking], 60_000), 60_000);
	assert.equal(look([waiting, {...asking, lastByteAt: 1}], 10_000), 10_000);
	assert.equal(look([{...asking, status: 'checking', lastByteAt: 1}], 60_000), 0);
	assert.equal(look([{...asking, lastByteAt: 1}], 5000), 5000);
	now += 36_000_000;
	assert.ok(look([{...asking, lastByteAt: 1}], 0) <= 7000, 'the computer slept');
});

test('a reason to wait is reported once, after any number of retries', () => {
	const waits = new Waits();
	const told: string[] = [];
	for (let second = 0; second < 60; second++) {
		told.push(...linesOf(waits, second % 2 === 0 ? waiting : asking, second * 1000));
	}

	assert.deepEqual(told, ['film.mkv: cdn.example.org: connection refused; retry 4 in 6s']);
	assert.deepEqual(linesOf(waits, {...asking, status: 'active', lastByteAt: 61_000}, 61_000), [
		'film.mkv: resumed',
	]);
});

test('a silent server is named within seconds, a responding one is not', () => {
	const waits = new Waits();
	const told = [0, 1, 2, 3, 4, 5, 6, 30].flatMap(second => linesOf(waits, asking, second * 1000));
	assert.deepEqual(told, ['film.mkv: no response from cdn.example.org yet; waiting']);
	const soon = new Waits();
	linesOf(soon, asking, 0);
	assert.deepEqual(linesOf(soon, {...asking, status: 'active', lastByteAt: 1000}, 1000), []);
});

test('a download queued for a connection to its server says so', () => {
	const waits = new Waits();
	const queued: Download = {...blankDownload, status: 'queued', hostCeiling: 1};
	linesOf(waits, queued, 0);
	assert.deepEqual(linesOf(waits, queued, 3000), [
		'film.mkv: queued: this server allows 1 connection at a time',
	]);
	assert.deepEqual(linesOf(waits, {...queued, hostCeiling: null}, 6000), []);
});

test('a refusing or unknown host is reported right after the first attempt', () => {
	const first = {...waiting, size: null, error: {...error, tries: 1}, retryAt: 4000};
	assert.deepEqual(linesOf(new Waits(), first, 0), [
		'film.mkv: cdn.example.org: connection refused; retry 2 in 4s',
	]);
	assert.deepEqual(linesOf(new Waits(), waiting, 0), [], 'it has answered before');
});

test('a check of the disk does not count as silence', () => {
	const waits = new Waits();
	linesOf(waits, asking, 0);
	linesOf(waits, {...asking, status: 'checking'}, 4000);
	assert.deepEqual(linesOf(waits, {...asking, status: 'checking'}, 60_000), []);
	assert.deepEqual(linesOf(waits, asking, 60_500), []);
});

test('a wait for pledges names the download that is due first, and the command that lifts the pledge', () => {
	const queued: Download = {...blankDownload, name: 'tail.mp4', status: 'queued', waitsForPledges: true};
	const pledged = (name: string, by: number | null): Download => ({
		...blankDownload,
		name,
		pledges: [{...blankPledge, by}],
	});
	const downloads = [queued, pledged('later.mp4', null), pledged('film.mp4', 9)];
	assert.equal(
		behindPledge(queued, downloads),
		'queued behind film.mp4, which is being made safe; "downstream-tui safe 3 off" lifts the pledge',
	);
	assert.equal(behindPledge({...queued, waitsForPledges: false}, downloads), undefined);
	assert.equal(behindPledge(queued, [queued]), undefined);
});
