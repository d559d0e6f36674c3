// What a player waits for a far seek while the rest downloads, against the origin asked directly in the same run.
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {Engine} from '../source/engine/engine.ts';
import {RangeSet} from '../source/engine/range-set.ts';
import {BlockBitmap} from '../source/engine/block-bitmap.ts';
import {ProxyServer} from '../source/proxy/server.ts';
import {TestOrigin} from '../test/support/origin.ts';

const MiB = 1024 * 1024;
const rounds = 15;

async function main(): Promise<void> {
	const roundTripMs = 100;
	const size = 200 * MiB;
	const origin = await TestOrigin.start({size, etag: '"v1"', latency: roundTripMs, bytesPerSecond: MiB / 4});
	const storageDir = await mkdtemp(path.join(tmpdir(), 'downstream-bench-'));
	const engine = await Engine.open({storageDir, proxy: 'direct'});
	const proxy = await ProxyServer.listen({
		engine,
		port: 0,
		exactPort: false,
		allowOrigins: [],
		openStream: false,
	});
	try {
		await engine.publish(proxy.origin);
		const {download} = await engine.add({url: origin.url});
		while (engine.snapshot.downloads[0]!.connections < 4) {
			await new Promise(resolve => setTimeout(resolve, 50));
		}

		const ours: number[] = [];
		const direct: number[] = [];
		for (let round = 0; round < rounds; round++) {
			// Another place near 90 % each time; the fill goes on with four connections, 1 MiB/s in all.
			const start = Math.floor(size * 0.9) + round * MiB;
			const range = `bytes=${start}-${start + 65_535}`;
			direct.push(await firstByte(origin.url, range));
			ours.push(
				await firstByte(engine.snapshot.downloads.find(({id}) => id === download.id)!.streamUrl, range),
			);
		}

		print('first byte of a far seek, fill at 1 MiB/s', median(ours), median(direct));
		console.log(
			`  round trips of ${roundTripMs} ms: ${(median(ours) / roundTripMs).toFixed(2)}, slowest ${(Math.max(...ours) / roundTripMs).toFixed(2)}`,
		);
		console.log(
			`  islands in the bar: ${engine.snapshot.downloads[0]!.ranges.filter(([start]) => start >= size * 0.9).length} of ${rounds}`,
		);
	} finally {
		await proxy.close();
		await engine.dispose();
		await origin.close();
		await rm(storageDir, {recursive: true, force: true});
	}

	presentSets();
}

/** Milliseconds until the first byte of the body. */
async function firstByte(url: string, range: string): Promise<number> {
	const began = performance.now();
	const response = await fetch(url, {headers: {range}});
	const reader = response.body!.getReader();
	await reader.read();
	const took = performance.now() - began;
	await reader.cancel();
	return took;
}

/** Look-ups and adds a second with 10,000 islands. */
function presentSets(): void {
	const size = 10_000 * 2 * MiB;
	for (const [name, set] of [
		['RangeSet', new RangeSet()],
		['BlockBitmap', new BlockBitmap(size)],
	] as const) {
		for (let island = 0; island < 10_000; island++) {
			set.add({start: island * 2 * MiB, end: island * 2 * MiB + MiB});
		}

		const count = 200_000;
		const began = performance.now();
		for (let index = 0; index < count; index++) {
			const offset = (index * 7919 * 4096) % size;
			if (set.runEnd(offset) === offset) {
				set.add({start: offset, end: Math.min(size, offset + 1)});
			}
		}

		const seconds = (performance.now() - began) / 1000;
		console.log(
			`${name} with 10,000 islands: ${(count / seconds / 1e6).toFixed(2)} million look-ups and adds a second`,
		);
	}
}

function median(values: readonly number[]): number {
	return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function print(what: string, ours: number, peer: number): void {
	console.log(
		`${what}: ${(ours / peer).toFixed(2)} of asking the origin directly (${ours.toFixed(0)} ms, ${peer.toFixed(0)} ms)`,
	);
}

await main();
process.exit();
