import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {settleEach} from '../source/wait.ts';

for (const count of [0, 1, 8, 9, 40]) {
	test(`results of ${count} actions keep the order, with at most 8 under way`, async () => {
		let running = 0;
		let most = 0;
		const items = Array.from({length: count}, (_, index) => index);
		const seen: unknown[] = [];
		for await (const result of settleEach(items, async item => {
			most = Math.max(most, ++running);
			// Later ones end first.
			for (let turn = item % 8; turn < 8; turn++) {
				await nextTurn();
			}

			running--;
			if (item === 3) {
				throw new Error('three');
			}

			return 2 * item;
		})) {
			seen.push([result.item, result.status === 'fulfilled' ? result.value : String(result.reason)]);
		}

		assert.deepEqual(
			seen,
			items.map(item => [item, item === 3 ? 'Error: three' : 2 * item]),
		);
		assert.equal(most, Math.min(8, count));
	});
}
