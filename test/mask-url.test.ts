import assert from 'node:assert/strict';
import {test} from 'node:test';
import {maskUrl} from '../source/mask-url.ts';

test('secrets in URLs are masked, other parameters are not', () => {
	const url = 'https://cdn.example.org/v/film.mkv?token=abc&quality=hd&X-Amz-Signature=d';
	assert.equal(
		maskUrl(url, '•••'),
		'https://cdn.example.org/v/film.mkv?token=•••&quality=hd&X-Amz-Signature=•••',
	);
});
