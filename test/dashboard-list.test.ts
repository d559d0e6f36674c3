import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError, type Download} from '../source/downstream.ts';
import {download, everyState, films, idOf, MemoryDownStream} from './support/memory-downstream.ts';
import {read, Screen} from './support/screen.tsx';

test('the tabs show one state each, and the selection goes with them', async t => {
	const screen = new Screen(t, new MemoryDownStream(everyState()), {columns: 120, rows: 40});
	await screen.shows(/\[1 all 14\] 2 active 9 {2}3 paused 2 {2}4 done 2 {2}5 failed 1/);
	await screen.press('5');
	await screen.shows('[5 failed 1]');
	assert.match(screen.text, /▸ ✗ dataset/);
	assert.doesNotMatch(screen.text, /Big\.Buck/);
	await screen.press('1');
	await screen.shows('[1 all 14]');
	assert.match(screen.text, /▸ ✗ dataset/);
	await screen.press('3');
	await screen.shows(/▸ ‖ 線形/);
});

test('the selection is not lost in a tab or filter that shows nothing', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(3)), {columns: 100, rows: 30});
	await screen.shows('film-2.mkv');
	await screen.press('G');
	await screen.shows('▸ ↓ film-2.mkv');
	await screen.press('3');
	await screen.shows('[3 paused 0]');
	await screen.press('j');
	await screen.press('1');
	await screen.shows('[1 all 3]');
	assert.match(screen.text, /▸ ↓ film-2\.mkv/);
	await screen.press('/');
	await screen.press('q');
	await screen.shows('Nothing fits the filter');
	await screen.press('\u001B');
	await screen.shows('sort: added');
	assert.match(screen.text, /▸ ↓ film-2\.mkv/);
});

test('a filter narrows while it is typed, Enter keeps it, Esc clears it', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(30)), {columns: 100, rows: 30});
	await screen.shows('film-9.mkv');
	await screen.press('/');
	await screen.shows(/^ \/$/m);
	for (const key of 'm-2q') {
		await screen.press(key);
	}

	await screen.shows('Nothing fits the filter');
	await screen.press('\u007F');
	await screen.shows(/filter: m-2 \(11 of 30\)/);
	await screen.press('\r');
	await screen.shows('? help');
	await screen.press('j');
	await screen.shows('▸ ↓ film-20.mkv');
	await screen.press('\u001B');
	await screen.shows('sort: added');
	assert.match(screen.text, /▸ ↓ film-20\.mkv/);
	assert.match(screen.text, /film-1\.mkv|film-19\.mkv/);
});

test('sorting is chosen by a letter, and the selected row keeps its line', async t => {
	const downstream = new MemoryDownStream(
		films(40).map((film, index) => ({...film, bytesPerSecond: 1000 + index * 1024})),
	);
	const screen = new Screen(t, downstream, {columns: 100, rows: 23});
	await screen.shows('film-9.mkv');
	for (let step = 0; step < 5; step++) {
		await screen.press('j');
	}

	await screen.shows('▸ ↓ film-5.mkv');
	await screen.press('s');
	await screen.shows(/▸ Added/);
	await read();
	await screen.press('n');
	await screen.shows('sort: name');
	await screen.press('s');
	await read();
	await screen.press('e');
	await screen.shows('sort: speed');
	await screen.press('S');
	await screen.shows('sort: speed, reversed');
	await screen.press('g');
	await screen.press('jjjjj');
	await screen.shows('▸ ↓ film-5.mkv');
	const lineOf = () => screen.lines.findIndex(line => line.startsWith('▸'));
	const line = lineOf();
	// Twenty others become slower than it; speeds change once a second.
	await sleep(1010);
	downstream.change({
		downloads: downstream.snapshot.downloads.map((film, index) =>
			index >= 20 ? {...film, bytesPerSecond: index} : film,
		),
	});
	await sleep(400);
	assert.match(screen.text, /▸ ↓ film-5\.mkv/);
	assert.equal(lineOf(), line);
	await screen.press('\u001B[5~');
	await screen.shows(/film-3\d\.mkv/);
});

test('marks are acted on together, and only while they are shown', async t => {
	const downstream = new MemoryDownStream(films(5));
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('film-4');
	await screen.press('j');
	await screen.press('  ');
	await screen.shows(/^ \*↓ film-1\.mkv/m);
	await screen.shows('2 marked; p, x, e, c act on them');
	await screen.press('c');
	await screen.shows('Copied 2 stream URLs');
	assert.deepEqual(screen.copied, [
		`${downstream.snapshot.downloads[1]!.streamUrl}\n${downstream.snapshot.downloads[2]!.streamUrl}`,
	]);
	await screen.press('p');
	await screen.press('x');
	await screen.shows('Remove 2 downloads?');
	assert.match(screen.text, /500 MiB are here/);
	await read();
	await screen.press('k');
	await screen.shows('Removed 2 downloads; the data is kept, u = undo');
	await screen.press('u');
	await screen.shows('2 downloads are back');
	assert.deepEqual(downstream.calls, [
		['pause', idOf(1)],
		['pause', idOf(2)],
		['remove', idOf(1), 'keep'],
		['remove', idOf(2), 'keep'],
		['restore', idOf(1)],
		['restore', idOf(2)],
	]);
	await screen.press('g');
	await screen.press('*');
	await screen.shows('5 marked');
	await screen.press('x');
	await screen.shows('Remove 5 downloads?');
	await read();
	await screen.press('d');
	await screen.shows('Removed 5 downloads, u = undo');
	downstream.failure = new DownStreamError('not-found', 'It is gone.');
	await screen.press('u');
	await screen.shows('It is gone.');
	await screen.shows('all 4');
	await screen.press('*');
	await screen.shows('4 marked');
	await screen.press('\u001B');
	await screen.shows(() => !screen.text.includes('marked'));
});

test('over ssh the first copy says how the URL is reached', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(1)), {
		columns: 120,
		rows: 24,
		remoteHint: 'On another machine? ssh -L 1',
	});
	await screen.shows('film-0');
	await screen.press('c');
	await screen.shows('Copied the stream URL. On another machine? ssh -L 1');
	await screen.press('C');
	await screen.shows(() => screen.text.includes('Copied the source URL') && !screen.text.includes('ssh'));
});

test('all are paused, and resumed when none runs', async t => {
	const downstream = new MemoryDownStream([
		...films(2),
		download({id: idOf(2), name: 'paused.mkv', status: 'paused'}),
	]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('paused.mkv');
	await screen.press('P');
	await screen.shows('Paused 2');
	downstream.change({downloads: films(2, {status: 'paused'})});
	await screen.shows(/‖ film-0/);
	await screen.press('P');
	await screen.shows('Resumed 2');
	assert.deepEqual(downstream.calls, [
		['pause', idOf(0)],
		['pause', idOf(1)],
		['resume', idOf(0)],
		['resume', idOf(1)],
	]);
});

test('K and J move in the queue, in the order of the queue', async t => {
	const downstream = new MemoryDownStream(films(3));
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('film-2');
	await screen.press('J');
	await screen.shows('sort: queue');
	await screen.press('j');
	await screen.press('K');
	await screen.shows(() => downstream.calls.length === 2);
	assert.deepEqual(downstream.calls, [
		['moveInQueue', idOf(0), 1],
		['moveInQueue', idOf(1), -1],
	]);
	await screen.press('k');
	await screen.press('K');
	await screen.shows('K: it is the first in the queue');
	await screen.press('G');
	await screen.press('J');
	await screen.shows('J: it is the last in the queue');
	downstream.change({downloads: films(1, {status: 'complete'})});
	await screen.shows('✓ film-0');
	await screen.press('J');
	await screen.shows('J: it is complete, and in no queue');
	assert.equal(downstream.calls.length, 2);
});

test('what is paused together lets nothing of it begin, and exports go on', async t => {
	const downstream = new MemoryDownStream([
		download({id: idOf(0), name: 'active.mkv'}),
		download({id: idOf(1), name: 'queued.mkv', status: 'queued'}),
		download({id: idOf(2), name: 'exporting.mkv', status: 'exporting'}),
	]);
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('exporting.mkv');
	await screen.press('P');
	await screen.shows('Paused 2');
	await screen.press('*');
	await screen.press('p');
	await screen.shows(() => downstream.calls.length === 4);
	const paused = [
		['pause', idOf(1)],
		['pause', idOf(0)],
	];
	assert.deepEqual(downstream.calls, [...paused, ...paused]);
	downstream.change({downloads: films(1, {status: 'complete'})});
	await screen.shows('✓ film-0');
	await screen.press('P');
	await screen.shows('P: nothing runs, and nothing is paused');
});

test('o starts a player, O opens the folder of what was exported, V checks, v prints', async t => {
	const downstream = new MemoryDownStream(films(1));
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('film-0');
	await screen.press('o');
	await screen.shows('Started mpv');
	assert.deepEqual(screen.played, [downstream.snapshot.downloads[0]!.streamUrl]);
	await screen.press('O');
	await screen.shows('O: it is not exported yet');
	downstream.change({downloads: films(1, {exportedTo: '/home/user/film.mkv'})});
	await screen.shows('Exported to /home/user/film.mkv');
	await screen.press('O');
	await screen.shows(() => screen.opened.length > 0);
	assert.deepEqual(screen.opened, ['/home/user/film.mkv']);
	await screen.press('V');
	await screen.shows('Checked film-0.mkv: every byte is as it was written');
	await screen.press('v');
	await screen.shows(() => screen.printed.length > 0);
	const [film] = downstream.snapshot.downloads;
	assert.deepEqual(screen.printed[0], [film!.name, film!.streamUrl, film!.url, '/home/user/film.mkv', '']);
	downstream.change({downloads: films(1, {present: 0, ranges: []})});
	await screen.shows(/ 0% /);
	await screen.press('V');
	await screen.shows('V: nothing of film-0.mkv is here yet');
});

test('what is done is told, and what failed stays in the messages', async t => {
	const downstream = new MemoryDownStream(films(2));
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('film-1');
	const error = {code: 'origin-refused', message: '403 Forbidden: link expired?', at: 1} as const;
	const [first, second] = downstream.snapshot.downloads;
	downstream.change({
		downloads: [
			{...first!, status: 'complete', present: first!.size!, completedAt: 65_000, addedAt: 0},
			{...second!, status: 'failed', error, lastError: error},
		],
	});
	await screen.shows(' film-1.mkv: 403 Forbidden: link expired?');
	assert.match(screen.text, /▸····  U = new link/);
	assert.equal(screen.bells, 1);
	await screen.press('L');
	await screen.shows('Done: film-0.mkv (1000 MiB in 1m05s)');
	await screen.shows('film-1.mkv: 403 Forbidden: link expired?');
	await screen.press('/');
	for (const key of 'Done') {
		await screen.press(key);
	}

	await screen.shows(() => !screen.text.includes('403'));
	await screen.press('\r');
	await screen.press('v');
	await screen.shows(() => screen.printed.length > 0);
	assert.equal(screen.printed[0]!.length, 2);
	await screen.press('\u001B');
	await screen.shows('film-0.mkv');
});

test('what comes of an export that was planned is told when the download is done', async t => {
	const downstream = new MemoryDownStream(films(2, {exportWhenComplete: '/films/'}));
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('film-1');
	const [first, second] = downstream.snapshot.downloads;
	const done = {status: 'complete', present: first!.size!, completedAt: 65_000, addedAt: 0} as const;
	const lastError = {
		code: 'target-exists',
		message: 'Not exported: /films/film-1.mkv already exists',
		at: 65_001,
	} as const;
	downstream.change({
		downloads: [
			{...first!, ...done, exportedTo: '/films/film-0.mkv'},
			{...second!, ...done, lastError},
		],
	});
	await screen.shows(' film-1.mkv: Not exported: /films/film-1.mkv already exists');
	await screen.press('L');
	await screen.shows('Done: film-0.mkv');
	await screen.shows('Exported to /films/film-0.mkv');
	await screen.shows('Done: film-1.mkv');
	await screen.shows('film-1.mkv: Not exported');
});

test('what a snapshot and the answer of a command tell is one message', async t => {
	const downstream = new MemoryDownStream(films(1, {status: 'complete'}));
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('film-0');
	const say = 'Exported to /home/user/Videos/film-0.mkv';
	await screen.press('e');
	await screen.shows('[ Export ]');
	downstream.change({downloads: films(1, {status: 'complete', exportedTo: '/home/user/Videos/film-0.mkv'})});
	await read();
	await screen.press('\r');
	await screen.shows(say);
	await screen.press('L');
	await screen.shows(say);
	assert.equal(screen.text.split(say).length, 2);
});

test('the help finds a key', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(1)), {columns: 80, rows: 24});
	await screen.shows('film-0');
	await screen.press('?');
	await screen.shows('pause or resume');
	await screen.press('/');
	for (const key of 'queue') {
		await screen.press(key);
	}

	await screen.shows(() => !screen.text.includes('pause or resume'));
	assert.match(screen.text, /K +earlier in the queue/);
	assert.match(screen.text, /J +later in the queue/);
});

test('details show each player, what each connection fills and what went wrong', async t => {
	const player = {id: '1', name: 'mpv 0.38', offset: 500, ready: 1024, blocked: false, connected: true};
	const downstream = new MemoryDownStream(
		films(2, {
			players: [
				player,
				{...player, id: '2', name: 'VLC', blocked: true},
				{...player, id: '3', connected: false},
			],
			lastError: {code: 'origin-unreachable', message: 'connection reset', at: Date.now()},
			segments: [
				{start: 0, offset: 1024, end: 4096, for: 'player'},
				{start: 0, offset: 2048 * 1024, end: 3072 * 1024, for: 'fill'},
				{start: 0, offset: 3072 * 1024, end: 4096 * 1024, for: 'fill'},
			],
			connections: 3,
			checksum: 'sha256:ab',
			exportWhenComplete: '/home/user/film.mkv',
		}),
	);
	const screen = new Screen(t, downstream, {columns: 100, rows: 30});
	await screen.shows('film-1');
	await screen.press('\r');
	await screen.shows('Stream');
	await screen.shows(/┃mpv 0\.38 {2}reads at 500 B \(<0\.1%\), 1\.00 KiB ready ahead/);
	assert.match(screen.text, /┃VLC {2}reads at 500 B \(<0\.1%\), waits for data/);
	assert.match(screen.text, /not connected now/);
	assert.match(screen.text, /Conns {3}3 of 4: for a player at 1\.00 K; fills at 2\.00 M, 3\.00 M$/m);
	assert.match(screen.text, /none now \(\d\d:\d\d connection reset\)/);
	assert.match(screen.text, /Then {4}exported to \/home\/user\/film\.mkv/);
	assert.match(screen.text, /Check {3}sha256:ab/);
	assert.match(screen.text, /Map {2}1 cell = /);
	await screen.press(']');
	await screen.shows('── film-1.mkv');
	await screen.press('[');
	await screen.shows('── film-0.mkv');
});

test('the file is told to the byte where that has room, and how long it took once it is complete', async t => {
	const [film] = films(1, {
		validator: '"5f3a62b-melody"',
		status: 'complete',
		addedAt: 1000,
		completedAt: 135_000,
	});
	for (const [columns, file] of [
		[100, /File +video\/x-matroska, 1000 MiB \(1,048,576,000 bytes\), ETag "5f3a62b-melody", ranges: yes$/m],
		[80, /File +video\/x-matroska, 1000 MiB, ETag "5f3a62b-melody", ranges: yes$/m],
	] as const) {
		const screen = new Screen(t, new MemoryDownStream([film!]), {columns, rows: 30});
		await screen.shows('film-0');
		await screen.press('\r');
		await screen.shows(file);
		assert.match(screen.text, /Took +2m14s$/m);
		assert.doesNotMatch(screen.text, /Speed +0 B/);
	}
});

test('where the size is not known, details show no bar and say what is known', async t => {
	const downstream = new MemoryDownStream(films(1, {size: null, present: 5, ranges: [[0, 5]]}));
	const screen = new Screen(t, downstream, {columns: 80, rows: 24});
	await screen.shows('size unknown (the server sent no length)');
	assert.doesNotMatch(screen.text, /██|··/);
	await screen.press('\r');
	await screen.shows('size unknown, ETag');
	downstream.change({downloads: films(1, {size: null, ranges: [], present: 0, acceptsRanges: null})});
	await screen.shows(/File +not known yet/);
	await screen.press('\u001B');
	await screen.shows('size not known yet');
	assert.doesNotMatch(screen.text, /sent no length/);
});

test('docked details with room for one player show one that is connected', async t => {
	const player = {id: '1', name: 'mpv', offset: 5, ready: 1024, blocked: false, connected: true};
	const players = [{...player, name: 'gone', connected: false}, player];
	const screen = new Screen(t, new MemoryDownStream(films(1, {players})), {columns: 80, rows: 24});
	await screen.shows(/Players ┃mpv .*; 1 more/);
});

test('on a narrow screen the page of details tells everything on more lines', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(1)), {columns: 44, rows: 30});
	await screen.shows('film-0');
	await screen.press('\r');
	await screen.shows(/File/);
	const text = screen.text.replaceAll(/\n {9}/g, ' ');
	assert.match(text, /missing 750 MiB in 1 gap/);
	assert.match(text, /Speed +12\.4 MiB\/s, average 10\.0 MiB\/s, 1m15s left/);
	assert.match(text, /press c and paste the URL into mpv, VLC or a browser/);
});

test('a row tells the cause from its beginning, and the key that helps', async t => {
	const failed = (message: string, change: Partial<Download> = {}) => ({
		status: 'failed' as const,
		error: {code: 'origin-refused' as const, message, at: 0},
		...change,
	});
	const message = '403 Forbidden from cdn.example.org: the link may have expired';
	const downstream = new MemoryDownStream([
		download({id: idOf(0), ...failed(message, {size: null})}),
		download({id: idOf(2), ...failed('cdn.example.org is busy (429)', {size: null})}),
		download({id: idOf(1), ...failed('cdn.example.org: no response in time', {size: null})}),
	]);
	const screen = new Screen(t, downstream, {columns: 120, rows: 30});
	await screen.shows('403 Forbidden: the link ma… U = new link');
	assert.match(screen.text, / {2}no response in time. r = try again/);
	assert.match(screen.text, / {2}busy \(429\). r = try again/);
	screen.resize(80, 24);
	await screen.shows(/ U = new link {2,}/);
});

test('details that have no room are scrolled', async t => {
	const screen = new Screen(t, new MemoryDownStream(films(2)), {columns: 60, rows: 10});
	await screen.shows('film-1');
	await screen.press('\r');
	await screen.shows('Stream');
	assert.doesNotMatch(screen.text, /Map/);
	for (let step = 0; step < 12; step++) {
		await screen.press('j');
	}

	await screen.shows('Map  1 cell');
});

test('the mouse selects, opens and presses', async t => {
	const downstream = new MemoryDownStream(films(5));
	const screen = new Screen(t, downstream, {columns: 100, rows: 23});
	await screen.shows('film-4');
	await screen.press('M');
	await screen.shows('Mouse on');
	assert.equal(screen.hasMouse, true);
	const click = async (text: string) => {
		const row = screen.lines.findIndex(line => line.includes(text));
		const column = screen.lines[row]!.indexOf(text);
		await screen.press(`\u001B[<0;${column + 2};${row + 1}M`);
		await screen.press(`\u001B[<0;${column + 2};${row + 1}m`);
	};
	await click('film-3.mkv');
	await screen.shows('▸ ↓ film-3.mkv');
	await screen.press('\u001B[<64;1;1M');
	await screen.shows('▸ ↓ film-2.mkv');
	await click('3 paused');
	await screen.shows('[3 paused 0]');
	await click('1 all');
	await screen.shows('[1 all 5]');
	await click('x cancel');
	await screen.shows('Remove this download?');
	await read();
	await click('[ No ]');
	await screen.shows('▸ ↓ film-');
	await click('film-1.mkv');
	await click('film-1.mkv');
	await screen.shows('Map ');
	assert.deepEqual(downstream.calls, []);
});

test('suspending asks while something runs, and not while it is attached', async t => {
	const busy = new Screen(t, new MemoryDownStream(films(1)), {columns: 80, rows: 24});
	await busy.shows('film-0');
	await busy.press('\u001A');
	await busy.shows('Ctrl+Z again: downloads and players stand still until fg');
	assert.equal(busy.stops, 0);
	await busy.press('\u001A');
	await busy.shows(() => busy.stops === 1);
	const at = Date.now();
	await busy.shows(() => !busy.text.includes('Ctrl+Z again'));
	assert.ok(Date.now() - at < 2000, 'it would have gone by itself');

	const attached = new Screen(t, new MemoryDownStream(films(1)), {columns: 80, rows: 24, isAttached: true});
	await attached.shows('film-0');
	await attached.press('\u001A');
	await attached.shows(() => attached.stops === 1);
	await attached.press('q');
	await attached.shows(() => attached.hasQuit);
});

test('a file that changed asks what is to become of the old bytes', async t => {
	const error = {
		code: 'origin-changed',
		message: 'The file has changed: it had 5 bytes, now 6',
		at: 1,
	} as const;
	const downstream = new MemoryDownStream(films(1, {status: 'failed', error, lastError: error}));
	const screen = new Screen(t, downstream, {columns: 100, rows: 24});
	await screen.shows('r = choose');
	await screen.press('r');
	await screen.shows('The file changed on the server');
	assert.match(screen.text, /▸\[ Stay as it is \]/);
	await read();
	await screen.press('o');
	await screen.shows('Starting over');
	assert.deepEqual(downstream.calls, [['startOver', idOf(0), false]]);
	await screen.press('r');
	await screen.shows('The 250 MiB we have cannot be mixed');
	await read();
	downstream.failure = new DownStreamError('disk-failed', 'No room.');
	await screen.press('n');
	await screen.shows('No room.');
});

test('details say that an unstable validator is no witness', async t => {
	const unstable = {hasUnstableValidator: true, size: null};
	const downstream = new MemoryDownStream(films(1, {...unstable, validator: '"node1"'}));
	const screen = new Screen(t, downstream, {columns: 120, rows: 24});
	await screen.shows('film-0');
	await screen.press('\r');
	await screen.shows('its ETag changes from response to response, so bytes are compared');
	downstream.change({downloads: films(1, {...unstable, validator: 'Mon, 02 Nov 2026 00:00:00 GMT'})});
	await screen.shows('its date changes from response to response, so bytes are compared');
});

test('a changed file whose samples agree offers to go on', async t => {
	const error = {code: 'origin-changed', message: 'The file has changed', at: 1, bytesAgree: true} as const;
	const downstream = new MemoryDownStream(films(1, {status: 'failed', error, lastError: error}));
	const screen = new Screen(t, downstream, {columns: 80, rows: 24});
	await screen.shows('r = choose');
	await screen.press('r');
	await screen.shows('Samples of the 250 MiB we have agree');
	assert.match(screen.text, /\[ Go on \]/);
	await read();
	await screen.press('g');
	await screen.shows('going on from what is here');
	assert.deepEqual(downstream.calls, [['acceptChange', idOf(0)]]);
});
