import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {blockSizes, largestBlock, retain, allocate, release} from '../source/engine/memory/buffers.ts';

test('a block is reused only after every holder has released it', () => {
	const block = allocate(blockSizes.usual);
	assert.equal(block.length, blockSizes.usual);
	const part = block.subarray(100, 200);
	retain(part);
	release(block);
	const other = allocate(blockSizes.usual);
	assert.notEqual(other.buffer, block.buffer);
	release(part);
	assert.equal(allocate(blockSizes.usual).buffer, block.buffer);
});

test('a block released twice is not handed out twice', () => {
	const block = allocate(blockSizes.usual);
	release(block);
	release(block);
	assert.notEqual(allocate(blockSizes.usual).buffer, allocate(blockSizes.usual).buffer);
});

test('bytes outside a block are ignored', () => {
	const bytes = Buffer.alloc(10, 1);
	retain(bytes);
	release(bytes);
	release(bytes);
	assert.notEqual(allocate(blockSizes.usual).buffer, bytes.buffer);
});

test('a block is reused only for its own size', () => {
	const block = allocate(blockSizes.fast);
	assert.equal(block.length, blockSizes.fast);
	release(block);
	const other = allocate(blockSizes.usual);
	assert.equal(other.length, blockSizes.usual);
	assert.notEqual(other.buffer, block.buffer);
	assert.equal(allocate(blockSizes.fast).buffer, block.buffer);
});

test('idle blocks are dropped', async () => {
	const block = allocate(blockSizes.usual);
	release(block);
	// Longer than the idle limit; timers fire in order.
	await sleep(1100);
	assert.notEqual(allocate(blockSizes.usual).buffer, block.buffer);
});

test('the blocks of all connections stay within a budget, and those of few have any size', () => {
	for (let connections = 1; connections <= 256; connections++) {
		const size = largestBlock(connections);
		assert.ok(Object.values(blockSizes).includes(size));
		assert.ok(3 * size * connections <= 48 * 1024 * 1024, `${connections} connections`);
	}

	assert.equal(largestBlock(16), blockSizes.fast);
	assert.equal(largestBlock(10_000), blockSizes.least);
});
