// The bytes sent to followers of events while one of many downloads runs, a file with thousands of islands.
import {mkdir, open, truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import type {DownloadRecord} from '../source/engine/store/record.ts';
import {startServe} from '../test/support/cli.ts';
import {collectionOf} from '../test/support/collections.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {cpuSeconds, GiB, MiB} from './measure.ts';
import {startOrigin} from './origins.ts';
import {atMost} from './report.ts';
import type {Bench} from './section.ts';

const others = 1000;
const islands = 10_000;
const islandBytes = 16;
/** Zeros, like the islands. */
const size = 100 * GiB;
const islandsFrom = 50 * GiB;
const settleMs = 5000;
const watchedMs = 10_000;
const id = '0'.repeat(32);

export async function events({report, scope}: Bench): Promise<void> {
	await scope(async t => {
		const root = await temporaryFolder(t);
		await writeFile(path.join(root, 'large'), '');
		await truncate(path.join(root, 'large'), size);
		const origin = await startOrigin(t, root, {line: {bytesPerSecond: 5 * MiB}});
		const url = `${origin.url}/large`;
		const storage = await collectionOf(t, others);
		await writeIslands(path.join(storage, id), url);
		const cli = await startServe(t, storage);
		const {url: proxy, key} = (await cli.event('ready')) as unknown as {url: string; key: string};
		const headers = {authorization: `Bearer ${key}`};
		let bytes = 0;
		const ended = new AbortController();
		const followed = await fetch(`${proxy}/api/events`, {headers, signal: ended.signal});
		const following = followed
			.body!.pipeTo(
				new WritableStream({
					write(chunk: Uint8Array) {
						bytes += chunk.length;
					},
				}),
				{signal: ended.signal},
			)
			.catch(() => undefined);
		const rates = async () => {
			await sleep(settleMs);
			const [from, cpu] = [bytes, cpuSeconds(cli.child.pid!)];
			await sleep(watchedMs);
			const seconds = watchedMs / 1000;
			return {
				kilobytes: (bytes - from) / 1000 / seconds,
				share: ((cpuSeconds(cli.child.pid!) - cpu) / seconds) * 100,
			};
		};
		const running = await rates();
		report.state(`events, one of ${others} downloads runs`, 'kB/s', running.kilobytes, atMost(2));
		report.state('  share of a core', '%', running.share);
		await fetch(`${proxy}/api/downloads/${id}/pause`, {method: 'POST', headers});
		report.state('  all paused', 'kB/s', (await rates()).kilobytes, atMost(0));
		ended.abort();
		await following;
	});
}

async function writeIslands(folder: string, url: string): Promise<void> {
	const etag = (await fetch(url, {method: 'HEAD'})).headers.get('etag')!;
	const entry: DownloadRecord = {
		version: 1,
		id,
		url,
		headers: {},
		info: {name: 'large', type: 'application/octet-stream', size},
		acceptsRanges: true,
		validator: {etag},
		ranges: Array.from({length: islands}, (_, index) => {
			const start = islandsFrom + index * MiB;
			return [start, start + islandBytes];
		}),
		intent: 'run',
		onDemand: false,
		addedAt: Date.UTC(2026, 0, 1) - 1,
	};
	await mkdir(folder, {mode: 0o700});
	await writeFile(path.join(folder, 'entry.json'), JSON.stringify(entry), {mode: 0o600});
	const data = await open(path.join(folder, 'data'), 'w');
	// Allocates only the disk blocks of the islands.
	await data.write(Buffer.alloc(MiB), 0, MiB, islandsFrom);
	await data.truncate(size);
	await data.close();
}
