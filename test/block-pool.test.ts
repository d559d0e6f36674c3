import assert from 'node:assert/strict';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {BlockPool} from '../source/engine/block-pool.ts';
import {BlockReader} from '../source/engine/block-reader.ts';
import {SparseFile} from '../source/engine/sparse-file.ts';
import {content, firstWrongByte} from './support/content.ts';
import {temporaryFolder} from './support/engines.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

test('blocks have the power of two that is wanted, from 64 KiB to 1 MiB', () => {
	const pool = new BlockPool();
	for (const [wanted, size] of [
		[0, 64 * KiB],
		[64 * KiB, 64 * KiB],
		[64 * KiB + 1, 128 * KiB],
		[300 * KiB, 512 * KiB],
		[5 * MiB, MiB],
	] as const) {
		assert.equal(pool.take(wanted).length, size);
	}
});

test('a block that was given back is the next one, one that was dropped is not', () => {
	const pool = new BlockPool();
	const first = pool.take(MiB);
	pool.give(first);
	assert.equal(pool.take(MiB), first);
	pool.drop(first);
	assert.notEqual(pool.take(MiB), first);
});

test('many readers share 16 MiB, and each gets the smallest block beyond that', () => {
	const pool = new BlockPool();
	const blocks = Array.from({length: 300}, () => pool.take(MiB));
	const bytes = blocks.reduce((sum, {length}) => sum + length, 0);
	assert.ok(blocks.every(({length}) => length >= 64 * KiB));
	assert.equal(blocks.at(-1)!.length, 64 * KiB);
	assert.ok(bytes <= 16 * MiB + 300 * 64 * KiB, `${bytes} bytes`);
	for (const block of blocks) {
		pool.give(block);
	}

	assert.equal(pool.take(MiB).length, MiB);
});

async function fileOf(t: Parameters<typeof temporaryFolder>[0], size: number): Promise<SparseFile> {
	const file = path.join(await temporaryFolder(t), 'data');
	await writeFile(file, content(0, size));
	const sparse = await SparseFile.open(file, size, [{start: 0, end: size}]);
	t.after(() => sparse.close());
	return sparse;
}

test('a reader gets every byte in order, in blocks that grow, while the next one is filled', async t => {
	const size = 9 * MiB + 5;
	const file = await fileOf(t, size);
	const blocks = new BlockReader(new BlockPool());
	const lengths: number[] = [];
	for (let offset = 0; offset < size;) {
		const bytes = await blocks.read(file, offset, size - offset);
		// The block after this one has been asked for: this one must not change.
		await new Promise(resolve => {
			setImmediate(resolve);
		});
		assert.equal(firstWrongByte(bytes, offset), -1);
		blocks.sent();
		lengths.push(bytes.length);
		offset += bytes.length;
	}

	assert.equal(lengths[0], 64 * KiB);
	assert.equal(Math.max(...lengths), MiB);
	await blocks.close();
});

test('what was read ahead is dropped where something else is wanted now', async t => {
	const file = await fileOf(t, MiB);
	const pool = new BlockPool();
	const blocks = new BlockReader(pool);
	await blocks.read(file, 0, MiB);
	blocks.sent();
	assert.equal(firstWrongByte(await blocks.read(file, 500_000, 10), 500_000), -1);
	blocks.sent();
	const other = await fileOf(t, 200_000);
	await blocks.read(other, 0, 200_000);
	blocks.sent();
	const short = await blocks.read(other, 64 * KiB, 7);
	assert.equal(short.length, 7);
	assert.equal(firstWrongByte(short, 64 * KiB), -1);
	await blocks.close();
});
