import assert from 'node:assert/strict';
import {mock, test} from 'node:test';
import {wrapped} from '../source/dashboard/dialog-view.tsx';
import {costWords} from '../source/dashboard/dialogs/safe.ts';
import {DownStreamError, type Download} from '../source/downstream.ts';
import {blankPledge} from './support/blank-download.ts';
import {dashboardTest} from './support/dashboard-test.ts';
import {download, everyState, films, idOf, type MemoryDownStream} from './support/memory-downstream.ts';

const MiB = 1024 * 1024;
const id = '0'.repeat(32);
const filmOfTenMinutes = {
	durationMs: 600_000,
	exact: true,
	indexBytes: 1,
	indexOffset: 0,
	tracks: [],
	playable: [],
	position: 0,
	watchTo: null,
	forecastRate: 0,
	stallAt: null,
	waitMs: null,
	neededRate: 0,
};
const film = (change: Partial<Download> = {}) => download({id, name: 'film.mkv', ...change});

dashboardTest(
	'a pasted curl command fills in headers, agent and proxy without showing secrets',
	{},
	async (screen, downstream) => {
		await screen.paste(
			"curl 'https://cdn.example.org/v/film.mkv' -H 'Authorization: Bearer secret1' -b 'session=secret2' -A Agent/1 -x socks5h://me:secret3@127.0.0.1:1080",
		);
		await screen.shows(/User agent +Agent\/1/);
		assert.match(screen.text, /Headers +Authorization: •+ •+/);
		assert.match(screen.text, /Proxy +socks5h:\/\/\*\*\*@127\.0\.0\.1:1080/);
		assert.match(screen.text, /1 link/);
		await screen.answer('enter', 'Added film.mkv. o plays it now, c copies its stream URL');
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
	},
);

dashboardTest('pasted options stay, and count, while they are hidden', {}, async (screen, downstream) => {
	await screen.paste(
		"curl http://127.0.0.1/a.mkv -H 'X-Key: abc' -b session=1 -A Agent/1",
		/User agent +Agent\/1/,
	);
	await screen.read();
	await screen.click('Fewer options', {without: 'Agent/1'});
	await screen.click('More options', /User agent +Agent\/1/);
	assert.match(screen.text, /Headers +X-Key: •••.*\n.* Cookie: •+/);
	await screen.click('Fewer options', {without: 'Agent/1'});
	// The draft holds it too.
	await screen.press('esc', 'Nothing here yet');
	await screen.press('a', '1 link');
	await screen.answer('enter', 'Added a.mkv. o plays it now, c copies its stream URL');
	assert.deepEqual(downstream.calls, [
		['add', 'http://127.0.0.1/a.mkv', {headers: {'X-Key': 'abc', Cookie: 'session=1'}, userAgent: 'Agent/1'}],
	]);
});

dashboardTest(
	'choices add fields, and an invalid value is reported before anything is added',
	{},
	async (screen, downstream) => {
		await screen.press('a');
		await screen.type('http://127.0.0.1/a.mkv', 'Save as');
		assert.doesNotMatch(screen.text, /Headers/);
		await screen.press(['tab', 'tab', 'right', 'tab', 'tab']);
		await screen.answer('enter', 'Headers');
		assert.match(screen.text, /\(•\) paused/);
		await screen.type('X-Key: abc', /Headers +X-Key: •••/);
		await screen.press(['tab', 'tab', 'tab', 'tab']);
		await screen.type('17');
		await screen.answer('enter', 'Connections must be a whole number');
		assert.deepEqual(downstream.calls, []);
		await screen.press('backspace');
		downstream.failure = new DownStreamError('bad-request', 'checksum is "x"; it must be sha256 and digits');
		await screen.press('enter', 'checksum is "x"');
		await screen.answer('enter', 'Added a.mkv. o plays it now, c copies its stream URL');
		assert.deepEqual(downstream.calls.at(-1), [
			'add',
			'http://127.0.0.1/a.mkv',
			{headers: {'X-Key': 'abc'}, connections: 1, paused: true},
		]);
	},
);

dashboardTest(
	'h j k l move between buttons, and only r and a capital D remove',
	{downloads: films(1)},
	async (screen, downstream) => {
		await screen.press('x', '▸ Keep it');
		await screen.shows('↑↓ or j k');
		await screen.read();
		await screen.press(['k', 'k', 'j'], '▸ Remove from the list');
		await screen.press(['l', 'l', 'l'], '▸ Remove and delete the file');
		await screen.press(['h', 'up'], '▸ Keep it');
		await screen.press('shift+tab', '▸ Remove and delete the file');
		await screen.press('d');
		assert.match(screen.text, /Remove this download\?/);
		assert.deepEqual(downstream.calls, []);
		await screen.press('D', 'Removed film-0.mkv');
		assert.deepEqual(downstream.calls, [['remove', idOf(0), 'delete']]);
	},
);

dashboardTest(
	'letters in one read move the cursor and open no dialog',
	{downloads: films(5)},
	async screen => {
		await screen.press('jjkjkj', '▸ ↓ film-2.mkv');
		assert.doesNotMatch(screen.text, /Add downloads/);
	},
);

dashboardTest('Esc and a letter in one read close a dialog', {downloads: films(2)}, async screen => {
	await screen.press('U', 'New link');
	await screen.press('\u001Bp', {without: 'New link'});
});

dashboardTest('only a part of a huge pasted text is examined for the screen', {}, async screen => {
	const {mock: counted} = mock.method(Intl.Segmenter.prototype, 'segment');
	try {
		for (const text of ['é'.repeat(20_000), 'é '.repeat(10_000), `${'é'.repeat(20_000)}://x/`]) {
			await screen.paste(text, /Not a link|is not http/);
			await screen.press(['x', 'left', 'right', 'backspace', 'home', 'right', 'x', 'end']);
			await screen.press(['esc', 'a', 'ctrl+u', 'esc'], 'Nothing here yet');
			for (const search of ['/', '?']) {
				await screen.press(search);
				await screen.paste(text);
				await screen.press(['x', 'left', 'ctrl+u', 'esc', 'esc'], 'Nothing here yet');
			}
		}
	} finally {
		counted.restore();
	}

	const longest = Math.max(...counted.calls.map(({arguments: [text]}) => text.length));
	assert.ok(longest > 0 && longest < 3000, `${longest} UTF-16 units`);
});

dashboardTest('a paste takes the links and drops the words around them', {}, async (screen, downstream) => {
	await screen.paste(
		'see this https://a.example/1.mkv (or http://b.example/2.mkv).',
		'2 links in the pasted text',
	);
	assert.doesNotMatch(screen.text, /see|Not a link/);
	await screen.press('esc', {without: 'Add downloads'});
	await screen.paste('http://b.example/2.mkv http://b.example/2.mkv', '1 link');
	assert.doesNotMatch(screen.text, /a\.example|in the pasted text/);
	await screen.paste('http://c.example/3.mkv', '2 links');
	await screen.answer('enter', 'Added 2');
	assert.deepEqual(downstream.calls, [
		['add', 'http://b.example/2.mkv'],
		['add', 'http://c.example/3.mkv'],
	]);
});

dashboardTest(
	'Tab completes the common start of all paths, then moves on',
	{downloads: [film({status: 'complete'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press('e', '/home/user/Videos/film.mkv');
		await screen.press('ctrl+u');
		await screen.type('/home/u');
		await screen.press('tab', '/home/user/Video');
		await screen.shows('Tab: Videos/  Video-projects/');
		await screen.type('s', {without: 'Tab: Videos'});
		await screen.press('tab', '/home/user/Videos/');
		await screen.press(['tab', 'right'], '(•) move');
		await screen.answer('enter', 'Exported to /home/user/Videos/');
		assert.deepEqual(downstream.calls, [
			['export', id, {path: '/home/user/Videos/', when: 'complete', move: true}],
		]);
	},
);

dashboardTest(
	'an existing file offers keep both or replace, and the button says Replace',
	{downloads: [film({status: 'complete'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press('e', 'Export film.mkv');
		await screen.read();
		downstream.failure = new DownStreamError('target-exists', 'A file of this name is there.');
		await screen.press('enter', '(•) keep both   ( ) replace it (1.90 GiB, 2026-11-02)');
		await screen.press('right', '[ Replace ]');
		await screen.shows('(•) replace it (1.90 GiB, 2026-11-02)');
		await screen.press('enter', 'Exported to');
		assert.deepEqual(downstream.calls.at(-1), [
			'export',
			id,
			{path: '/home/user/Videos/', when: 'complete', overwrite: true},
		]);
	},
);

dashboardTest(
	'Tab lists completions without a common start before it moves on',
	{downloads: [film({status: 'complete'})], columns: 100, rows: 24},
	async screen => {
		await screen.press('e', 'Export film.mkv');
		await screen.press('ctrl+u');
		await screen.type('/home/user/Video');
		await screen.press('tab', 'Tab: Videos/  Video-projects/');
		await screen.press(['tab', 'right'], '(•) move');
	},
);

dashboardTest(
	'several downloads go to a folder, each once, even if one meets an existing file',
	{downloads: films(3, {status: 'complete'}), columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press(['*', 'e'], 'Export 3 downloads');
		await screen.press('ctrl+u');
		await screen.type('/films');
		await screen.read();
		const place = downstream.export.bind(downstream);
		downstream.export = async (exported, request) => {
			if (exported === idOf(1)) {
				downstream.failure ??= request.keepBoth ? undefined : new DownStreamError('target-exists', 'There.');
			}

			return place(exported, request);
		};
		await screen.press('enter', '(•) keep both');
		await screen.press('enter', 'Exported to /films/');
		assert.deepEqual(downstream.calls, [
			['export', idOf(0), {path: '/films/', when: 'complete'}],
			['export', idOf(1), {path: '/films/', when: 'complete'}],
			['export', idOf(1), {path: '/films/', when: 'complete', keepBoth: true}],
			['export', idOf(2), {path: '/films/', when: 'complete', keepBoth: true}],
		]);
	},
);

dashboardTest(
	'the choice for an existing file does not hold for another name',
	{downloads: [film({status: 'complete'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press('e', 'Export film.mkv');
		await screen.read();
		downstream.failure = new DownStreamError('target-exists', 'A file of this name is there.');
		await screen.press('enter', '(•) keep both');
		await screen.press('right', '[ Replace ]');
		await screen.press(['up', 'up', '2'], 'film.mkv2');
		assert.match(await screen.shows('[ Export ]'), /^(?![^]*keep both)/);
		await screen.press('enter', 'Exported to');
		assert.deepEqual(downstream.calls.at(-1), [
			'export',
			id,
			{path: '/home/user/Videos/film.mkv2', when: 'complete'},
		]);
	},
);

dashboardTest(
	'the error about a value stays until the value changes',
	{downloads: [film()], columns: 100, rows: 24},
	async screen => {
		await screen.press('t');
		await screen.type('5x');
		await screen.answer('enter', '"5x" is not a speed');
		await screen.press('tab', '"5x" is not a speed');
		await screen.press(['shift+tab', 'backspace'], {without: 'is not a speed'});
	},
);

dashboardTest(
	'a late answer of a closed dialog leaves the next dialog alone',
	{downloads: [film({status: 'complete'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		let refuse: (error: Error) => void = () => undefined;
		downstream.export = () =>
			new Promise((_resolve, reject) => {
				refuse = reject;
			});
		await screen.press('e', 'Export film.mkv');
		await screen.answer('enter');
		await screen.press('esc', '? help');
		await screen.press('x', 'Remove this download?');
		refuse(new DownStreamError('disk-failed', 'Permission denied.'));
		await screen.read();
		assert.match(screen.text, /Remove this download\?/);
		await screen.press('esc', '? help');
		await screen.press('L', 'Permission denied.');
	},
);

dashboardTest(
	'a long export continues without its dialog',
	{downloads: [film({status: 'complete'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		let finish: (result: {path: string}) => void = () => undefined;
		downstream.export = () =>
			new Promise(resolve => {
				finish = resolve;
			});
		await screen.press('e', 'Export film.mkv');
		await screen.answer('enter', '? help');
		finish({path: '/home/user/Videos/film.mkv'});
		await screen.shows('Exported to /home/user/Videos/film.mkv');
	},
);

dashboardTest(
	'a partial file is exported with zeros in its gaps',
	{downloads: [film()], columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press('e', '(•) when complete (250 of 1000 MiB now)');
		await screen.press(['down', 'space'], '(•) now, gaps filled with zeros');
		await screen.answer('enter', 'Exported to');
		assert.deepEqual(downstream.calls, [
			['export', id, {path: '/home/user/Videos/', when: 'now', partial: true}],
		]);
	},
);

dashboardTest(
	'text typed or pasted on a choice changes no field and presses no button',
	{downloads: [film({status: 'complete'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press('e', /To +\/home\/user\/Videos\/film\.mkv/);
		await screen.press('tab', '(•) copy');
		await screen.press('right', '(•) move');
		await screen.read();
		await screen.type('/films/hello');
		await screen.press('/elsewhere/some/films/');
		await screen.paste('/pasted/films/');
		await screen.press('left', '(•) copy');
		assert.match(screen.text, /To +\/home\/user\/Videos\/film\.mkv +│/);
		assert.deepEqual(downstream.calls, []);
		await screen.press('space', '(•) move');
		await screen.press('enter', 'Exported to');
		assert.equal(downstream.calls.length, 1);
	},
);

dashboardTest(
	'arrows stay within a choice below each other, and Tab leaves it',
	{downloads: [film()], columns: 100, rows: 24},
	async screen => {
		await screen.press('e', '(•) when complete');
		await screen.press(['down', 'down'], '(•) now, gaps filled with zeros');
		await screen.press('up', '(•) when complete');
		await screen.press('up', '(•) now, gaps filled with zeros');
		await screen.press(['tab', 'right'], '(•) move');
		await screen.press(['shift+tab', 'down'], '(•) when complete');
		// Beside each other, they leave the vertical arrows to the fields.
		await screen.press(['tab', 'up', 'down'], '(•) now, gaps filled with zeros');
		assert.match(screen.text, /\(•\) move/);
	},
);

dashboardTest(
	'the dialog proposes no more minutes than the film has left, and typing replaces the proposal',
	{
		downloads: [
			film({
				film: {...filmOfTenMinutes, durationMs: 600_021, position: 2.5 * 60_000},
				position: {ms: 2.5 * 60_000, at: 0, watched: false, exact: true},
			}),
		],
		columns: 100,
		rows: 24,
	},
	async (screen, downstream) => {
		await screen.press('w', /Amount +7m30s +│\n.* From +2:30 +│/);
		await screen.type('3m', /Amount +3m +│/);
		await screen.press(['tab', 'right'], /From +2:30/);
		await screen.type('0', /From +2:300 +│/);
		await screen.press(['backspace', 'shift+tab', 'shift+tab', 'right'], {without: 'Amount'});
		assert.doesNotMatch(screen.text, /From/);
		await screen.press('left', /Amount +3m +│\n.* From +2:30 +│/);
		await screen.answer('enter', 'to be made safe');
		const made = downstream.calls.findLast(([name]) => name === 'makeSafe');
		assert.deepEqual(made, ['makeSafe', id, {forMs: 180_000, fromMs: 150_000}]);
	},
);

dashboardTest(
	'the speed limit applies to all downloads or to one',
	{downloads: [film()], columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press('t', 'all downloads (now no limit)');
		assert.match(screen.text, /Lasts until you quit\. To keep it, use --limit-rate\./);
		await screen.answer('enter', 'No speed yet. Try 500K');
		await screen.type('5x');
		await screen.answer('enter', '"5x" is not a speed');
		await screen.press('backspace');
		await screen.type('M');
		await screen.press('enter', 'All downloads: limited to 5.00 MiB/s');
		await screen.shows(', limit 5.00 MiB/s');
		await screen.press('t');
		await screen.type('0');
		await screen.press(['tab', 'space'], '(•) film.mkv (now no limit)');
		await screen.shows('Saved with the download.');
		await screen.answer('enter', 'film.mkv: no limit');
		assert.deepEqual(downstream.calls, [
			['setLimitRate', 5 * 1024 * 1024],
			['update', id, {limitRate: null}],
		]);
	},
);

dashboardTest(
	'a new link is accepted or refused with a reason, and the typed text stays',
	{downloads: [film({url: 'http://127.0.0.1/old'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press('U', /URL +http:\/\/127\.0\.0\.1\/old/);
		await screen.paste('http://127.0.0.1/new', /URL +http:\/\/127\.0\.0\.1\/new +│/);
		await screen.press(['esc', 'U'], /URL +http:\/\/127\.0\.0\.1\/old/);
		await screen.press('right');
		await screen.type('2');
		await screen.read();
		downstream.failure = new DownStreamError('origin-changed', 'It has 5 bytes there and 6 here.');
		await screen.press('enter', '! It has 5 bytes there and 6 here.');
		await screen.press('enter', 'Same file: continuing from 25.0%');
		assert.deepEqual(downstream.calls.at(-1), ['update', id, {url: 'http://127.0.0.1/old2'}]);
		downstream.change({downloads: [film({present: 0, ranges: [], url: 'http://127.0.0.1/old'})]});
		await screen.shows(' 0%');
		await screen.press('U', 'New link for film.mkv');
		assert.doesNotMatch(screen.text, /Keeps the downloaded data/);
		await screen.answer('enter', 'The link is set');
	},
);

for (const [columns, rows] of [
	[40, 8],
	[60, 15],
	[80, 24],
	[200, 60],
] as const) {
	for (const ascii of [false, true]) {
		dashboardTest(
			`${columns}x${rows}${ascii ? ' in ASCII' : ''}: every dialog fits and shows its focus and buttons`,
			{downloads: everyState(), columns, rows, ascii, first: '? help'},
			async screen => {
				for (const [key, title, button] of [
					['a', 'Add downloads', 'Close ]'],
					['x', 'Remove this download?', 'Keep it'],
					['e', 'Export Big', 'Export ]'],
					['t', 'Speed limit', 'Set ]'],
					['U', 'New link', 'Set link ]'],
					['s', 'Sort by', 'Added'],
					['q', 'Quit?', 'Stay ]'],
				] as const) {
					await screen.press(key, title);
					const text = await screen.shows(button);
					assert.ok(
						screen.lines.every(line => line.length < columns || /[線形（]/.test(line)),
						text,
					);
					if (ascii) {
						assert.doesNotMatch(text, /[╭╮╰╯│─▸•…←→]/, text);
					}

					await screen.press('esc', '? help');
				}
			},
		);
	}
}

dashboardTest(
	'after any keys, sizes and snapshots the screen equals a redrawn one',
	{downloads: everyState()},
	async (screen, downstream) => {
		let seed = 7;
		const random = (below: number) => {
			seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
			return seed % below;
		};
		await screen.shows('? help');
		const keys = [...Array.from('jkGg1235SsaxbL?/'), ...['space', 'enter', 'esc', 'tab']];
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

			// A frame follows a change within half a second; messages stay longer.
			await screen.wait(520);
			const before = screen.text;
			// Text fields and pages take Ctrl+L for a key of their own.
			if (!before.includes('Add downloads') && !before.includes('/ find')) {
				await screen.press('ctrl+l');
				await screen.wait(120);
				assert.equal(withoutTimes(screen.text), withoutTimes(before), `round ${round}`);
			}
		}
	},
);

function withoutTimes(text: string): string {
	return text.replaceAll(/(?:retry in \d+ s|stalled \d+s)/g, '');
}

dashboardTest(
	'w makes minutes safe, and shows their cost',
	{downloads: [film(), download({id: idOf(1), name: 'next.mkv'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press('w', 'Fetches 412 MiB, about');
		await screen.shows(/Make safe: film\.mkv/);
		await screen.type('45');
		await screen.answer('enter', '"45": write 45m or 1h30m, 200M, or all');
		await screen.type('m');
		await screen.press('enter', 'film.mkv: to be made safe');
		assert.deepEqual(made(downstream), [['makeSafe', id, {forMs: 45 * 60_000}]]);
	},
);

test('the cost of a pledge is at the rate of its download, else at that of all', () => {
	const pledge = {...blankPledge, missing: 10 * MiB};
	assert.equal(costWords({...pledge, etaAt: 41_000}, 4 * MiB, 1000), 'Fetches 10.0 MiB, about 40s');
	assert.equal(costWords(pledge, 4 * MiB, 1000), 'Fetches 10.0 MiB, about 3s');
	assert.equal(
		costWords({...pledge, etaAt: 41_000, by: 21_000}, 4 * MiB, 1000),
		'Fetches 10.0 MiB, about 40s; needs 512 KiB/s of your 256 KiB/s',
	);
});

/** The calls of `makeSafe` that change something. */
function made({calls}: MemoryDownStream): unknown[][] {
	return calls.filter(([name, , request]) => name === 'makeSafe' && !(request as {dryRun?: boolean}).dryRun);
}

const pledged = {...blankPledge, n: 3, fromMs: 0, toMs: 120_000} as const;
dashboardTest(
	'W asks before it makes every start safe, shows the cost, and stops keeping them',
	{downloads: [film(), download({id: idOf(1), name: 'next.mkv'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.press('W', /Fetches 824 MiB, about \d+s; 41\.2 GiB are free/);
		assert.deepEqual(made(downstream), []);
		assert.doesNotMatch(screen.text, /Stop keeping/);
		await screen.answer('esc', {without: 'Make the starts of 2 downloads safe'});
		assert.deepEqual(made(downstream), []);

		await screen.press('W', 'Fetches 824 MiB');
		await screen.type('45');
		await screen.answer('enter', 'First "45": write 45m or 1h30m, 200M, or all');
		await screen.press('ctrl+u');
		await screen.type('2m');
		await screen.press('enter', 'Fetching the first 2m of both downloads before everything else. W stops it');
		const start = {from: 'start', forMs: 120_000, orBytes: 8 * 1024 * 1024};
		assert.deepEqual(made(downstream), [
			['makeSafe', id, start],
			['makeSafe', idOf(1), start],
		]);

		const [first, next] = downstream.snapshot.downloads;
		downstream.change({downloads: [first!, {...next!, pledges: [pledged]}]});
		await screen.wait(600);
		await screen.press('W', '1 download is kept safe now.');
		await screen.press('tab');
		await screen.answer('s', '1 download no longer kept safe; the data stays');
		assert.deepEqual(downstream.calls.at(-1), ['lift', idOf(1), 3]);
	},
);

dashboardTest(
	'W reports failures, and a disk without room for all',
	{downloads: [film(), download({id: idOf(1), name: 'next.mkv'})], columns: 100, rows: 24},
	async (screen, downstream) => {
		downstream.change({freeBytes: 500 * 1024 * 1024});
		await screen.shows('500 MiB free');
		await screen.press('W', 'Fetches 824 MiB, but only 500 MiB are free');
		await screen.press('esc', {without: 'Make the starts'});
		const makeSafe = downstream.makeSafe.bind(downstream);
		downstream.makeSafe = async (each, request) => {
			if (each === id) {
				throw new DownStreamError('bad-request', 'It is broken');
			}

			return makeSafe(each, request);
		};
		await screen.press('W', 'Fetches at least 412 MiB, about');
		await screen.answer('enter', 'Fetching the first 2m of 1 of 2 downloads. film.mkv: It is broken');
	},
);

dashboardTest(
	'a screen in ASCII shows the flag of a pledge in ASCII',
	{downloads: films(1), ascii: true},
	async (screen, downstream) => {
		const pledge = {...blankPledge, missing: 0, fromMs: 60_000, toMs: 120_000, state: 'safe'} as const;
		downstream.makeSafe = async () => pledge;
		await screen.press('w', 'Make safe: film-0.mkv');
		await screen.answer('enter', 'film-0.mkv: ! safe 1:00-2:00');
		await screen.press('L', /film-0\.mkv: ! safe 1:00-2:00$/m);
	},
);

test('a line breaks between words, never before a unit', () => {
	assert.deepEqual(wrapped('from 39.6 and 39.8 MiB', 20), ['from 39.6 and', '39.8 MiB']);
	assert.deepEqual(wrapped('at 256 KiB/s it plays', 9), ['at', '256 KiB/s', 'it plays']);
	assert.deepEqual(wrapped('a BBC film', 5), ['a BBC', 'film']);
});
