import assert from 'node:assert/strict';
import {test} from 'node:test';
import {atEnd} from './support/cleanup.ts';
import {startEngine} from './support/engines.ts';
import {Soak} from './support/soak.ts';

test('10 s of random operations give players and disk no wrong byte', {timeout: 60_000}, async t => {
	const seed = Math.floor(Math.random() * 2 ** 32);
	t.diagnostic(`seed ${seed}`);
	const {engine} = await startEngine(t);
	const soak = await Soak.start(engine, seed);
	atEnd(t, () => soak.close());
	await soak.run(10_000);
	t.diagnostic(`${soak.commands} commands, ${soak.reads} reads, ${soak.bytes} bytes`);
	assert.ok(soak.commands > 0 && soak.bytes > 0);
});
