import assert from 'node:assert/strict';
import {test} from 'node:test';
import {CliProcess} from './support/cli.ts';
import {TestTerminal} from './support/terminal.ts';

test('on a terminal, the demo names the keys to press and seeks by itself', async t => {
	const terminal = await TestTerminal.start(t, ['demo', '--port', '0'], {columns: 80, rows: 24});
	await terminal.shows(/press o; or press c .*Seek anywhere\.\n.*The demo seeks too/);
	await terminal.shows(/demo-player 1\.0/);
	await terminal.shows(/demo-melody\.wav +.*┃/);
	await terminal.shows(/ \? help  q quit/);
	terminal.press('q');
	assert.equal(await terminal.exit(), 0);
});

test('without a terminal, the demo reports the seek and verifies the file', async t => {
	const demo = await CliProcess.start(t, ['demo', '--json', '--port', '0']);
	const {offset} = await demo.event('player');
	const {size} = await demo.event('done');
	const jump = Math.floor(Number(size) * 0.9);
	assert.ok(Number(offset) >= jump && Number(offset) <= jump + 65_536, String(offset));
	const {name, sha256} = await demo.event('verified');
	assert.equal(name, 'demo-melody.wav');
	assert.match(String(sha256), /^[\da-f]{64}$/);
	assert.equal(await demo.exit(), 0);
});
