import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {blockSizes, hold, holdBlock, release} from '../source/engine/memory/buffers.ts';

test('a block is used again only when each of its holders has released it', () => {
	const block = holdBlock(blockSizes.usual);
	assert.equal(block.length, blockSizes.usual);
	const part = block.subarray(100, 200);
	hold(part);
	release(block);
	const other = holdBlock(blockSizes.usual);
	assert.notEqual(other.buffer, block.buffer);
	release(part);
	assert.equal(holdBlock(blockSizes.usual).buffer, block.buffer);
});

test('a block that is released too often is not given out twice', () => {
	const block = holdBlock(blockSizes.usual);
	release(block);
	release(block);
	assert.notEqual(holdBlock(blockSizes.usual).buffer, holdBlock(blockSizes.usual).buffer);
});

test('bytes that are not in a block are nobody’s concern', () => {
	const bytes = Buffer.alloc(10, 1);
	hold(bytes);
	release(bytes);
	release(bytes);
	assert.notEqual(holdBlock(blockSizes.usual).buffer, bytes.buffer);
});

test('a block is used again for its own size alone', () => {
	const block = holdBlock(blockSizes.fast);
	assert.equal(block.length, blockSizes.fast);
	release(block);
	const other = holdBlock(blockSizes.usual);
	assert.equal(other.length, blockSizes.usual);
	assert.notEqual(other.buffer, block.buffer);
	assert.equal(holdBlock(blockSizes.fast).buffer, block.buffer);
});

test('blocks that nobody asks for any more are let go', async () => {
	const block = holdBlock(blockSizes.usual);
	release(block);
	// Longer than they are kept: timers fire in their order.
	await sleep(1100);
	assert.notEqual(holdBlock(blockSizes.usual).buffer, block.buffer);
});
