// Origins that state the end of a part as the size of the file.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {settleSize, withoutMisstatedSize} from '../source/engine/fetch/stated-size.ts';
import type {DataSource, OriginResponse} from '../source/engine/origin/data-source.ts';
import type {Range} from '../source/engine/store/range-set.ts';

const asked = {start: 0, end: 1000};
const {signal} = new AbortController();

function part(size: number, range: Range = asked, acceptsRanges = true): OriginResponse {
	return {range, acceptsRanges, info: {name: 'a', type: undefined, size}} as unknown as OriginResponse;
}

/** A source that answers the request for the byte after the part. */
function beyond(answer: OriginResponse | Error) {
	const requests: Range[] = [];
	const source = {
		async open({range}: {range: Range}) {
			requests.push(range);
			if (answer instanceof Error) {
				throw answer;
			}

			return answer;
		},
	} as unknown as DataSource;
	return {source, requests};
}

async function settled(
	answer: OriginResponse | Error | undefined,
	knownSize = Infinity,
	response = part(1000),
) {
	const {source, requests} = answer ? beyond(answer) : {source: undefined, requests: []};
	const {response: settled, isMisstated} = await settleSize(response, asked, knownSize, source, signal);
	return {size: settled.info.size, isMisstated, requests};
}

test('a size beyond the request, of a whole response, or known before needs no request', async () => {
	const answer = new Error('not asked');
	assert.deepEqual(await settled(answer, Infinity, part(5000)), {
		size: 5000,
		isMisstated: false,
		requests: [],
	});
	assert.deepEqual(await settled(answer, Infinity, part(1000, asked, false)), {
		...{size: 1000, isMisstated: false, requests: []},
	});
	assert.deepEqual(await settled(answer, 1000), {size: 1000, isMisstated: false, requests: []});
});

test('the byte after the part shows whether the file ends there', async () => {
	const requests = [{start: 1000, end: 1001}];
	const nothing = part(1000, {start: 1000, end: 1000});
	assert.deepEqual(await settled(nothing), {size: 1000, isMisstated: false, requests});
	const more = part(1001, {start: 1000, end: 1001});
	assert.deepEqual(await settled(more), {size: Infinity, isMisstated: true, requests});
	assert.deepEqual(await settled(more, 9000), {size: Infinity, isMisstated: true, requests});
});

test('without an answer, an unknown size stays unknown, and a known one is compared', async () => {
	const refused = new Error('refused');
	for (const answer of [refused, undefined]) {
		assert.equal((await settled(answer)).size, Infinity);
		assert.deepEqual(
			[(await settled(answer, 9000)).size, (await settled(answer)).isMisstated],
			[1000, false],
		);
	}

	const aborted = AbortSignal.abort(refused);
	await assert.rejects(settleSize(part(1000), asked, Infinity, beyond(refused).source, aborted), refused);
});

test('sizes of an origin that misstates them are ignored', () => {
	assert.equal(withoutMisstatedSize(part(1000), asked).info.size, Infinity);
	assert.equal(withoutMisstatedSize(part(2000), asked).info.size, 2000);
	assert.equal(withoutMisstatedSize(part(1000, {start: 1000, end: 1000}), asked).info.size, 1000);
});
