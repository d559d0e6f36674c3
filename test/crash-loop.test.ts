import assert from 'node:assert/strict';
import {open, readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
// The `fetch` of Node 20 never settles if its first connection ends during the loading of its parser.
import {fetch} from 'undici';
import {RangeSet, type Range} from '../source/engine/store/range-set.ts';
import {content} from './support/content.ts';
import {EngineProcess} from './support/engine-process.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {recordedRanges} from './support/recorded-ranges.ts';

const MiB = 1024 * 1024;
const rounds = process.env.EXHAUSTIVE ? 200 : process.env.CI ? 60 : 30;
/** Concurrent runs: a starting process leaves the other time for its kill. */
const lanes = 2;
const size = 96 * MiB;
const connections = 2;
/** Per connection. */
const bytesPerSecond = MiB;
/**
 * A checkpoint is due 0.5 s after the first byte since the last one, and takes a while itself. What the origin counts
 * as sent may also be in the buffers of sockets. One kill in ten may cost more: a busy disk takes its time to sync.
 */
const maxFetchedTwice = 0.6 * bytesPerSecond * connections + 0.5 * MiB;
const whole = content(0, size);

test(`${rounds} kills at random moments lose no recorded bytes`, {timeout: 300_000}, async t => {
	const costs = await Promise.all(Array.from({length: lanes}, () => killAgainAndAgain(t, rounds / lanes)));
	const fetchedTwice = costs.flat().toSorted((a, b) => a - b);
	const [usualMax = 0, max = 0] = [fetchedTwice[Math.floor(rounds * 0.9)], fetchedTwice.at(-1)];
	t.diagnostic(`nine of ten kills made at most ${usualMax} bytes be fetched again, one ${max}`);
	assert.ok(usualMax <= maxFetchedTwice, `${usualMax} bytes were fetched again`);
});

/** Resolves with the bytes refetched after each kill. */
async function killAgainAndAgain(t: TestContext, kills: number): Promise<number[]> {
	const origin = await startOrigin(t, {size, etag: '"v1"', bytesPerSecond});
	const storageDir = await temporaryFolder(t);
	const task = {options: {storageDir, connections}, url: origin.url};
	let recorded = new RangeSet();
	const fetchedTwice: number[] = [];
	let next = EngineProcess.load(t);
	for (let kill = 0; kill < kills; kill++) {
		const running = await next;
		const firstRequest = origin.requests.length;
		running.start(task);
		const players = running.added
			.then(async ({streamUrl}) => Promise.all([playSomewhere(streamUrl), playSomewhere(streamUrl)]))
			// It ended before its first bytes.
			.catch(() => [undefined, undefined]);
		next = EngineProcess.load(t);
		// Most kills are early; every eighth follows several checkpoints.
		await sleep(kill % 8 === 7 ? 1200 + 500 * Math.random() : 1800 * Math.random() ** 3);
		await running.kill();
		assert.deepEqual(await players, [undefined, undefined]);

		const asked = origin.requests.slice(firstRequest);
		// Three samples of 4 KiB prove the version after a restart.
		const again = asked.filter(({range}) => recorded.count(range ?? {start: 0, end: size}) > 0);
		const areSamples = again.every(({range}) => range && range.end - range.start <= 4096);
		assert.ok(
			areSamples && again.length <= 3,
			`asked again for ${JSON.stringify(again.map(({range}) => range))}`,
		);

		const held = await rightBytes(storageDir);
		assert.ok(
			[...recorded].every(range => held.covers(range)),
			'what was recorded is not any more',
		);
		const sent = asked.reduce((sum, {sent: {start, end}}) => sum + end - start, 0);
		fetchedTwice.push(sent - (held.size - recorded.size));
		recorded = held;
	}

	assert.ok(recorded.size > 0, 'nothing was ever recorded');
	const {size: heldSize} = recorded;
	origin.options.bytesPerSecond = undefined;
	const exportTo = {path: path.join(await temporaryFolder(t), 'film.bin')};
	const last = await EngineProcess.start(t, {...task, exportTo});
	await last.done;
	assert.ok(whole.equals(await readFile(exportTo.path)));
	t.diagnostic(
		`${kills} kills, ${heldSize} of ${size} bytes recorded by then, ${origin.bytesSent - size} fetched again in all`,
	);
	return fetchedTwice;
}

/** Plays up to 1 MiB from a random offset; resolves with a description of any fault. */
async function playSomewhere(streamUrl: string): Promise<string | undefined> {
	const start = Math.floor(Math.random() * (size - MiB));
	let offset = start;
	try {
		const {status, body} = await fetch(streamUrl, {headers: {range: `bytes=${start}-${start + MiB - 1}`}});
		if (status !== 206) {
			return `status ${status}`;
		}

		for await (const bytes of body as AsyncIterable<Uint8Array>) {
			if (!whole.subarray(offset, offset + bytes.length).equals(bytes)) {
				return `wrong bytes from ${offset} on`;
			}

			offset += bytes.length;
		}
	} catch {
		// The other end of the connection.
	}

	return undefined;
}

/** The recorded ranges of the only download, with each byte compared with the origin's. */
async function rightBytes(storageDir: string): Promise<RangeSet> {
	const names = await readdir(storageDir);
	const id = names.find(name => /^[\da-f]{32}$/.test(name));
	const ranges = id === undefined ? [] : await recordedRanges(path.join(storageDir, id)).catch(noRecord);
	if (ranges.length > 0) {
		const data = await open(path.join(storageDir, id!, 'data'));
		try {
			for (const {start, end} of ranges) {
				const bytes = Buffer.alloc(end - start);
				await data.read(bytes, 0, bytes.length, start);
				assert.ok(whole.subarray(start, end).equals(bytes), `a wrong byte in ${start}-${end}`);
			}
		} finally {
			await data.close();
		}
	}

	return new RangeSet(ranges);
}

/** It ended before its first record. */
function noRecord(error: NodeJS.ErrnoException): Range[] {
	assert.equal(error.code, 'ENOENT');
	return [];
}
