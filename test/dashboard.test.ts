import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import stringWidth from 'string-width';
import {DownStreamError, type Download} from '../source/downstream.ts';
import {download, everyState, films, idOf, MemoryDownStream} from './support/memory-downstream.ts';
import {read, Screen} from './support/screen.tsx';

const sizes = [
	[40, 8],
	[60, 15],
	[80, 24],
	[120, 40],
	[200, 60],
] as const;
const lists: Record<string, Download[]> = {
	nothing: [],
	'one download': films(1),
	'every state': everyState(),
	'500 downloads': films(500),
};

for (const [columns, rows] of sizes) {
	for (const ascii of [false, true]) {
		test(`${columns}x${rows}${ascii ? ' in ASCII' : ''}: everything fits the screen`, async t => {
			const downstream = new MemoryDownStream();
			const screen = new Screen(t, downstream, {columns, rows, ascii});
			await screen.shows('Nothing here yet');
			for (const [what, downloads] of Object.entries(lists)) {
				downstream.change({downloads, banners: ['Disk full.', 'Port 8080 is taken by another program.']});
				await screen.shows(downloads.length === 0 ? 'Nothing here yet' : downloads[0]!.name.slice(0, 6));
				for (const [keys, sign] of [
					['', /\? help/],
					['\r', downloads.length === 0 ? /\? help/ : / File /],
					['?', /Keys/],
				] as const) {
					await screen.press(keys);
					const text = await screen.shows(sign);
					assert.match(screen.lines.at(-1)! + screen.lines.at(0)!, /\? help|Keys/, `${what}: ${text}`);
					for (const line of screen.lines) {
						assert.ok(stringWidth(line) < columns, `${what}: "${line}"`);
						if (ascii) {
							// Names are what they are.
							assert.doesNotMatch(line.replaceAll(/[線形代数の基礎（完全版）👩�]/gu, ''), /[^ -~]/, what);
						}
					}
				}

				await screen.press('q');
				await screen.shows(/\? help/);
				await screen.press('\u001B');
				await screen.shows(/Ranges|40x8|▸|^>|Nothing/m);
			}
		});
	}
}

test('every state has a symbol and a word', async t => {
	const downstream = new MemoryDownStream(everyState());
	const screen = new Screen(t, downstream, {columns: 120, rows: 40});
	await screen.shows('on demand');
	const expected = [
		/▸ ↓ Big\.Buck\.Bunny.+x265-GROUP\.mkv .*┃.* ►1 +25\.0% +12\.4 MiB\/s +1m15s$/,
		/^ {2}… asking\.iso +0 B +asking$/,
		/^ {2}‖ 線形代数の基礎（完全版）\.mp4 +█+·+█+·+ +25\.0% +paused$/,
		/^ {2}↓ live-recording\.ts +size unknown +250 MiB +12\.4 MiB\/s +–$/,
		/^ {2}✗ dataset-2026-part-003\.tar\.zst +█▒····  403 Forbidden: .*U = new link +25\.0% +failed$/,
		/^ {2}✓ podcast-ep-214\.mp3 +█+ +100% +done$/,
		/^ {2}· model-weights\.safetensors +·+ +0% +queued$/,
		/^ {2}~ waiting 👩\.bin +█▒····  connection reset; try 3 of 10 +25\.0% +retry \d+s$/,
		/^ {2}– stopped\.bin .* cancelled$/,
		/^ {2}» going-out\.bin .* 100% +export 62%$/,
		/^ {2}✓ empty\.txt .* 100% +done$/,
		/^ {2}↓ stalled\.bin .* stalled \d+s/,
		/^ {2}↓ x+…x+\.mkv .* cannot seek +25\.0%/,
		/^ {2}· �\[2J�\]0;evil�gpj\.mkv .* on demand$/,
	];
	const first = screen.lines.findIndex(line => line.includes('Ranges')) + 1;
	for (const [row, pattern] of expected.entries()) {
		assert.match(screen.lines[first + row]!, pattern);
	}

	for (const part of ['\u001B[2J�', 'evil\u0007', '\u202E']) {
		assert.ok(!screen.raw.includes(part), JSON.stringify(part));
	}
});

test('what is read again to be compared is not called stalled', async t => {
	const segments = [{start: 0, offset: 5, end: 1000, for: 'fill'}] as const;
	const silent = {
		bytesPerSecond: 0,
		lastByteAt: Date.now() - 60_000,
		present: 10,
		ranges: [[0, 10]] as const,
	};
	const downstream = new MemoryDownStream(films(1, {...silent, segments}));
	const screen = new Screen(t, downstream, {columns: 120, rows: 40});
	await screen.shows(/film-0.* comparing /);
	downstream.change({downloads: films(1, {...silent, segments: [{...segments[0], offset: 10}]})});
	await screen.shows(/film-0.* stalled 6\ds /);
});

test('states are told apart without symbols from beyond ASCII', async t => {
	const screen = new Screen(t, new MemoryDownStream(everyState()), {columns: 100, rows: 23, ascii: true});
	const text = await screen.shows('on demand');
	for (const start of ['>  D', '   .', '   P', '   F', '   C', '   Q', '   ~', '   X', '   E']) {
		const pattern = start.replace(/^(.) {2}/, '$1 ').replaceAll('.', String.raw`\.`);
		assert.match(text, new RegExp(`^${pattern} `, 'm'));
	}
});

test('keys in one read are as many presses, and the selection stays on the screen', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(100)), {columns: 80, rows: 15});
	await screen.shows('▸ ↓ film-0.mkv');
	await screen.press('jjj');
	await screen.shows('▸ ↓ film-3.mkv');
	await screen.press('jjjjjjjjjjjjjjjjjjjj');
	await screen.shows('▸ ↓ film-23.mkv');
	await screen.press('k');
	await screen.shows('▸ ↓ film-22.mkv');
	await screen.press('G');
	await screen.shows('▸ ↓ film-99.mkv');
	await screen.press('g');
	await screen.shows('▸ ↓ film-0.mkv');
	await screen.press('\u001B[6~');
	await screen.shows(/▸ ↓ film-\d+/);
	await screen.press('\u001B[5~');
	await screen.shows('▸ ↓ film-0.mkv');
});

test('the selection follows its download, and goes to the next when it is removed', async t => {
	const downstream = new MemoryDownStream(films(5, {present: 0, ranges: []}));
	const screen = new Screen(t, downstream, {columns: 80, rows: 15});
	await screen.shows('film-4');
	await screen.press('jj');
	await screen.shows('▸ ↓ film-2.mkv');
	downstream.change({downloads: downstream.snapshot.downloads.slice(1)});
	await screen.shows(() => !screen.text.includes('film-0'));
	assert.match(screen.text, /▸ ↓ film-2\.mkv/);
	await screen.press('x');
	await screen.shows('Removed film-2.mkv, u = undo');
	await screen.shows('▸ ↓ film-3.mkv');
});

test('pause, resume and retry act on the selected download', async t => {
	const downstream = new MemoryDownStream([
		...films(1),
		download({id: idOf(1), name: 'paused.mkv', status: 'paused'}),
		download({id: idOf(2), name: 'complete.mkv', status: 'complete'}),
	]);
	const screen = new Screen(t, downstream, {columns: 80, rows: 15});
	await screen.shows('complete.mkv');
	await screen.press('p');
	await screen.press('j');
	await screen.press('p');
	await screen.press('r');
	await screen.press('j');
	await screen.press('p');
	await screen.shows('p: it is complete');
	await screen.press('r');
	await screen.shows('r: it is complete');
	await screen.press('g');
	await screen.press('r');
	await screen.shows('r: it runs already');
	downstream.change({downloads: films(1, {status: 'queued'})});
	await screen.shows('· film-0');
	await screen.press('r');
	await screen.shows('r: it waits in the queue; K moves it up');
	assert.deepEqual(downstream.calls, [
		['pause', idOf(0)],
		['resume', idOf(1)],
		['resume', idOf(1)],
	]);
});

test('what goes wrong is told until the next key', async t => {
	const downstream = new MemoryDownStream(films(2));
	const screen = new Screen(t, downstream, {columns: 80, rows: 15});
	await screen.shows('film-0');
	downstream.failure = new DownStreamError('not-found', 'There is no such download.');
	await screen.press('p');
	await screen.shows('There is no such download.');
	await screen.press('j');
	await screen.shows(() => !screen.text.includes('There is no such download.'));
});

test('removing asks, starts at No, and ignores what is typed before it can be read', async t => {
	const player = {id: '1', name: 'mpv \u001B[31m', offset: 0, ready: 1, blocked: false, connected: true};
	const downstream = new MemoryDownStream(films(3, {players: [player]}));
	const screen = new Screen(t, downstream, {columns: 80, rows: 24});
	await screen.shows('film-2');
	await screen.press('x');
	await screen.shows('Remove this download?');
	assert.match(screen.text, /▸\[ No \]/);
	assert.match(screen.text, /250 MiB of 1000 MiB are here/);
	assert.match(screen.text, /mpv �\[31m reads it and will stop/);
	await screen.press('d');
	await screen.press('\r');
	await read();
	assert.match(screen.text, /Remove this download\?/);
	await screen.press('\r');
	await screen.shows('▸ ↓ film-0.mkv');
	assert.deepEqual(downstream.calls, []);

	await screen.press('x');
	await screen.shows('Remove this download?');
	await read();
	await screen.press('\t');
	await screen.shows('▸[ remove, Keep data ]');
	await screen.press('\r');
	await screen.shows('Removed film-0.mkv; the data is kept, u = undo');
	await screen.press('x');
	await screen.shows('Remove this download?');
	await read();
	await screen.press('d');
	await screen.shows('Removed film-1.mkv, u = undo (10 s)');
	await screen.shows('Removed film-1.mkv, u = undo (9 s)');
	assert.deepEqual(downstream.calls, [
		['remove', idOf(0), 'keep'],
		['remove', idOf(1), 'delete'],
	]);
	await screen.press('u');
	await screen.shows('film-1.mkv is back');
	await screen.press('u');
	await screen.shows('u: nothing to undo');
});

test('dialogs lead back to where they were opened', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(2)), {columns: 80, rows: 24});
	await screen.shows('film-1');
	await screen.press('\r');
	await screen.shows('Map ');
	for (const [key, sign] of [
		['x', 'Remove this download?'],
		['e', 'Export film-0.mkv'],
		['a', 'Add downloads'],
		['?', 'Keys'],
		['L', 'Messages'],
		['t', 'Speed limit'],
		['U', 'New link for film-0.mkv'],
		['s', 'Sort by'],
		['q', 'Quit?'],
	] as const) {
		await screen.press(key);
		await screen.shows(sign);
		await screen.press('\u001B');
		await screen.shows('Map ');
	}

	await screen.press('\u001B');
	await screen.shows('▸ ↓ film-0.mkv');
});

test('a paste opens the dialog filled in, and Enter adds all that can be added', async t => {
	const downstream = new MemoryDownStream();
	downstream.known.add('http://127.0.0.1/b.mkv');
	const screen = new Screen(t, downstream, {columns: 80, rows: 24});
	await screen.shows('Nothing here yet');
	await screen.paste('http://127.0.0.1/a.mkv\nhttp://127.0.0.1/b.mkv\nhtps://typo/q\n');
	await screen.shows('2 ready');
	await screen.shows('! Line 3: "htps" is not http or https');
	await read();
	await screen.press('\r');
	await screen.shows('! "htps" is not http or https');
	await screen.shows('0 ready');
	assert.deepEqual(downstream.calls, [
		['add', 'http://127.0.0.1/a.mkv'],
		['add', 'http://127.0.0.1/b.mkv'],
	]);
	await screen.press('\u001B');
	await screen.shows('▸ ↓ a.mkv');
});

test('what is known is told, and a paste without brackets is a paste too', async t => {
	const downstream = new MemoryDownStream(films(1));
	downstream.known.add('http://127.0.0.1/qxd');
	const screen = new Screen(t, downstream, {columns: 80, rows: 24});
	await screen.shows('film-0');
	await screen.press('http://127.0.0.1/qxd\r');
	await screen.shows('1 ready');
	await read();
	await screen.press('\r');
	await screen.shows('already in the list: 1');
	assert.equal(screen.hasQuit, false);
});

test('a text field takes letters that are keys elsewhere, and its draft is kept', async t => {
	const downstream = new MemoryDownStream(films(1));
	const screen = new Screen(t, downstream, {columns: 80, rows: 24});
	await screen.shows('film-0');
	await screen.press('a');
	await screen.shows('Add downloads');
	for (const key of 'jkqx?') {
		await screen.press(key);
	}

	await screen.shows('jkqx?');
	await screen.press('\r');
	await read();
	await screen.press('\r');
	await screen.shows('"jkqx?" is not a URL');
	await screen.press('\u007F');
	await screen.shows(/URLs +jkqx /);
	await screen.press('\u001B');
	await screen.shows('▸ ↓ film-0.mkv');
	await screen.press('\u007F');
	await screen.press('a');
	await screen.shows(/URLs +jkqx /);
	assert.deepEqual(downstream.calls, []);
});

test('export asks where to, and what becomes of a file that is there', async t => {
	const downstream = new MemoryDownStream(films(1, {status: 'complete'}));
	const screen = new Screen(t, downstream, {columns: 80, rows: 24});
	await screen.shows('film-0');
	await screen.press('e');
	await screen.shows('/home/user/Videos/film-0.mkv');
	await read();
	downstream.failure = new DownStreamError('target-exists', 'A file of this name is there.');
	await screen.press('\r');
	await screen.shows('(•) keep both');
	await read();
	await screen.press('\r');
	await screen.shows('Exported to /home/user/Videos/film-0.mkv');
	const path = '/home/user/Videos/';
	assert.deepEqual(downstream.calls, [
		['export', idOf(0), {path, when: 'complete'}],
		['export', idOf(0), {path, when: 'complete', keepBoth: true}],
	]);
});

test('an export that fails keeps the path that was typed', async t => {
	const downstream = new MemoryDownStream(films(1));
	const screen = new Screen(t, downstream, {columns: 80, rows: 24});
	await screen.shows('film-0');
	await screen.press('e');
	await screen.shows('when complete (now 250 MiB of 1000 MiB)');
	await read();
	await screen.press('!');
	downstream.failure = new DownStreamError('disk-failed', 'Permission denied.');
	await screen.press('\r');
	await screen.shows('! Permission denied.');
	assert.match(screen.text, /film-0\.mkv!/);
});

test('copying says what was done and no more', async t => {
	const secret = 'https://cdn.example.org/film.mkv?token=abcdef';
	const says = {
		copied: 'Copied the stream URL',
		sent: "Sent the stream URL to the terminal's clipboard (v shows it)",
		none: 'No clipboard can be reached',
	} as const;
	for (const [clipboard, words] of Object.entries(says)) {
		const [film] = films(1, {url: secret});
		const screen = new Screen(t, new MemoryDownStream([film!]), {
			columns: 80,
			rows: 24,
			clipboard: clipboard as keyof typeof says,
		});
		await screen.shows('film-0');
		await screen.press('c');
		await screen.shows(words);
		await screen.press('\u001B');
		// Enter at once would be Alt+Enter.
		await read();
		await screen.press('\r');
		await screen.shows('token=•••');
		await screen.press('C');
		await screen.shows(() => screen.copied.length === 2);
		assert.deepEqual(screen.copied, [film!.streamUrl, secret]);
	}
});

test('quitting asks only if something would be interrupted', async t => {
	const idle = new Screen(t, new MemoryDownStream(films(2, {status: 'paused'})), {columns: 80, rows: 24});
	await idle.shows('film-1');
	await idle.press('q');
	await idle.shows(() => idle.hasQuit);

	const busy = new Screen(t, new MemoryDownStream(films(2)), {columns: 80, rows: 24});
	await busy.shows('film-1');
	await busy.press('\u0003');
	await busy.shows('2 downloads run.');
	assert.match(busy.text, /▸\[ Stay \]/);
	await busy.press('q');
	await read();
	assert.equal(busy.hasQuit, false);
	await busy.press('\u0003');
	await busy.shows(() => busy.hasQuit);
});

test('a screen that is too small says so and can still be quit', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(2)), {columns: 38, rows: 6});
	await screen.shows('38x6: too small');
	await screen.press('x');
	await screen.press('q');
	await screen.shows('Quit?');
	await screen.press('\u001B');
	await screen.shows('38x6: too small');
	await screen.press('q');
	await screen.shows('Quit?');
	await read();
	await screen.press('q');
	await screen.shows(() => screen.hasQuit);
});

test('after any change of size the screen is as if it had been drawn at that size', async t => {
	const downloads = films(30, {lastByteAt: null});
	const screen = new Screen(t, new MemoryDownStream(downloads), {columns: 120, rows: 40});
	await screen.shows('film-9');
	for (const [columns, rows] of [
		[60, 15],
		[100, 30],
		[40, 8],
		[80, 24],
		[80, 12],
		[120, 40],
	] as const) {
		const fresh = new Screen(t, new MemoryDownStream(downloads), {columns, rows});
		const text = await fresh.shows(/\? help/);
		screen.resize(columns, rows);
		await screen.shows(() => screen.text === text);
	}
});

test('Ctrl+L draws the whole screen again', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(2)), {columns: 80, rows: 24});
	const before = await screen.shows(/\? help/);
	await screen.disturb('\u001B[5;1Hrubbish\u001B[24;1H');
	assert.notEqual(screen.text, before);
	await screen.press('\u000C');
	await screen.shows(() => screen.text === before);
});

test('nothing is written while nothing changes, and no one listens after the end', async t => {
	const downstream = new MemoryDownStream(films(10, {status: 'paused'}));
	const screen = new Screen(t, downstream, {columns: 120, rows: 40});
	await screen.shows(/\? help/);
	await sleep(300);
	const {written} = screen;
	downstream.change({});
	await sleep(600);
	assert.equal(screen.written, written);
	screen.end();
	assert.equal(downstream.listeners, 0);
});

test('many changes are few frames', async t => {
	const downstream = new MemoryDownStream(films(3));
	const screen = new Screen(t, downstream, {columns: 80, rows: 24});
	await screen.shows(/\? help/);
	const shown = new Set<string>();
	for (let percent = 1; percent <= 90; percent++) {
		const present = percent * 10 * 1024 * 1024;
		downstream.change({downloads: films(3, {present, ranges: [[0, present]]})});
		await sleep(10);
		shown.add(/(\d+\.\d)%/.exec(screen.text)![1]!);
	}

	await screen.shows('90.0%');
	assert.ok(shown.size <= 30, `${shown.size} different frames for 90 changes`);
});
