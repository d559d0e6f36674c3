// Size and labels of a response beside those of the cached version.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {DownStreamError} from '../source/downstream.ts';
import {
	isChange,
	refuseOtherSize,
	ShortResponse,
	sizeChange,
	suspicionOf,
	type CachedVersion,
} from '../source/engine/version/version-labels.ts';
import type {OriginResponse} from '../source/engine/origin/data-source.ts';
import type {Validator} from '../source/engine/store/record.ts';

const cached: CachedVersion = {
	...{type: 'video/mp4', size: 9000, minSize: 9000, isUnstable: false},
	validator: {etag: '"1"', lastModified: 'Mon'},
};

function response(validator: Validator, size = 9000, acceptsRanges = true): OriginResponse {
	const info = {name: 'a', type: 'video/mp4', size};
	return {info, range: {start: 0, end: size}, validator, acceptsRanges} as unknown as OriginResponse;
}

function labelOf(now: Validator, was: Validator = cached.validator): string | undefined {
	return suspicionOf({...cached, validator: was}, response(now))?.label;
}

test('equal strong ETags outweigh a date, and different ones are a suspicion', () => {
	assert.equal(labelOf({etag: '"1"', lastModified: 'Tue'}), undefined);
	assert.equal(labelOf({etag: '"2"', lastModified: 'Mon'}), 'ETag');
});

test('without a strong ETag on both sides, every label that both have must be equal', () => {
	assert.equal(labelOf({lastModified: 'Mon'}), undefined);
	assert.equal(labelOf({lastModified: 'Tue'}), 'date');
	assert.equal(labelOf({}), undefined);
	assert.equal(labelOf({weakEtag: 'W/"1"', lastModified: 'Mon'}), undefined, 'weak comparison');
	assert.equal(labelOf({weakEtag: 'W/"1"', lastModified: 'Tue'}), 'date');
	assert.equal(labelOf({weakEtag: 'W/"2"'}, {weakEtag: 'W/"1"'}), 'ETag');
	assert.equal(labelOf({etag: '"1"'}, {}), undefined);
});

test('labels that identify no version raise no suspicion', () => {
	assert.equal(suspicionOf({...cached, isUnstable: true}, response({etag: '"2"'})), undefined);
});

test('another size is a change; an unknown one is not, unless bytes beyond it are cached', () => {
	const change = (size: number, minSize: number, now: number) =>
		sizeChange({...cached, size, minSize}, response({}, now)) !== undefined;
	assert.deepEqual(
		[change(9000, 9000, 9000), change(9000, 9000, 8999), change(9000, 9000, 9001)],
		[false, true, true],
	);
	assert.equal(change(9000, 9000, Infinity), false);
	assert.deepEqual([change(Infinity, 500, 499), change(Infinity, 500, 500)], [true, false]);
	assert.equal(change(Infinity, 500, Infinity), false);
});

test('a short whole response of another size may be a refusal in words', () => {
	const thrown = (size: number, acceptsRanges: boolean): unknown => {
		try {
			return refuseOtherSize(cached, response({}, size, acceptsRanges));
		} catch (error) {
			return error;
		}
	};
	const short = thrown(4095, false);
	assert.ok(short instanceof ShortResponse, String(short));
	assert.equal(short.bytes, 4095);
	for (const error of [thrown(4096, false), thrown(4095, true)]) {
		assert.equal(
			error instanceof DownStreamError && !(error instanceof ShortResponse) && isChange(error),
			true,
		);
	}

	assert.equal(thrown(9000, false), undefined);
});
