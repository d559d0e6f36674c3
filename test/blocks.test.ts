import assert from 'node:assert/strict';
import {test} from 'node:test';
import {blockSize, hold, holdBlock, release} from '../source/engine/blocks.ts';

test('a block is used again only when each of its holders has released it', () => {
	const block = holdBlock();
	assert.equal(block.length, blockSize);
	const part = block.subarray(100, 200);
	hold(part);
	release(block);
	const other = holdBlock();
	assert.notEqual(other.buffer, block.buffer);
	release(part);
	assert.equal(holdBlock().buffer, block.buffer);
});

test('a block that is released too often is not given out twice', () => {
	const block = holdBlock();
	release(block);
	release(block);
	assert.notEqual(holdBlock().buffer, holdBlock().buffer);
});

test('bytes that are not in a block are nobody’s concern', () => {
	const bytes = Buffer.alloc(10, 1);
	hold(bytes);
	release(bytes);
	release(bytes);
	assert.notEqual(holdBlock().buffer, bytes.buffer);
});
