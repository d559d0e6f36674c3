import assert from 'node:assert/strict';
import {test} from 'node:test';
import {requestsForTyped} from '../source/requests/add-requests.ts';
import {DownStreamError} from '../source/downstream.ts';
import {Repl} from '../source/cli/run/repl.ts';
import {settingsFrom} from '../source/cli/settings.ts';
import {download, idOf, MemoryDownStream} from './support/memory-downstream.ts';

function commandsOver(downstream: MemoryDownStream): Repl {
	return new Repl(downstream, async url => [{url}]);
}

test('everything can be done by typed commands', async () => {
	const error = {code: 'origin-refused', message: '404: no such file', at: 0} as const;
	const downstream = new MemoryDownStream([
		download({id: idOf(1), name: 'a\u001B[2J.mkv'}),
		download({id: idOf(2), name: 'b.mkv', present: 0, ranges: []}),
		download({id: idOf(3), name: 'c.mkv', status: 'complete'}),
		download({id: idOf(4), name: 'd.mkv', status: 'failed', error}),
	]);
	const commands = commandsOver(downstream);
	const run = async (line: string) => (await commands.run(line)).lines.join('\n');
	assert.match(await run('list'), /^\[1\] a�\[2J\.mkv {2}downloading {2}250 MiB of 1000 MiB\n\[2\] b\.mkv/);
	assert.match(await run('list'), /\n\[4\] d\.mkv {2}failed {2}250 MiB of 1000 MiB {2}404: no such file$/);
	assert.equal(await run('pause 1'), '');
	assert.equal(await run(' resume  2 '), '');
	assert.equal(await run('url 1'), downstream.snapshot.downloads[0]!.streamUrl);
	assert.match(
		await run('export 1 /home/user/My Films/'),
		/^will be exported, once it is complete, to \/home\/user\/My Films\//,
	);
	assert.match(await run('export 3 /home/user/'), /^exported to \/home\/user\//);
	assert.equal(await run('verify 1'), 'every byte is as it was written');
	assert.equal(await run('add http://127.0.0.1/c http://127.0.0.1/d'), '');
	assert.equal(await run(' http://127.0.0.1/e  HTTPS://127.0.0.1/f'), '');
	assert.match(await run('help'), /list +the downloads/);
	assert.deepEqual(downstream.calls, [
		['pause', idOf(1)],
		['resume', idOf(2)],
		['export', idOf(1), {path: '/home/user/My Films/', when: 'complete'}],
		['export', idOf(3), {path: '/home/user/', when: 'complete'}],
		['verify', idOf(1)],
		['add', 'http://127.0.0.1/c'],
		['add', 'http://127.0.0.1/d'],
		['add', 'http://127.0.0.1/e'],
		['add', 'HTTPS://127.0.0.1/f'],
	]);
	assert.equal((await commands.run('quit')).isOver, true);
});

test('removing asks what becomes of the data, and only a plain answer removes', async () => {
	const downstream = new MemoryDownStream([download({id: idOf(1)}), download({id: idOf(2), present: 0})]);
	const commands = commandsOver(downstream);
	assert.deepEqual((await commands.run('remove 1')).lines, ['film.mkv: 250 MiB of 1000 MiB are here.']);
	assert.match(commands.question, /Keep data\?/);
	assert.deepEqual((await commands.run('what')).lines, ['Nothing was removed.']);
	assert.equal(commands.question, '');
	await commands.run('remove 1');
	await commands.run('');
	// The numbers are those of the list of now.
	await commands.run('remove 1');
	assert.deepEqual(downstream.calls, [
		['remove', idOf(1), 'keep'],
		['remove', idOf(2), 'delete'],
	]);
});

test('what cannot be done is said in one line', async () => {
	const downstream = new MemoryDownStream([download({id: idOf(1)})]);
	const commands = commandsOver(downstream);
	const run = async (line: string) => (await commands.run(line)).lines.join('\n');
	assert.equal(await run('pause 7'), 'There is no download 7; list shows their numbers');
	assert.equal(await run('pause'), 'There is no download ; list shows their numbers');
	assert.equal(await run('dance'), 'There is no command "dance"; help lists them');
	assert.equal(await run('add'), 'add: which URL?');
	assert.equal(await run(''), '');
	downstream.failure = new DownStreamError('disk-full', 'The disk is full');
	assert.equal(await run('resume 1'), 'The disk is full');
});

test('a pasted command is added, also on several lines and after add', async () => {
	const downstream = new MemoryDownStream();
	const settings = {...settingsFrom({}, {}), headers: {Cookie: 'of=argv'}, checksum: 'md5:00'};
	const netrc = [{machine: '127.0.0.1', login: 'ann', password: 'geheim'}];
	const commands = new Repl(downstream, word => requestsForTyped(word, {...settings, netrc}));
	const run = async (line: string) => (await commands.run(line)).lines.join('\n');
	const authorization = `Basic ${Buffer.from('ann:geheim').toString('base64')}`;
	assert.equal(await run("curl 'http://127.0.0.1/a' \\"), '');
	assert.deepEqual(downstream.calls, []);
	assert.equal(await run("  -H 'X: 1'"), '');
	assert.equal(await run('add curl http://127.0.0.2/b -b a=b'), '');
	assert.equal(await run('add http://127.0.0.1/c'), '');
	assert.match(await run('curl -d x http://127.0.0.1/d'), /this curl command sends data/);
	await run("curl 'http://127.0.0.1/e");
	assert.match(await run(''), /has a quote that is not closed/);
	assert.equal(await run('list').then(list => list.split('\n').length), 3);
	assert.deepEqual(downstream.calls, [
		['add', 'http://127.0.0.1/a', {headers: {X: '1', authorization}}],
		['add', 'http://127.0.0.2/b', {headers: {Cookie: 'a=b'}}],
		['add', 'http://127.0.0.1/c', {headers: {authorization}}],
	]);
});
