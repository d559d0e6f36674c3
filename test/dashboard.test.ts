import assert from 'node:assert/strict';
import stringWidth from 'string-width';
import {DownStreamError, type Download} from '../source/downstream.ts';
import {blankPledge} from './support/blank-download.ts';
import {dashboardTest} from './support/dashboard-test.ts';
import {download, everyState, films, idOf} from './support/memory-downstream.ts';

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
		const name = `${columns}x${rows}${ascii ? ' in ASCII' : ''}: everything fits the screen`;
		dashboardTest(name, {columns, rows, ascii}, async (screen, downstream) => {
			for (const [what, downloads] of Object.entries(lists)) {
				downstream.change({downloads, banners: ['Disk full.', 'Port 8080 is taken by another program.']});
				await screen.shows(downloads.length === 0 ? 'Nothing here yet' : downloads[0]!.name.slice(0, 6));
				for (const [keys, sign] of [
					['', /\? help/],
					['enter', downloads.length === 0 ? /\? help/ : / File /],
					['?', /What do you want/],
				] as const) {
					const text = await screen.press(keys, sign);
					assert.match(
						screen.lines.at(-1)! + screen.lines.at(0)!,
						/\? help|What do you want/,
						`${what}: ${text}`,
					);
					for (const line of screen.lines) {
						assert.ok(stringWidth(line) < columns, `${what}: "${line}"`);
						if (ascii) {
							// File names may contain any character.
							assert.doesNotMatch(line.replaceAll(/[線形代数の基礎（完全版）👩�]/gu, ''), /[^ -~]/, what);
						}
					}
				}

				await screen.press('esc', {without: 'What do you want'});
				await screen.press('esc', /Progress|40x8|▸|^>|Nothing/m);
			}
		});
	}
}

const link = 'https://cdn.example.org/film.mkv';
let isAdded: (id: string) => void;
dashboardTest(
	'a list that waits for the downloads of the command line is not called empty, and shows them at once',
	{
		first: 'Adding…',
		added: new Promise<string>(resolve => {
			isAdded = resolve;
		}),
	},
	async (screen, downstream) => {
		await screen.wait(100);
		assert.doesNotMatch(screen.raw, /Nothing here yet/);
		const {download} = await downstream.add({url: link});
		isAdded(download.id);
		await screen.wait(50);
		assert.match(screen.text, /▸ ↓ film\.mkv/);
		assert.doesNotMatch(screen.raw, /Nothing here yet/);
	},
);

dashboardTest(
	'every state has a symbol and a word',
	{downloads: everyState(), columns: 120, rows: 40},
	async screen => {
		await screen.shows('on demand');
		const expected = [
			/▸ ↓ Big\.Buck\.Bunny.+x265-GROUP\.mkv .*┃.* ►1 +25\.0% +12\.4 MiB\/s +1m15s$/,
			/^ {2}… asking\.iso +0 B +connecting$/,
			/^ {2}‖ 線形代数の基礎（完全版）\.mp4 +█+[▉-▏]?·+[░▒▓]?█+[▉-▏]?·+ +25\.0% +paused$/,
			/^ {2}↓ live-recording\.ts +size unknown +250 MiB +12\.4 MiB\/s +–$/,
			/^ {2}✗ dataset-2026-part-003\.tar\.zst +█.··· +25\.0%  403 Forbidden: link expired\? +U new link$/,
			/^ {2}✓ podcast-ep-214\.mp3 +━+ +1000 MiB +done$/,
			/^ {2}· model-weights\.safetensors +queued, 1st of 1$/,
			/^ {2}~ waiting 👩\.bin +█.··· +25\.0%  connection reset +retry in \d+ s$/,
			/^ {2}– stopped\.bin .* stopped$/,
			/^ {2}» going-out\.bin .* 100% +export 62%$/,
			/^ {2}✓ empty\.txt .* 0 B +done$/,
			/^ {2}↓ stalled\.bin .* stalled \d+s/,
			/^ {2}↓ x+…x+\.mkv .* cannot seek +25\.0%/,
			/^ {2}· �\[2J�\]0;evil�gpj\.mkv .* on demand$/,
		];
		const first = screen.lines.findIndex(line => line.includes('Progress')) + 1;
		for (const [row, pattern] of expected.entries()) {
			assert.match(screen.lines[first + row]!, pattern);
		}

		for (const part of ['\u001B[2J�', 'evil\u0007', '\u202E']) {
			assert.ok(!screen.raw.includes(part), JSON.stringify(part));
		}
	},
);

const segments = [{start: 0, offset: 5, end: 1000, for: 'fill'}] as const;
const silent = {
	bytesPerSecond: 0,
	lastByteAt: Date.now() - 60_000,
	present: 10,
	ranges: [[0, 10]] as const,
};

dashboardTest(
	'a download that compares cached bytes is not called stalled',
	{downloads: films(1, {...silent, segments}), columns: 120, rows: 40},
	async (screen, downstream) => {
		await screen.shows(/film-0.* comparing /);
		downstream.change({downloads: films(1, {...silent, segments: [{...segments[0], offset: 10}]})});
		await screen.shows(/film-0.* stalled 6\ds /);
	},
);

dashboardTest(
	'a whole file whose record waits for the disk is called saving, not stalled',
	{
		downloads: films(1, {...silent, size: 10, segments: [], connections: 0}),
		columns: 120,
		rows: 40,
	},
	async screen => {
		await screen.shows(/film-0.* 100% +saving /);
		assert.match(screen.text, /── film-0\.mkv ─+ saving the last bytes ──/);
		assert.doesNotMatch(screen.text, /Fetching/);
	},
);

dashboardTest(
	'every state has its own symbol in ASCII',
	{downloads: everyState(), columns: 100, rows: 23, ascii: true},
	async screen => {
		const text = await screen.shows('on demand');
		for (const start of ['>  D', '   .', '   P', '   F', '   C', '   Q', '   ~', '   X', '   E']) {
			const pattern = start.replace(/^(.) {2}/, '$1 ').replaceAll('.', String.raw`\.`);
			assert.match(text, new RegExp(`^${pattern} `, 'm'));
		}
	},
);

dashboardTest(
	'keys in one read count one by one, and the selection stays visible',
	{downloads: films(100), columns: 80, rows: 15},
	async screen => {
		await screen.shows('▸ ↓ film-0.mkv');
		await screen.press('jjj', '▸ ↓ film-3.mkv');
		await screen.press('jjjjjjjjjjjjjjjjjjjj', '▸ ↓ film-23.mkv');
		await screen.press('k', '▸ ↓ film-22.mkv');
		await screen.press('G', '▸ ↓ film-99.mkv');
		await screen.press('g', '▸ ↓ film-0.mkv');
		await screen.press('pageDown', /▸ ↓ film-\d+/);
		await screen.press('pageUp', '▸ ↓ film-0.mkv');
	},
);

dashboardTest(
	'the selection follows its download, then moves to the next one on removal',
	{downloads: films(5, {present: 0, ranges: []}), columns: 80, rows: 15},
	async (screen, downstream) => {
		await screen.press('jj', '▸ ↓ film-2.mkv');
		downstream.change({downloads: downstream.snapshot.downloads.slice(1)});
		await screen.shows({without: 'film-0'});
		assert.match(screen.text, /▸ ↓ film-2\.mkv/);
		await screen.press('x', 'Removed film-2.mkv. u undoes it');
		await screen.shows('▸ ↓ film-3.mkv');
	},
);

dashboardTest(
	'pause, resume and retry act on the selected download',
	{
		downloads: [
			...films(1),
			download({id: idOf(1), name: 'paused.mkv', status: 'paused'}),
			download({id: idOf(2), name: 'complete.mkv', status: 'complete'}),
		],
		columns: 80,
		rows: 15,
	},
	async (screen, downstream) => {
		await screen.shows('complete.mkv');
		await screen.press(['p', 'j', 'p', 'r', 'j']);
		await screen.press('p', 'Already complete');
		await screen.press(['g', 'r'], 'Already running');
		downstream.change({downloads: films(1, {status: 'queued'})});
		await screen.shows('· film-0');
		await screen.press('r', 'Already queued (1st). K moves it up.');
		assert.deepEqual(downstream.calls, [
			['pause', idOf(0)],
			['resume', idOf(1)],
			['resume', idOf(1)],
		]);
	},
);

dashboardTest(
	'an error stays until the next key',
	{downloads: films(2), columns: 80, rows: 15},
	async (screen, downstream) => {
		downstream.failure = new DownStreamError('not-found', 'There is no such download.');
		await screen.press('p', 'There is no such download.');
		await screen.press('j', {without: 'There is no such download.'});
	},
);

const player = {
	id: '1',
	name: 'mpv \u001B[31m',
	offset: 0,
	ready: 1,
	readyMs: null,
	blocked: false,
	connected: true,
};

dashboardTest(
	'the remove dialog starts at Keep it and ignores keys before a person can read it',
	{downloads: films(3, {players: [player]}), columns: 80, rows: 24},
	async (screen, downstream) => {
		await screen.press('q', /mpv �\[31m is playing and will stop\./);
		await screen.press('esc', '▸ ↓ film-0.mkv');
		await screen.press('x', 'Remove this download?');
		assert.match(screen.text, /▸ Keep it/);
		assert.match(screen.text, /250 of 1000 MiB downloaded/);
		assert.match(screen.text, /mpv �\[31m is playing it and will stop/);
		await screen.press(['D', 'enter']);
		await screen.read();
		assert.match(screen.text, /Remove this download\?/);
		await screen.press('enter', '▸ ↓ film-0.mkv');
		assert.deepEqual(downstream.calls, []);

		await screen.press('x', 'Remove this download?');
		await screen.answer('tab', '▸ Remove from the list');
		await screen.press('enter', 'Removed film-0.mkv; the data is kept. u undoes it');
		await screen.press('x', 'Remove this download?');
		await screen.answer('D', 'Removed film-1.mkv. u undoes it (10 s)');
		await screen.shows('Removed film-1.mkv. u undoes it (9 s)');
		assert.deepEqual(downstream.calls, [
			['remove', idOf(0), 'keep'],
			['remove', idOf(1), 'delete'],
		]);
		await screen.press('u', 'film-1.mkv is back');
		await screen.press('u', 'Nothing to undo');
	},
);

dashboardTest(
	'a dialog over the details leads back to them',
	{downloads: films(2), columns: 80, rows: 24},
	async screen => {
		await screen.press('enter', 'Map ');
		for (const [key, sign] of [
			['x', 'Remove this download?'],
			['e', 'Export film-0.mkv'],
			['a', 'Add downloads'],
			['?', 'What do you want'],
			['L', 'Messages'],
			['t', 'Speed limit'],
			['U', 'New link for film-0.mkv'],
			['s', 'Sort by'],
			['q', 'Quit?'],
		] as const) {
			await screen.press(key, sign);
			await screen.press('esc', 'Map ');
		}

		await screen.press('esc', '▸ ↓ film-0.mkv');
	},
);

dashboardTest(
	'a paste fills in the add dialog, and Enter adds its valid URLs',
	{columns: 80, rows: 24},
	async (screen, downstream) => {
		downstream.known.add('http://127.0.0.1/b.mkv');
		await screen.paste('http://127.0.0.1/a.mkv\nhttp://127.0.0.1/b.mkv\nhtps://typo/q\n', '2 links');
		await screen.shows('! "htps" is not http or https');
		await screen.answer('enter', '! "htps" is not http or https');
		await screen.shows({without: 'links'});
		assert.deepEqual(downstream.calls, [
			['add', 'http://127.0.0.1/a.mkv'],
			['add', 'http://127.0.0.1/b.mkv'],
		]);
		await screen.press('esc', '▸ ↓ a.mkv');
	},
);

dashboardTest(
	'a known URL is reported, and a paste needs no bracketed paste mode',
	{downloads: films(1), columns: 80, rows: 24},
	async (screen, downstream) => {
		downstream.known.add('http://127.0.0.1/qxd');
		await screen.press('http://127.0.0.1/qxd\r', '1 link');
		await screen.answer('enter', 'Already in the list: qxd');
		assert.equal(screen.hasQuit, false);
	},
);

dashboardTest(
	'a text field takes letters that are commands elsewhere, and keeps its draft',
	{downloads: films(1), columns: 80, rows: 24},
	async (screen, downstream) => {
		await screen.press('a', /URLs +links, or a curl, wget, aria2c or PowerShell command/);
		await screen.type('jkqx?', 'jkqx?');
		await screen.press('enter');
		await screen.answer('enter', 'Not a link: "jkqx?"');
		await screen.press('backspace', /URLs +jkqx /);
		await screen.press('esc', '▸ ↓ film-0.mkv');
		await screen.press(['backspace', 'a'], /URLs +jkqx /);
		assert.deepEqual(downstream.calls, []);
	},
);

dashboardTest(
	'the export dialog asks for a target, then about an existing file',
	{downloads: films(1, {status: 'complete'}), columns: 80, rows: 24},
	async (screen, downstream) => {
		await screen.press('e', '/home/user/Videos/film-0.mkv');
		await screen.read();
		downstream.failure = new DownStreamError('target-exists', 'A file of this name is there.');
		await screen.press('enter', '(•) keep both');
		await screen.answer('enter', 'Exported to /home/user/Videos/film-0.mkv');
		const path = '/home/user/Videos/';
		assert.deepEqual(downstream.calls, [
			['export', idOf(0), {path, when: 'complete'}],
			['export', idOf(0), {path, when: 'complete', keepBoth: true}],
		]);
	},
);

dashboardTest(
	'a failed export keeps the typed path',
	{downloads: films(1), columns: 80, rows: 24},
	async (screen, downstream) => {
		await screen.press('e', 'when complete (250 of 1000 MiB now)');
		await screen.answer('!');
		downstream.failure = new DownStreamError('disk-failed', 'Permission denied.');
		await screen.press('enter', '! Permission denied.');
		assert.match(screen.text, /film-0\.mkv!/);
	},
);

const messages = {
	copied: 'Copied the stream URL',
	sent: "Sent the stream URL to the terminal's clipboard (v shows it)",
	none: 'No clipboard available',
} as const;
const secret = 'https://cdn.example.org/film.mkv?token=abcdef';
const [secretFilm] = films(1, {url: secret});

for (const clipboard of ['copied', 'sent', 'none'] as const) {
	dashboardTest(
		`c reports the result of copying, no more: ${clipboard}`,
		{downloads: [secretFilm!], columns: 80, rows: 24, clipboard},
		async screen => {
			await screen.press('c', messages[clipboard]);
			await screen.press(['esc', 'enter'], 'token=•••');
			await screen.press('C', () => screen.copied.length === 2);
			assert.deepEqual(screen.copied, [secretFilm!.streamUrl, secret]);
		},
	);
}

dashboardTest(
	'q quits at once if it interrupts nothing',
	{downloads: films(2, {status: 'paused'}), columns: 80, rows: 24},
	async screen => {
		await screen.press('q', () => screen.hasQuit);
	},
);

dashboardTest(
	'Ctrl+C asks before it interrupts downloads, and a second one quits',
	{downloads: films(2), columns: 80, rows: 24},
	async screen => {
		await screen.press('ctrl+c', '2 downloads are running.');
		assert.match(screen.text, /▸\[ Stay \]/);
		await screen.press('q');
		await screen.read();
		assert.equal(screen.hasQuit, false);
		await screen.press('ctrl+c', () => screen.hasQuit);
	},
);

dashboardTest(
	'a paused download with a pledge to fetch is running',
	{
		downloads: films(2, {status: 'paused'}).map((film, index) => ({
			...film,
			pledges: [{...blankPledge, state: index === 0 ? 'pending' : 'safe'}],
		})),
	},
	async screen => {
		await screen.press('q', '1 download is running.');
	},
);

dashboardTest(
	'details show the pledge that is due first, and count the others',
	{
		downloads: films(1, {
			pledges: [
				{...blankPledge, fromMs: 0, toMs: 600_000},
				{...blankPledge, n: 2, fromMs: 0, toMs: 60_000, by: Date.now()},
			],
		}),
	},
	async screen => {
		await screen.press('enter', / Safe +0:00–1:00 to be made safe, and 1 more/);
	},
);

dashboardTest(
	'a screen that is too small says so and still quits',
	{downloads: films(2), columns: 38, rows: 6, first: '38x6: too small'},
	async screen => {
		await screen.press(['x', 'q'], 'Quit?');
		assert.match(screen.text, /Downloads stop now and continue next\ntime\./);
		await screen.press('esc', '38x6: too small');
		await screen.press('q', 'Quit?');
		await screen.answer('q', () => screen.hasQuit);
	},
);

dashboardTest(
	'a resized screen equals a screen drawn at that size',
	{downloads: films(30, {lastByteAt: null}), columns: 120, rows: 40},
	async screen => {
		for (const [columns, rows] of [
			[60, 15],
			[100, 30],
			[40, 8],
			[80, 24],
			[80, 12],
			[120, 40],
		] as const) {
			const text = await screen.another({columns, rows}).shows(/\? help/);
			screen.resize(columns, rows);
			await screen.shows(() => screen.text === text);
		}
	},
);

dashboardTest(
	'Ctrl+L redraws the whole screen',
	{downloads: films(2), columns: 80, rows: 24},
	async screen => {
		await screen.wait(100);
		const before = await screen.shows(/\? help/);
		screen.disturb('\u001B[5;1Hrubbish\u001B[24;1H');
		await screen.wait(20);
		assert.notEqual(screen.text, before);
		await screen.press('ctrl+l', () => screen.text === before);
	},
);

dashboardTest(
	'an idle dashboard writes nothing and removes its listeners at the end',
	{downloads: films(10, {status: 'paused'}), columns: 120, rows: 40},
	async (screen, downstream) => {
		await screen.wait(300);
		const {written} = screen;
		downstream.change({});
		await screen.wait(600);
		assert.equal(screen.written, written);
		screen.end();
		assert.equal(downstream.listeners, 0);
	},
);

dashboardTest(
	'many changes make few frames',
	{downloads: films(3), columns: 80, rows: 24},
	async (screen, downstream) => {
		const shown = new Set<string>();
		for (let percent = 1; percent <= 90; percent++) {
			const present = percent * 10 * 1024 * 1024;
			downstream.change({downloads: films(3, {present, ranges: [[0, present]]})});
			await screen.wait(10);
			shown.add(/(\d+\.\d)%/.exec(screen.text)![1]!);
		}

		await screen.shows('90.0%');
		assert.ok(shown.size <= 30, `${shown.size} different frames for 90 changes`);
	},
);
