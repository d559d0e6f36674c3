import assert from 'node:assert/strict';
import {test} from 'node:test';
import {requestsForTyped} from '../source/requests/add-requests.ts';
import {DownStreamError} from '../source/downstream.ts';
import {EventLines} from '../source/cli/output/event-lines.ts';
import {findDownload} from '../source/cli/run/find-download.ts';
import {Repl, replHelp} from '../source/cli/run/repl.ts';
import {settingsFrom} from '../source/cli/settings.ts';
import {download, idOf, MemoryDownStream} from './support/memory-downstream.ts';

type Run = (line: string) => Promise<string>;

/** A REPL on the engine, and its answers as text. */
function replOn(downstream: MemoryDownStream): {repl: Repl; run: Run} {
	const repl = new Repl(downstream, async url => [{url}]);
	return {repl, run: async line => (await repl.run(line)).lines.join('\n')};
}

test('typed commands manage the list', async () => {
	const error = {code: 'origin-refused', message: '404: no such file', at: 0} as const;
	const downstream = new MemoryDownStream([
		download({id: idOf(1), name: 'a\u001B[2J.mkv'}),
		download({id: idOf(2), name: 'b.mkv', present: 0, ranges: []}),
		download({id: idOf(3), name: 'c.mkv', status: 'complete'}),
		download({id: idOf(4), name: 'd.mkv', status: 'failed', error}),
	]);
	const {repl, run} = replOn(downstream);
	assert.match(
		await run('list'),
		/^ {2}1 {2}0{8} {2}\S+ MiB\/s +25\.0% +250 of 1000 MiB +a�\[2J\.mkv\n {2}2 .* b\.mkv\n/,
	);
	assert.match(
		await run('list'),
		/\n {2}4 {2}0{8} {2}failed +25\.0% +250 of 1000 MiB +d\.mkv {2}404: no such file$/,
	);
	assert.equal(await run('pause 1'), '');
	assert.equal(await run(' resume  2 '), '');
	assert.equal(await run('url 1'), downstream.snapshot.downloads[0]!.streamUrl);
	assert.equal(await run('cancel 1 1 2'), '');
	assert.match(
		await run('export 1 /home/user/My Films/'),
		/^will be exported to \/home\/user\/My Films\/.* when complete$/,
	);
	assert.match(await run('export 3 /home/user/'), /^exported to \/home\/user\//);
	assert.equal(await run('verify 1'), 'a�[2J.mkv: no damage found');
	assert.equal(await run('add http://127.0.0.1/c http://127.0.0.1/d'), '');
	assert.equal(await run(' http://127.0.0.1/e  HTTPS://127.0.0.1/f'), '');
	assert.equal(await run('help'), replHelp.join('\n'));
	assert.deepEqual(downstream.calls, [
		['pause', idOf(1)],
		['resume', idOf(2)],
		['cancel', idOf(1)],
		['cancel', idOf(2)],
		['export', idOf(1), {path: '/home/user/My Films/', when: 'complete'}],
		['export', idOf(3), {path: '/home/user/', when: 'complete'}],
		['verify', idOf(1)],
		['add', 'http://127.0.0.1/c'],
		['add', 'http://127.0.0.1/d'],
		['add', 'http://127.0.0.1/e'],
		['add', 'HTTPS://127.0.0.1/f'],
	]);
	assert.equal((await repl.run('quit')).isOver, true);
	assert.equal((await repl.run('exit')).isOver, true);
});

test('the help shows each command with its operands', () => {
	for (const usage of ['add URL…', 'list', 'url ID', 'pause ID…', 'resume ID…', 'cancel ID…', 'remove ID…']) {
		assert.ok(
			replHelp.some(line => line.startsWith(`${usage}  `)),
			usage,
		);
	}

	assert.ok(replHelp.some(line => /^export ID \[PATH\] +export the file once it is complete$/.test(line)));
	assert.ok(replHelp.every(line => !line.includes('\n')));
});

test('the REPL, the list command and the event lines number downloads alike, also after a removal', async () => {
	const downstream = new MemoryDownStream(
		['a', 'b', 'c'].map((name, index) =>
			download({id: `${name}${idOf(index).slice(1)}`, name, present: 0, ranges: []}),
		),
	);
	const {run} = replOn(downstream);
	const lines = new EventLines({json: false});
	lines.next(downstream.snapshot, 0);
	await run('remove 1');
	const {downloads} = downstream.snapshot;
	downstream.change({downloads: downloads.map(each => ({...each, status: 'paused'}))});
	const events = lines.next(downstream.snapshot, 0).join('\n');
	for (const [number, name] of [
		[1, 'b'],
		[2, 'c'],
	] as const) {
		assert.match(await run('list'), new RegExp(`^ {2}${number} {2}${name}0{7} .* ${name}$`, 'm'));
		assert.equal(findDownload(downstream.snapshot.downloads, String(number)).name, name);
		await run(`pause ${number}`);
		assert.equal(downstream.calls.at(-1)?.[1], `${name}${idOf(number).slice(1)}`);
	}

	assert.match(events, /\[1\] paused\n.*\[2\] paused\n.*\[1\] removed$/s);
});

test('remove asks whether to keep the data, and removes nothing after an unclear answer', async () => {
	const downstream = new MemoryDownStream([download({id: idOf(1)}), download({id: idOf(2), present: 0})]);
	const {repl, run} = replOn(downstream);
	assert.equal(await run('remove 1'), 'film.mkv: 250 of 1000 MiB downloaded');
	assert.equal(repl.question, 'Remove film.mkv: [k]eep the data, [d]elete it, [c]ancel? ');
	assert.equal(await run('what'), 'nothing removed');
	await run('remove 1');
	assert.equal(await run('no'), 'nothing removed');
	assert.equal(repl.question, '');
	await run('remove 1');
	await run('');
	// A removal renumbers the list.
	await run('remove 1');
	assert.deepEqual(downstream.calls, [
		['remove', idOf(1), 'keep'],
		['remove', idOf(2), 'delete'],
	]);
});

test('the answer to the question of remove applies to the downloads named before it', async () => {
	const downstream = new MemoryDownStream([1, 2, 3].map(index => download({id: idOf(index)})));
	const {repl, run} = replOn(downstream);
	assert.equal((await run('remove 2 3')).split('\n').length, 2);
	assert.match(repl.question, /^Remove 2 downloads: \[k\]eep/);
	downstream.change({downloads: downstream.snapshot.downloads.slice(1)});
	assert.equal(await run('d'), '');
	assert.deepEqual(downstream.calls, [
		['remove', idOf(2), 'delete'],
		['remove', idOf(3), 'delete'],
	]);
});

test('an error is one line', async () => {
	const downstream = new MemoryDownStream([download({id: idOf(1)})]);
	const {run} = replOn(downstream);
	assert.equal(await run('pause 7'), 'no download 7; the list command shows all downloads');
	assert.equal(await run('pause'), 'usage: pause ID…');
	assert.equal(await run('export'), 'usage: export ID [PATH]');
	assert.equal(await run('quit now'), 'usage: quit');
	assert.equal(await run('dance'), 'unknown command "dance"; "help" shows all commands');
	assert.equal(await run('puase 1'), 'unknown command "puase"; did you mean pause?');
	assert.equal(await run('add'), 'usage: add URL…');
	assert.equal(await run(''), '');
	downstream.failure = new DownStreamError('disk-full', 'The disk is full');
	assert.equal(await run('resume 1'), 'The disk is full');
});

test('a pasted command is added, also over several lines and after add', async () => {
	const downstream = new MemoryDownStream();
	const settings = {...settingsFrom({}, {}), headers: {Cookie: 'of=argv'}, checksum: 'md5:00'};
	const netrc = [{machine: '127.0.0.1', login: 'ann', password: 'geheim'}];
	const repl = new Repl(downstream, word => requestsForTyped(word, {...settings, netrc}));
	const run: Run = async line => (await repl.run(line)).lines.join('\n');
	const authorization = `Basic ${Buffer.from('ann:geheim').toString('base64')}`;
	assert.equal(await run("curl 'http://127.0.0.1/a' \\"), '');
	assert.deepEqual(downstream.calls, []);
	assert.equal(await run("  -H 'X: 1'"), '');
	assert.equal(await run('add curl http://127.0.0.2/b -b a=b'), '');
	assert.equal(await run('add http://127.0.0.1/c'), '');
	assert.match(await run('curl -d x http://127.0.0.1/d'), /this curl command sends data/);
	await run("curl 'http://127.0.0.1/e");
	assert.match(await run(''), /has an unclosed quote/);
	assert.equal(await run('list').then(list => list.split('\n').length), 3);
	assert.deepEqual(downstream.calls, [
		['add', 'http://127.0.0.1/a', {headers: {X: '1', authorization}}],
		['add', 'http://127.0.0.2/b', {headers: {Cookie: 'a=b'}}],
		['add', 'http://127.0.0.1/c', {headers: {authorization}}],
	]);
});
