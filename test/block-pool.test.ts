import assert from 'node:assert/strict';
import {truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {BlockPool} from '../source/engine/memory/block-pool.ts';
import {DiskReader} from '../source/engine/memory/disk-reader.ts';
import {SparseFile} from '../source/engine/store/sparse-file.ts';
import {content, firstWrongByte} from './support/content.ts';
import {temporaryFolder} from './support/engines.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

async function openFile(t: Parameters<typeof temporaryFolder>[0], size: number): Promise<SparseFile> {
	const file = path.join(await temporaryFolder(t), 'data');
	await writeFile(file, content(0, size));
	const sparse = await SparseFile.open(file, size, [{start: 0, end: size}]);
	t.after(() => sparse.close());
	return sparse;
}

test('a block is the smallest sufficient power of two from 64 KiB to 1 MiB', async t => {
	const file = await openFile(t, 6 * MiB);
	const pool = new BlockPool();
	for (const [maxBytes, size, read] of [
		[1, 64 * KiB, 1],
		[64 * KiB, 64 * KiB, 64 * KiB],
		[64 * KiB + 1, 128 * KiB, 64 * KiB + 1],
		[300 * KiB, 512 * KiB, 300 * KiB],
		[5 * MiB, MiB, MiB],
	] as const) {
		const {block, length} = await pool.fill(file, 0, maxBytes);
		assert.deepEqual([block.length, length], [size, read]);
	}
});

test('a recycled block is reused, a discarded one is not', async t => {
	const file = await openFile(t, MiB);
	const pool = new BlockPool();
	const first = await pool.fill(file, 0, MiB);
	pool.recycle(first.block);
	const second = await pool.fill(file, 0, MiB);
	assert.equal(second.block, first.block);
	pool.discard(second.block);
	const third = await pool.fill(file, 0, MiB);
	assert.notEqual(third.block, first.block);
});

test('readers share 8 MiB; beyond that each gets the smallest block and read-ahead stops', async t => {
	const file = await openFile(t, MiB);
	const pool = new BlockPool();
	const filled = await Promise.all(Array.from({length: 300}, () => pool.fill(file, 0, MiB)));
	const bytes = filled.reduce((sum, {block}) => sum + block.length, 0);
	assert.equal(filled.at(-1)!.block.length, 64 * KiB);
	assert.ok(bytes <= 8 * MiB + 300 * 64 * KiB, `${bytes} bytes`);
	assert.ok(!pool.mayReadAhead);
	for (const {block} of filled) {
		pool.recycle(block);
	}

	assert.ok(pool.mayReadAhead);
	const again = await Promise.all(Array.from({length: 8}, () => pool.fill(file, 0, MiB)));
	const blocks = new Set(filled.map(({block}) => block));
	for (const {block} of again.slice(0, 7)) {
		assert.equal(block.length, MiB);
		assert.ok(blocks.has(block));
	}
});

test('a failed read reports its error and frees its block and its slot', async t => {
	const file = await openFile(t, MiB);
	await truncate(file.path, 10);
	const pool = new BlockPool();
	for (let round = 0; round < 20; round++) {
		await assert.rejects(pool.fill(file, 0, MiB), /truncated by another program/);
	}

	assert.ok(pool.mayReadAhead);
});

test('a reader gets every byte in order, in growing blocks, while the next one fills', async t => {
	const size = 9 * MiB + 5;
	const file = await openFile(t, size);
	const reader = new DiskReader(new BlockPool());
	const lengths: number[] = [];
	for (let offset = 0; offset < size;) {
		const bytes = await reader.read(file, offset, size - offset);
		// The next block is already being filled; this one must not change.
		await new Promise(resolve => {
			setImmediate(resolve);
		});
		assert.equal(firstWrongByte(bytes, offset), -1);
		reader.sent();
		lengths.push(bytes.length);
		offset += bytes.length;
	}

	assert.equal(lengths[0], 256 * KiB);
	assert.equal(Math.max(...lengths), MiB);
	await reader.close();
});

test('read-ahead is discarded when the next read is elsewhere', async t => {
	const file = await openFile(t, MiB);
	const pool = new BlockPool();
	const reader = new DiskReader(pool);
	await reader.read(file, 0, MiB);
	reader.sent();
	assert.equal(firstWrongByte(await reader.read(file, 500_000, 10), 500_000), -1);
	reader.sent();
	const other = await openFile(t, 200_000);
	await reader.read(other, 0, 200_000);
	reader.sent();
	const short = await reader.read(other, 64 * KiB, 7);
	assert.equal(short.length, 7);
	assert.equal(firstWrongByte(short, 64 * KiB), -1);
	await reader.close();
});
