import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {blockSizes, retain, allocate, release} from '../source/engine/memory/buffers.ts';

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
