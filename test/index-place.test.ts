// Where the first boxes of a film place its index.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {indexPlace} from '../source/engine/film/index-place.ts';

function head(...boxes: Array<[type: string, size: number, large?: bigint]>): Buffer {
	const bytes = Buffer.alloc(512);
	let at = 0;
	for (const [type, size, large] of boxes) {
		bytes.writeUInt32BE(size, at);
		bytes.write(type, at + 4, 'latin1');
		if (large !== undefined) {
			bytes.writeBigUInt64BE(large, at + 8);
		}

		at += size;
		if (at + 16 > bytes.length) {
			break;
		}
	}

	return bytes;
}

test('the index lies after the media data, or in the box in front of them', () => {
	const tail = head(['ftyp', 32], ['free', 8], ['mdat', 9_000]);
	assert.deepEqual(indexPlace(tail, 10_000), {start: 9_040, end: 10_000});
	const long = head(['ftyp', 32], ['mdat', 1, 6_000_000_000n]);
	assert.deepEqual(indexPlace(long, 6_000_100_000), {start: 6_000_000_032, end: 6_000_100_000});
	const front = head(['ftyp', 32], ['moov', 7_000], ['mdat', 1_000]);
	assert.deepEqual(indexPlace(front, 10_000), {start: 32, end: 7_048});
});

test('boxes without an end, past the end or of another format place no index', () => {
	for (const bytes of [
		head(['ftyp', 32], ['mdat', 0]),
		head(['ftyp', 32], ['mdat', 10_000]),
		head(['ftyp', 32], ['moov', 0x7f_ff_ff_ff]),
		head(['ftyp', 32], ['mdat', 1, 2n ** 63n]),
		head(['ftyp', 32], ['mdat', 1, 4n]),
		head(['ftyp', 4]),
		Buffer.alloc(0),
		Buffer.from('OggS'),
	]) {
		assert.equal(indexPlace(bytes, 10_000), undefined);
	}
});
