import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setImmediate as nextTurn} from 'node:timers/promises';
import type {Catalog} from '../source/engine/catalog.ts';
import {Balance} from '../source/engine/balance.ts';
import type {Exports} from '../source/engine/exports.ts';
import {alwaysWritable} from '../source/engine/store/writable.ts';
import type {StorageAccess} from '../source/engine/store/storage-access.ts';

/** A balance of so many downloads that each run takes 3 ms. */
function slowBalance() {
	let runs = 0;
	const transfers = {
		values() {
			const until = performance.now() + 3;
			while (performance.now() < until);
			return [];
		},
	};
	const balance = new Balance(
		{storageDir: '/'},
		{
			catalog: {transfers, isOpening: false} as unknown as Catalog,
			exports: {} as Exports,
			access: alwaysWritable as StorageAccess,
			done() {
				runs++;
			},
		},
	);
	return {balance, runs: () => runs};
}

test('requests of one tick share a balance, and a long one is followed by a rest', async t => {
	t.mock.timers.enable({apis: ['setTimeout']});
	const {balance, runs} = slowBalance();
	balance.wake();
	balance.wake();
	await nextTurn();
	assert.equal(runs(), 1);
	balance.wake();
	await nextTurn();
	assert.equal(runs(), 1);
	t.mock.timers.tick(100);
	assert.equal(runs(), 2);
});

test('a command needs no rest: its balance runs at once, and only once', async t => {
	t.mock.timers.enable({apis: ['setTimeout']});
	const {balance, runs} = slowBalance();
	balance.run();
	balance.wake();
	balance.settle();
	assert.equal(runs(), 2);
	balance.settle();
	t.mock.timers.tick(100);
	await nextTurn();
	assert.equal(runs(), 2);
});
