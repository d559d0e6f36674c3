import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError, type Download} from '../source/downstream.ts';
import {download, everyState, films, idOf, MemoryDownStream} from './support/memory-downstream.ts';
import {read, Screen} from './support/screen.tsx';

const id = '0'.repeat(32);
const film = (change: Partial<Download> = {}) => download({id, name: 'film.mkv', ...change});

async function type(screen: Screen, text: string): Promise<void> {
	for (const key of text) {
		await screen.press(key);
	}
}

test('a pasted curl command fills headers, agent and proxy in, and shows no secret', async t => {
	const downstream = new MemoryDownStream();
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('Nothing here yet');
	await screen.paste(
		"curl 'https://cdn.example.org/v/film.mkv' -H 'Authorization: Bearer secret1' -b 'session=secret2' -A Agent/1 -x socks5h://me:secret3@127.0.0.1:1080",
	);
	await screen.shows(/Agent +Agent\/1/);
	assert.match(screen.text, /Headers +Authorization: •+ •+/);
	assert.match(screen.text, /Proxy +socks5h:\/\/\*\*\*@127\.0\.0\.1:1080/);
	assert.match(screen.text, /1 ready/);
	await read();
	await screen.press('\r');
	await screen.shows('Added 1');
	assert.doesNotMatch(screen.raw, /secret\d/);
	assert.deepEqual(downstream.calls, [
		[
			'add',
			'https://cdn.example.org/v/film.mkv',
			{
				headers: {Authorization: 'Bearer secret1', Cookie: 'session=secret2'},
				userAgent: 'Agent/1',
				proxy: 'socks5h://me:secret3@127.0.0.1:1080',
			},
		],
	]);
});

test('what was pasted stays while More is at no, and goes along', async t => {
	const downstream = new MemoryDownStream();
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('Nothing here yet');
	await screen.paste("curl http://127.0.0.1/a.mkv -H 'X-Key: abc' -b session=1 -A Agent/1");
	await screen.shows(/Agent +Agent\/1/);
	for (const key of ['\t', '\t', '\t', '\u001B[D']) {
		await screen.press(key);
	}

	await screen.shows(() => !screen.text.includes('Agent/1'));
	await screen.press('\u001B[C');
	await screen.shows(/Agent +Agent\/1/);
	assert.match(screen.text, /Headers +X-Key: •••.*\n.* Cookie: •+/);
	await screen.press('\u001B[D');
	await screen.shows(() => !screen.text.includes('Agent/1'));
	// A draft holds it too.
	await screen.press('\u001B');
	await screen.shows('Nothing here yet');
	await screen.press('a');
	await screen.shows('1 ready');
	await read();
	await screen.press('\r');
	await screen.shows('Added 1');
	assert.deepEqual(downstream.calls, [
		['add', 'http://127.0.0.1/a.mkv', {headers: {'X-Key': 'abc', Cookie: 'session=1'}, userAgent: 'Agent/1'}],
	]);
});

test('fields follow from what is chosen, and bad values are told before anything is added', async t => {
	const downstream = new MemoryDownStream();
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('Nothing here yet');
	await screen.press('a');
	await type(screen, 'http://127.0.0.1/a.mkv');
	await screen.shows('Save as');
	assert.doesNotMatch(screen.text, /Headers/);
	for (const key of ['\t', '\t', '\u001B[C', '\t', '\u001B[C']) {
		await screen.press(key);
	}

	await screen.shows('Headers');
	assert.match(screen.text, /\(•\) paused/);
	await screen.press('\t');
	await type(screen, 'X-Key: abc');
	await screen.shows(/Headers +X-Key: •••/);
	for (const key of ['\t', '\t', '\t', '\t']) {
		await screen.press(key);
	}

	await type(screen, '17');
	await read();
	await screen.press('\r');
	await screen.shows('Conns is "17"; it must be a whole number from 1 to 16');
	assert.deepEqual(downstream.calls, []);
	await screen.press('\u007F');
	downstream.failure = new DownStreamError('bad-request', 'checksum is "x"; it must be sha256 and digits');
	await screen.press('\r');
	await screen.shows('checksum is "x"');
	await read();
	await screen.press('\r');
	await screen.shows('Added 1');
	assert.deepEqual(downstream.calls.at(-1), [
		'add',
		'http://127.0.0.1/a.mkv',
		{headers: {'X-Key': 'abc'}, connections: 1, paused: true},
	]);
});

test('Tab completes a path as far as all ways agree, then goes on', async t => {
	const downstream = new MemoryDownStream([film({status: 'complete'})]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	await screen.shows('film.mkv');
	await screen.press('e');
	await screen.shows('/home/user/Videos/film.mkv');
	await screen.press('\u0015');
	await type(screen, '/home/u');
	await screen.press('\t');
	await screen.shows('/home/user/Video');
	await screen.shows('Tab: Videos/  Video-projects/');
	await type(screen, 's');
	await screen.shows(() => !screen.text.includes('Tab: Videos'));
	await screen.press('\t');
	await screen.shows('/home/user/Videos/');
	await screen.press('\t');
	await screen.press('\u001B[C');
	await screen.shows('(•) move');
	await read();
	await screen.press('\r');
	await screen.shows('Exported to /home/user/Videos/');
	assert.deepEqual(downstream.calls, [
		['export', id, {path: '/home/user/Videos/', when: 'complete', move: true}],
	]);
});

test('a clash asks for one of both, and Replace says so on its button', async t => {
	const downstream = new MemoryDownStream([film({status: 'complete'})]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	await screen.shows('film.mkv');
	await screen.press('e');
	await screen.shows('Export film.mkv');
	await read();
	downstream.failure = new DownStreamError('target-exists', 'A file of this name is there.');
	await screen.press('\r');
	await screen.shows('(•) keep both   ( ) replace it (1.90 GiB, 2026-11-02)');
	await screen.press('\u001B[C');
	await screen.shows('[ Replace ]');
	await screen.shows('(•) replace it (1.90 GiB, 2026-11-02)');
	await screen.press('\r');
	await screen.shows('Exported to');
	assert.deepEqual(downstream.calls.at(-1), [
		'export',
		id,
		{path: '/home/user/Videos/', when: 'complete', overwrite: true},
	]);
});

test('where all ways differ, Tab shows them before it goes on', async t => {
	const screen = new Screen(t, new MemoryDownStream([film({status: 'complete'})]), {columns: 100, rows: 24});
	await screen.shows('film.mkv');
	await screen.press('e');
	await screen.shows('Export film.mkv');
	await screen.press('\u0015');
	await type(screen, '/home/user/Video');
	await screen.press('\t');
	await screen.shows('Tab: Videos/  Video-projects/');
	await screen.press('\t');
	await screen.press('\u001B[C');
	await screen.shows('(•) move');
});

test('several go to a folder, each of them once, also when one of them meets a clash', async t => {
	const downstream = new MemoryDownStream(films(3, {status: 'complete'}));
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	await screen.shows('film-2');
	await screen.press('*');
	await screen.press('e');
	await screen.shows('Export 3 downloads');
	await screen.press('\u0015');
	await type(screen, '/films');
	await read();
	const place = downstream.export.bind(downstream);
	downstream.export = async (exported, request) => {
		if (exported === idOf(1)) {
			downstream.failure ??= request.keepBoth ? undefined : new DownStreamError('target-exists', 'There.');
		}

		return place(exported, request);
	};
	await screen.press('\r');
	await screen.shows('(•) keep both');
	await screen.press('\r');
	await screen.shows('Exported to /films/');
	assert.deepEqual(downstream.calls, [
		['export', idOf(0), {path: '/films/', when: 'complete'}],
		['export', idOf(1), {path: '/films/', when: 'complete'}],
		['export', idOf(1), {path: '/films/', when: 'complete', keepBoth: true}],
		['export', idOf(2), {path: '/films/', when: 'complete', keepBoth: true}],
	]);
});

test('what was chosen for a clash does not hold for another name', async t => {
	const downstream = new MemoryDownStream([film({status: 'complete'})]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	await screen.shows('film.mkv');
	await screen.press('e');
	await screen.shows('Export film.mkv');
	await read();
	downstream.failure = new DownStreamError('target-exists', 'A file of this name is there.');
	await screen.press('\r');
	await screen.shows('(•) keep both');
	await screen.press('\u001B[C');
	await screen.shows('[ Replace ]');
	for (const key of ['\u001B[A', '\u001B[A', '2']) {
		await screen.press(key);
	}

	await screen.shows('film.mkv2');
	assert.match(await screen.shows('[ Export ]'), /^(?![^]*keep both)/);
	await screen.press('\r');
	await screen.shows('Exported to');
	assert.deepEqual(downstream.calls.at(-1), [
		'export',
		id,
		{path: '/home/user/Videos/film.mkv2', when: 'complete'},
	]);
});

test('what is wrong with a value is said until it changes', async t => {
	const screen = new Screen(t, new MemoryDownStream([film()]), {columns: 100, rows: 24});
	await screen.shows('film.mkv');
	await screen.press('t');
	await type(screen, '5x');
	await read();
	await screen.press('\r');
	await screen.shows('"5x" is no rate');
	await screen.press('\t');
	await screen.shows('"5x" is no rate');
	await screen.press('\u001B[Z');
	await screen.press('\u007F');
	await screen.shows(() => !screen.text.includes('is no rate'));
});

test('an answer that comes after its dialog was closed leaves the next dialog alone', async t => {
	const downstream = new MemoryDownStream([film({status: 'complete'})]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	let refuse: (error: Error) => void = () => undefined;
	downstream.export = () =>
		new Promise((_resolve, reject) => {
			refuse = reject;
		});
	await screen.shows('film.mkv');
	await screen.press('e');
	await screen.shows('Export film.mkv');
	await read();
	await screen.press('\r');
	await screen.press('\u001B');
	await screen.shows('? help');
	await screen.press('x');
	await screen.shows('Remove this download?');
	refuse(new DownStreamError('disk-failed', 'Permission denied.'));
	await read();
	assert.match(screen.text, /Remove this download\?/);
	await screen.press('\u001B');
	await screen.shows('? help');
	await screen.press('L');
	await screen.shows('Permission denied.');
});

test('an export that takes long goes on without its dialog', async t => {
	const downstream = new MemoryDownStream([film({status: 'complete'})]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	let finish: (result: {path: string}) => void = () => undefined;
	downstream.export = () =>
		new Promise(resolve => {
			finish = resolve;
		});
	await screen.shows('film.mkv');
	await screen.press('e');
	await screen.shows('Export film.mkv');
	await read();
	await screen.press('\r');
	await screen.shows('? help');
	finish({path: '/home/user/Videos/film.mkv'});
	await screen.shows('Exported to /home/user/Videos/film.mkv');
});

test('an unfinished file can be exported as it is', async t => {
	const downstream = new MemoryDownStream([film()]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	await screen.shows('film.mkv');
	await screen.press('e');
	await screen.shows('(•) when complete (now 250 MiB of 1000 MiB)');
	await screen.press('\u001B[B');
	await screen.press(' ');
	await screen.shows('(•) now, with zeros in the gaps');
	await read();
	await screen.press('\r');
	await screen.shows('Exported to');
	assert.deepEqual(downstream.calls, [
		['export', id, {path: '/home/user/Videos/', when: 'now', partial: true}],
	]);
});

test('the speed limit is for all or for one', async t => {
	const downstream = new MemoryDownStream([film()]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	await screen.shows('film.mkv');
	await screen.press('t');
	await screen.shows('all together (now no limit)');
	await type(screen, '5x');
	await read();
	await screen.press('\r');
	await screen.shows('"5x" is no rate');
	await screen.press('\u007F');
	await type(screen, 'M');
	await screen.press('\r');
	await screen.shows('All together: at most 5.00 MiB/s');
	await screen.shows('of 5.00 MiB/s');
	await screen.press('t');
	await type(screen, '0');
	await screen.press('\t');
	await screen.press(' ');
	await screen.shows('(•) film.mkv (now no limit)');
	await read();
	await screen.press('\r');
	await screen.shows('film.mkv: no limit');
	assert.deepEqual(downstream.calls, [
		['setLimitRate', 5 * 1024 * 1024],
		['update', id, {limitRate: null}],
	]);
});

test('a new link is told to fit or why not, and what was typed stays', async t => {
	const downstream = new MemoryDownStream([film({url: 'http://127.0.0.1/old'})]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	await screen.shows('film.mkv');
	await screen.press('U');
	await screen.shows(/URL +http:\/\/127\.0\.0\.1\/old/);
	await type(screen, '2');
	await read();
	downstream.failure = new DownStreamError('origin-changed', 'It has 5 bytes there and 6 here.');
	await screen.press('\r');
	await screen.shows('! It has 5 bytes there and 6 here.');
	await screen.press('\r');
	await screen.shows('The new link fits');
	assert.deepEqual(downstream.calls.at(-1), ['update', id, {url: 'http://127.0.0.1/old2'}]);
});

test('every dialog fits every screen, and its focus and buttons are always seen', async t => {
	for (const [columns, rows] of [
		[40, 8],
		[60, 15],
		[80, 24],
		[200, 60],
	] as const) {
		for (const ascii of [false, true]) {
			const screen = new Screen(t, new MemoryDownStream(everyState()), {columns, rows, ascii});
			await screen.shows('? help');
			for (const [key, title, button] of [
				['a', 'Add downloads', 'Close ]'],
				['x', 'Remove this download?', 'No ]'],
				['e', 'Export Big', 'Export ]'],
				['t', 'Speed limit', 'Set ]'],
				['U', 'New link', 'Change ]'],
				['s', 'Sort by', 'Added'],
				['q', 'Quit?', 'Stay ]'],
			] as const) {
				await screen.press(key);
				await screen.shows(title);
				const text = await screen.shows(button);
				assert.ok(
					screen.lines.every(line => line.length < columns || /[線形（]/.test(line)),
					text,
				);
				if (ascii) {
					assert.doesNotMatch(text, /[╭╮╰╯│─▸•…←→]/, text);
				}

				await screen.press('\u001B');
				await screen.shows('? help');
			}

			screen.end();
		}
	}
});

test('whatever keys, sizes and snapshots come, the screen is as if drawn anew', async t => {
	let seed = 7;
	const random = (below: number) => {
		seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
		return seed % below;
	};
	const downstream = new MemoryDownStream(everyState());
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('? help');
	const keys = [
		'j',
		'k',
		'G',
		'g',
		' ',
		'1',
		'2',
		'3',
		'5',
		'S',
		'\r',
		'\u001B',
		's',
		'a',
		'?',
		'\t',
		'x',
		'L',
		'/',
		'b',
	];
	for (let round = 0; round < 60; round++) {
		for (let step = random(4); step >= 0; step--) {
			await screen.press(keys[random(keys.length)]!);
		}

		if (round % 3 === 0) {
			const downloads = everyState().slice(0, random(15));
			const present = random(1000) * 1024 * 1024;
			downstream.change({
				downloads: downloads.map(each =>
					each.status === 'active' ? {...each, present, ranges: [[0, present]]} : each,
				),
				banners: random(2) === 0 ? [] : ['Disk full.'],
			});
		}

		if (round % 5 === 0) {
			screen.resize(40 + random(120), 8 + random(50));
		}

		// The last frame of a change comes after at most a quarter of a second; messages stay longer.
		await sleep(320);
		const before = screen.text;
		const fresh = screen.text.includes('Add downloads') || before.includes('/ find') ? undefined : '\u000C';
		if (fresh !== undefined) {
			await screen.press(fresh);
			await sleep(120);
			const after = screen.text;
			assert.equal(withoutTimes(after), withoutTimes(before), `round ${round}`);
		}
	}
});

function withoutTimes(text: string): string {
	return text.replaceAll(/(?:retry|stalled) \d+s/g, '');
}
