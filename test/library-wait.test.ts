// Waiting for downloads in the library, and ending a wait.
import assert from 'node:assert/strict';
import {access, mkdir, readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {DownStream, DownStreamError, type DownloadProgress, type PlayersState} from '../source/index.ts';
import {firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {initLibrary} from './support/library.ts';
import {FakeMpv} from './support/fake-mpv.ts';
import {notFound} from './support/origin.ts';

const mebibyte = 1024 * 1024;
const size = 3 * mebibyte;
const slow = {size, etag: '"1"', bytesPerSecond: mebibyte / 4};

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
	const seen: T[] = [];
	for await (const item of items) {
		seen.push(item);
	}

	return seen;
}

const isReason = (reason: unknown) => (error: unknown) => error === reason;

test('progress and whenComplete follow one download among those of earlier runs', async t => {
	const storageDir = await temporaryFolder(t);
	const origin = await startOrigin(t, {
		size,
		etag: '"1"',
		intercept: notFound('/gone.bin'),
	});
	const first = await initLibrary(t, {storageDir});
	await first.whenComplete(await first.cache(origin.urlOf('/old.bin')));
	await assert.rejects(first.whenComplete(await first.cache(origin.urlOf('/gone.bin'))), {
		name: 'DownStreamError',
		code: 'origin-refused',
		status: 404,
	});
	await first.cache(origin.urlOf('/paused.bin'), {paused: true});
	await first.dispose();

	const second = await initLibrary(t, {storageDir});
	assert.equal((await second.getAllDownloads()).length, 3);
	origin.options.bytesPerSecond = 4 * mebibyte;
	const url = origin.urlOf('/new.bin');
	const localUrl = await second.cache(url);
	const complete = second.whenComplete(localUrl);
	const seen = await all(second.progress(url));
	const {name, present, status} = await complete;
	assert.deepEqual([name, present, status], ['new.bin', size, 'complete']);
	assert.deepEqual([...new Set(seen.map(progress => progress.url))], [url]);
	assert.equal(seen.at(-1)?.status, 'complete');
	assert.ok(seen.length > 1 && seen[0]!.progress < 100);
	// A complete download is reported once more.
	assert.deepEqual(
		(await all(second.progress(localUrl))).map(({progress}) => progress),
		[100],
	);
	await second.whenComplete(url);

	// The failure of an earlier run does not count.
	origin.options.intercept = undefined;
	await second.whenComplete(await second.cache(origin.urlOf('/gone.bin')));
});

test('whenComplete waits through an outage and a pause', async t => {
	let isDown = true;
	const origin = await startOrigin(t, {
		size,
		etag: '"1"',
		intercept(_request, response) {
			if (isDown) {
				response.writeHead(503).end();
			}

			return isDown;
		},
	});
	const downstream = await initLibrary(t);
	const {url} = origin;
	await downstream.cache(url);
	const complete = downstream.whenComplete(url);
	for await (const {status} of downstream.progress(url)) {
		if (status === 'waiting') {
			break;
		}
	}

	await downstream.pauseDownload(url);
	isDown = false;
	await downstream.resumeDownload(url);
	assert.equal((await complete).status, 'complete');
});

test('whenComplete rejects once a download is cancelled or removed, and at the end of the instance', async t => {
	const origin = await startOrigin(t, slow);
	const downstream = await initLibrary(t);
	const urls = ['/a', '/b', '/c'].map(file => origin.urlOf(file));
	await Promise.all(urls.map(url => downstream.cache(url)));
	const [cancelled = '', removed = '', left = ''] = urls;
	const rejected = (
		[
			[cancelled, 'incomplete', /resumeDownload/],
			[removed, 'not-found', /removed/],
			[left, 'bad-request', /disposed/],
		] as const
	).map(([url, code, message]) =>
		assert.rejects(downstream.whenComplete(url), {name: 'DownStreamError', code, message}),
	);
	const progress = urls.map(url => all(downstream.progress(url)));
	await downstream.cancelDownload(cancelled);
	await downstream.removeCache(removed);
	await Promise.all(rejected.slice(0, 2));
	await assert.rejects(downstream.whenComplete(removed), {code: 'not-found', message: /cache\(\) it first/});
	await downstream.dispose();
	await Promise.all(rejected);
	const [ofCancelled] = await Promise.all(progress);
	assert.equal(ofCancelled?.at(-1)?.status, 'cancelled');
	await assert.rejects(downstream.whenComplete(left), {code: 'bad-request'});
});

test('a signal ends each wait with its reason, and the download continues', async t => {
	const origin = await startOrigin(t, slow);
	const downstream = await initLibrary(t);
	const {url} = origin;
	await downstream.cache(url);
	const abort = new AbortController();
	const reason = new Error('enough');
	const {signal} = abort;
	const waits = [
		() => downstream.whenComplete(url, {signal}),
		() => all(downstream.progress(url, {signal})),
		() => all(downstream.getFileStats(url, {signal})),
	];
	const running = waits.map(wait => assert.rejects(wait(), isReason(reason)));
	const inLoop = (async (): Promise<DownloadProgress | undefined> => {
		for await (const progress of downstream.progress(url, {signal})) {
			abort.abort(reason);
			assert.equal(progress.url, url);
		}

		return undefined;
	})();
	await assert.rejects(inLoop, isReason(reason));
	await Promise.all(running);
	// Also before the first state.
	await Promise.all(waits.map(wait => assert.rejects(wait(), isReason(reason))));
	assert.equal(downstream.isDownloading(url), true);
});

test('an abort leaves nothing of an addition or an export', async t => {
	const origin = await startOrigin(t, {size, etag: '"1"'});
	const downstream = await initLibrary(t);
	const {url} = origin;
	const reason = new Error('enough');
	await assert.rejects(downstream.cache(url, {signal: AbortSignal.abort(reason)}), isReason(reason));
	const abort = new AbortController();
	const adding = downstream.cache(url, {signal: abort.signal});
	abort.abort(reason);
	await assert.rejects(adding, isReason(reason));
	assert.deepEqual(await downstream.getAllDownloads(), []);

	await downstream.whenComplete(await downstream.cache(url));
	// An abort does not remove an older download.
	const again = new AbortController();
	const found = downstream.cache(url, {signal: again.signal});
	again.abort(reason);
	await assert.rejects(found, isReason(reason));
	assert.equal(downstream.getProgress(url), 100);

	const folder = await temporaryFolder(t);
	const {signal} = again;
	for (const verb of ['exportFile', 'moveFile', 'setDownloadTarget'] as const) {
		await assert.rejects(downstream[verb](url, path.join(folder, 'films/'), {signal}), isReason(reason));
	}

	const during = new AbortController();
	const exporting = downstream.exportFile(url, path.join(folder, 'film.bin'), {signal: during.signal});
	during.abort(reason);
	await assert.rejects(exporting, isReason(reason));
	assert.deepEqual(await readdir(folder), []);
	await downstream.exportFile(url, path.join(folder, 'film.bin'), {signal: new AbortController().signal});
});

test('whenComplete resolves after the planned export, and rejects if it fails', async t => {
	const origin = await startOrigin(t, {size, etag: '"1"', bytesPerSecond: 4 * mebibyte});
	const downstream = await initLibrary(t);
	const folder = await temporaryFolder(t);
	const [url = '', other = ''] = ['/a.bin', '/b.bin'].map(file => origin.urlOf(file));
	await downstream.cache(url);
	await downstream.cache(other);
	const target = await downstream.setDownloadTarget(url, path.join(folder, 'done.bin'));
	const taken = await downstream.setDownloadTarget(other, path.join(folder, 'taken.bin'));
	await mkdir(taken);
	const [exported, failed] = await Promise.all([
		downstream.whenComplete(url),
		downstream.whenComplete(other),
	]);
	assert.equal(exported.exportedTo, target);
	assert.equal(firstWrongByte(await readFile(target), 0), -1);
	assert.deepEqual([failed.status, failed.exportedTo], ['complete', null]);
	assert.match(failed.lastError?.message ?? '', /^Not exported: /);
});

test('an instance closes at the end of its `using` block', async t => {
	const storageDir = await temporaryFolder(t);
	{
		await using downstream = await DownStream.init({port: 0, storageDir});
		assert.equal(DownStream.instance, downstream);
	}

	assert.throws(() => DownStream.instance, DownStreamError);
	await using again = await DownStream.init({port: 0, storageDir});
	await access(storageDir);
	assert.equal(DownStream.instance, again);
});

test('position and players follow a linked player, until the download is removed', async t => {
	const origin = await startOrigin(t, {size, etag: '"1"'});
	const downstream = await initLibrary(t, {storageDir: await temporaryFolder(t)});
	const url = origin.urlOf('/film.mkv');
	await downstream.whenComplete(await downstream.cache(url));
	assert.equal(downstream.position(url), null);
	const {id, streamUrl} = (await downstream.getAllDownloads())[0]!;
	const response = await fetch(`${downstream.origin}/api/downloads/${id}/link-player`, {
		method: 'POST',
		headers: {authorization: `Bearer ${downstream.key}`},
	});
	const {socket} = (await response.json()) as {socket: string};
	const states = downstream.players(url)[Symbol.asyncIterator]();
	const until = async (condition: (state: PlayersState) => boolean) => {
		for (;;) {
			const {value, done} = await states.next();
			if (done || condition(value)) {
				return value as PlayersState | undefined;
			}
		}
	};

	assert.deepEqual(await until(() => true), {players: [], playback: null, position: null});
	const player = await FakeMpv.listen(t, socket, {path: streamUrl, duration: 100, 'time-pos': 41});
	const {playback} = (await until(({position}) => position?.ms === 41_000))!;
	assert.deepEqual([playback?.player, playback?.paused], ['mpv 0.38.0', false]);
	player.set({pause: true});
	await until(({playback}) => playback?.paused === true);
	await player.quit();
	const left = await until(({playback}) => playback === null);
	assert.deepEqual([left?.position?.ms, left?.position?.exact], [41_000, true]);
	assert.deepEqual(downstream.position(url), left?.position);
	await downstream.removeCache(url);
	assert.equal(await until(() => false), undefined);
});
