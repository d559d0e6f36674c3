import assert from 'node:assert/strict';
import {DownStreamError} from '../source/downstream.ts';
import {groups, keyTable, playerTable} from '../source/dashboard/keys.ts';
import {formatClock} from '../source/text/format.ts';
import {blankPledge} from './support/blank-download.ts';
import {dashboardTest} from './support/dashboard-test.ts';
import {download, everyState, films, idOf} from './support/memory-downstream.ts';

const player = {
	id: '1',
	name: 'mpv 0.38',
	offset: 500,
	ready: 1024,
	readyMs: null,
	blocked: false,
	connected: true,
};

dashboardTest(
	'a tab lists one state and keeps the selection',
	{downloads: everyState(), columns: 120, rows: 40},
	async screen => {
		await screen.shows(/\[1 all 14\] 2 running 7 {2}3 queued 2 {2}4 paused 2 {2}5 done 2 {2}6 failed 1/);
		await screen.press('6', '[6 failed 1]');
		assert.match(screen.text, /▸ ✗ dataset/);
		assert.doesNotMatch(screen.text, /Big\.Buck/);
		await screen.press('1', '[1 all 14]');
		assert.match(screen.text, /▸ ✗ dataset/);
		await screen.press('4', /▸ ‖ 線形/);
	},
);

dashboardTest(
	'a long list shows its position and a scrollbar',
	{downloads: films(100), columns: 80, rows: 20},
	async screen => {
		await screen.shows('1/100  by: added');
		const thumb = () => screen.lines.findIndex(line => line.endsWith('▐'));
		const first = thumb();
		await screen.press('G', '100/100');
		assert.ok(thumb() > first);
		await screen.press('6', '[6 failed 0]');
		assert.doesNotMatch(screen.text, /▐|paused|100\/100/);
	},
);

dashboardTest('Tab and Shift+Tab go through the tabs with downloads', {downloads: films(2)}, async screen => {
	await screen.press('tab', '[2 running 2]');
	await screen.press('tab', '[1 all 2]');
	await screen.press('shift+tab', '[2 running 2]');
});

dashboardTest(
	'details say that they continue below the screen',
	{downloads: films(1), columns: 60, rows: 15},
	async screen => {
		await screen.press('enter', /↓ \d+ more lines/);
		await screen.press(Array.from('jjjjjjjjjjjjj'), {without: 'more lines'});
		assert.match(screen.text, /Map/);
	},
);

dashboardTest('a dialog covers the list', {downloads: films(2), columns: 100, rows: 30}, async screen => {
	const text = await screen.press('x', 'Remove this download?');
	assert.match(text, /film-1\.mkv/);
	assert.match(text, /Stream +http/);
});

dashboardTest(
	'the docked details of a small screen show the stream URL and no empty facts',
	{downloads: films(1), columns: 80, rows: 24},
	async screen => {
		await screen.shows(/Stream +http:\/\/127\.0\.0\.1:8080\/stream\//);
		assert.doesNotMatch(screen.text, /Error/);
	},
);

dashboardTest('an empty tab or filter keeps the selection', {downloads: films(3)}, async screen => {
	await screen.press('G', '▸ ↓ film-2.mkv');
	await screen.press('4', '[4 paused 0]');
	await screen.press(['j', '1'], '[1 all 3]');
	assert.match(screen.text, /▸ ↓ film-2\.mkv/);
	await screen.press(['/', 'q'], 'No matches. Esc clears the filter.');
	await screen.press('esc', 'by: added');
	assert.match(screen.text, /▸ ↓ film-2\.mkv/);
});

dashboardTest(
	'a filter applies during typing; Enter keeps it, Esc clears it',
	{downloads: films(30)},
	async screen => {
		await screen.press('/', /^ \/$/m);
		await screen.type('m-2q', 'No matches. Esc clears the filter.');
		await screen.press('backspace', /filter: m-2 \(11 of 30\)/);
		await screen.press('enter', '? help');
		await screen.press('j', '▸ ↓ film-20.mkv');
		await screen.press('esc', 'by: added');
		assert.match(screen.text, /▸ ↓ film-20\.mkv/);
		assert.match(screen.text, /film-1\.mkv|film-19\.mkv/);
	},
);

dashboardTest(
	'a letter selects the order, and the selected row keeps its line',
	{
		downloads: films(40).map((film, index) => ({...film, bytesPerSecond: 1000 + index * 1024})),
		columns: 100,
		rows: 23,
	},
	async (screen, downstream) => {
		await screen.press(['j', 'j', 'j', 'j', 'j'], '▸ ↓ film-5.mkv');
		await screen.press('s', /▸ Added/);
		await screen.answer('n', 'by: name');
		await screen.press('s');
		await screen.answer('e', 'by: speed');
		await screen.press('S', 'by: speed, reversed');
		await screen.press(['g', 'jjjjj'], '▸ ↓ film-5.mkv');
		const lineOf = () => screen.lines.findIndex(line => line.startsWith('▸'));
		const line = lineOf();
		// Twenty others become slower; shown speeds change once a second.
		await screen.wait(1010);
		downstream.change({
			downloads: downstream.snapshot.downloads.map((film, index) =>
				index >= 20 ? {...film, bytesPerSecond: index} : film,
			),
		});
		await screen.wait(510);
		assert.match(screen.text, /▸ ↓ film-5\.mkv/);
		assert.equal(lineOf(), line);
		await screen.press('pageUp', /film-3\d\.mkv/);
	},
);

dashboardTest(
	'commands act on all marked downloads in the list',
	{downloads: films(5)},
	async (screen, downstream) => {
		await screen.press(['j', '  '], /^ \*↓ film-1\.mkv/m);
		await screen.shows('2 marked; p, x, e, c act on them');
		await screen.press('c', 'Copied 2 stream URLs');
		assert.deepEqual(screen.copied, [
			`${downstream.snapshot.downloads[1]!.streamUrl}\n${downstream.snapshot.downloads[2]!.streamUrl}`,
		]);
		await screen.press(['p', 'x'], 'Remove 2 downloads?');
		assert.match(screen.text, /▸ Keep them[^]*Esc keeps them/);
		assert.match(screen.text, /500 MiB downloaded/);
		await screen.answer('r', 'Removed 2 downloads; the data is kept. u undoes it');
		assert.match(screen.text, /^▸ . film-3\.mkv/m);
		await screen.press('u', '2 downloads are back');
		assert.deepEqual(downstream.calls, [
			['pause', idOf(1)],
			['pause', idOf(2)],
			['remove', idOf(1), 'keep'],
			['remove', idOf(2), 'keep'],
			['restore', idOf(1)],
			['restore', idOf(2)],
		]);
		await screen.press(['g', '*'], '5 marked');
		await screen.press('x', 'Remove 5 downloads?');
		await screen.answer('D', 'Removed 5 downloads. u undoes it');
		downstream.failure = new DownStreamError('not-found', 'It is gone.');
		await screen.press('u', 'It is gone.');
		await screen.shows('all 4');
		await screen.press('*', '4 marked');
		await screen.press('esc', {without: 'marked'});
	},
);

dashboardTest(
	'over ssh the first copy explains how to reach the URL',
	{downloads: films(1), columns: 120, rows: 24, remoteHint: 'On another machine? ssh -L 1'},
	async screen => {
		await screen.press('c', 'Copied the stream URL. On another machine? ssh -L 1');
		await screen.press(
			'C',
			() => screen.text.includes('Copied the source URL') && !screen.text.includes('ssh'),
		);
	},
);

dashboardTest(
	'P pauses all downloads, and resumes them when none runs',
	{downloads: [...films(2), download({id: idOf(2), name: 'paused.mkv', status: 'paused'})]},
	async (screen, downstream) => {
		await screen.shows('paused.mkv');
		await screen.press('P', 'Paused 2');
		downstream.change({downloads: films(2, {status: 'paused'})});
		await screen.shows(/‖ film-0/);
		await screen.press('P', 'Resumed 2');
		assert.deepEqual(downstream.calls, [
			['pause', idOf(0)],
			['pause', idOf(1)],
			['resume', idOf(0)],
			['resume', idOf(1)],
		]);
	},
);

dashboardTest(
	'K and J move a download in the queue and sort by it',
	{downloads: films(3)},
	async (screen, downstream) => {
		await screen.press('J', 'by: queue');
		await screen.press(['j', 'K'], () => downstream.calls.length === 2);
		assert.deepEqual(downstream.calls, [
			['moveInQueue', idOf(0), 1],
			['moveInQueue', idOf(1), -1],
		]);
		await screen.press(['k', 'K'], 'Already first in the queue');
		await screen.press(['G', 'J'], 'Already last in the queue');
		downstream.change({downloads: films(1, {status: 'complete'})});
		await screen.shows('✓ film-0');
		await screen.press('J', 'Already complete: not in the queue');
		assert.equal(downstream.calls.length, 2);
	},
);

dashboardTest(
	'^ moves to the front, and a move that costs bytes asks first',
	{
		downloads: [
			download({id: idOf(0), name: 'fixed.mkv', acceptsRanges: false, queueRank: 0}),
			download({id: idOf(1), name: 'other.mkv', status: 'queued', present: 0, ranges: [], queueRank: 1}),
			download({id: idOf(2), name: 'late.mkv', status: 'queued', present: 0, ranges: [], queueRank: 2}),
		],
	},
	async (screen, downstream) => {
		await screen.press('j', '▸ · other.mkv');
		await screen.press('K', 'Press again to stop fixed.mkv: it would start over from 0');
		assert.deepEqual(downstream.calls, []);
		await screen.press('K', 'fixed.mkv is queued now');
		await screen.press('G', '▸ · late.mkv');
		await screen.press(['^', '^'], () => downstream.calls.length === 2);
		assert.deepEqual(downstream.calls, [
			['moveInQueue', idOf(1), -1],
			['moveInQueue', idOf(2), 'front'],
		]);
	},
);

dashboardTest(
	'P pauses queued downloads first and leaves exports alone',
	{
		downloads: [
			download({id: idOf(0), name: 'active.mkv'}),
			download({id: idOf(1), name: 'queued.mkv', status: 'queued'}),
			download({id: idOf(2), name: 'exporting.mkv', status: 'exporting'}),
		],
	},
	async (screen, downstream) => {
		await screen.shows('exporting.mkv');
		await screen.press('P', 'Paused 2');
		await screen.press(['*', 'p'], () => downstream.calls.length === 4);
		const paused = [
			['pause', idOf(1)],
			['pause', idOf(0)],
		];
		assert.deepEqual(downstream.calls, [...paused, ...paused]);
		downstream.change({downloads: films(1, {status: 'complete'})});
		await screen.shows('✓ film-0');
		await screen.press('P', 'Nothing to pause or resume');
	},
);

dashboardTest(
	'o starts a player, O opens the export folder, V verifies, v prints',
	{downloads: films(1)},
	async (screen, downstream) => {
		await screen.press('o', 'Started mpv');
		assert.deepEqual(screen.played, [downstream.snapshot.downloads[0]!.streamUrl]);
		await screen.press('O', 'Not exported yet. Press e.');
		downstream.change({downloads: films(1, {exportedTo: '/home/user/film.mkv'})});
		await screen.shows('Exported to /home/user/film.mkv');
		await screen.press('O', () => screen.opened.length > 0);
		assert.deepEqual(screen.opened, ['/home/user/film.mkv']);
		await screen.press('V', 'Checked film-0.mkv: no damage');
		await screen.press('v', () => screen.printed.length > 0);
		const [film] = downstream.snapshot.downloads;
		assert.deepEqual(screen.printed[0], [film!.name, film!.streamUrl, film!.url, '/home/user/film.mkv', '']);
		downstream.change({downloads: films(1, {present: 0, ranges: []})});
		await screen.shows(/ 0% /);
		await screen.press('V', 'No data to check yet in film-0.mkv');
	},
);

dashboardTest(
	'completions and failures are announced and stay in the messages',
	{downloads: films(2)},
	async (screen, downstream) => {
		const error = {
			code: 'origin-refused',
			status: 403,
			message: '403 Forbidden: link expired?',
			at: 1,
		} as const;
		const [first, second] = downstream.snapshot.downloads;
		downstream.change({
			downloads: [
				{...first!, status: 'complete', present: first!.size!, completedAt: 65_000, addedAt: 0},
				{...second!, status: 'failed', error, lastError: error},
			],
		});
		await screen.shows(' film-1.mkv: 403 Forbidden: link expired?');
		assert.match(screen.text, /✗ film-1.*403 Forbidden: link expired\? +U new link/);
		assert.equal(screen.bells, 1);
		await screen.press('L', 'Done: film-0.mkv (1000 MiB, added 1m05s ago)');
		await screen.shows('film-1.mkv: 403 Forbidden: link expired?');
		await screen.press('/');
		await screen.type('Done', {without: '403'});
		await screen.press(['enter', 'v'], () => screen.printed.length > 0);
		assert.equal(screen.printed[0]!.length, 2);
		await screen.press('esc', 'film-0.mkv');
	},
);

dashboardTest(
	'the result of a planned export is announced on completion',
	{downloads: films(2, {exportWhenComplete: '/films/'})},
	async (screen, downstream) => {
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
		await screen.press('L', 'Done: film-0.mkv');
		await screen.shows('Exported to /films/film-0.mkv');
		await screen.shows('Done: film-1.mkv');
		await screen.shows('film-1.mkv: Not exported');
		await screen.press('esc', {without: 'Messages'});
		await screen.press(['j', 'enter'], /Last error .*already exists$/m);
	},
);

dashboardTest(
	'the same news from a snapshot and a command is one message',
	{downloads: films(1, {status: 'complete'})},
	async (screen, downstream) => {
		const say = 'Exported to /home/user/Videos/film-0.mkv';
		await screen.press('e', '[ Export ]');
		downstream.change({
			downloads: films(1, {status: 'complete', exportedTo: '/home/user/Videos/film-0.mkv'}),
		});
		await screen.answer('enter', say);
		await screen.press('L', say);
		assert.equal(screen.text.split(say).length, 2);
	},
);

dashboardTest(
	'the footer shows the keys of the filter during typing',
	{downloads: films(3)},
	async screen => {
		await screen.press('/', 'Enter keep  Esc clear  ↑↓ move');
		assert.doesNotMatch(screen.text, /p pause/);
		await screen.press('enter', 'p pause');
	},
);

dashboardTest(
	'the palette finds a command by its words and runs it',
	{downloads: films(2), columns: 100, rows: 80},
	async (screen, downstream) => {
		const whole = await screen.press('?', 'What do you want to do?');
		assert.match(whole, /▸ o +play in mpv[^]*a player reads here/);
		await screen.paste('queue', {without: 'pause or resume'});
		assert.match(screen.text, / K +move up in the queue/);
		await screen.type('zz', 'No matches.');
		assert.doesNotMatch(screen.text, /player reads here/);
		for (const [word, line] of [
			['purple', '▒ purple: missing, to be made safe'],
			['⚑', '⚑ safe, or to be made safe'],
			['by: added', 'by: added: the order of the list'],
		] as const) {
			await screen.press('ctrl+u');
			await screen.type(word, line);
		}

		for (const [word, line] of [
			['delete', /▸ x +remove/],
			['offline', /▸ w +make safe/],
			['jump', / g +go to a time/],
		] as const) {
			await screen.press('ctrl+u');
			await screen.type(word, line);
		}

		await screen.press('ctrl+u');
		await screen.type('pause', /▸ p +pause or resume/);
		await screen.press('down', /▸ P +pause all/);
		await screen.press(['up', 'enter'], {without: 'What do you want'});
		assert.deepEqual(downstream.calls, [['pause', idOf(0)]]);
	},
);

dashboardTest(
	'F1 opens and closes the palette, and the command of a typed key is first there',
	{downloads: films(2), columns: 80, rows: 24},
	async (screen, downstream) => {
		await screen.press('\u001BOP', 'What do you want to do?');
		await screen.press('x', /▸ x +remove/);
		await screen.press('enter', 'Remove this download?');
		await screen.press('esc', '? help');
		await screen.press('?', 'What do you want to do?');
		// The symbols follow the last command.
		await screen.press('up', /▸ q +quit[^]*a player reads here/);
		await screen.press('\u001B[11~', {without: 'What do you want'});
		assert.deepEqual(downstream.calls, []);
	},
);

for (const ascii of [true, false]) {
	dashboardTest(
		`the palette explains every mark on 60 columns${ascii ? ' in ASCII' : ''}`,
		{downloads: films(1), columns: 60, rows: 40, ascii},
		async screen => {
			await screen.press('?', 'What do you want to do?');
			await screen.press('up', ascii ? 'E exporting' : '» exporting');
			for (const meaning of ['~ waiting', '41:07 now playing', 'partly on disk', 'to be made safe (w)']) {
				assert.ok(screen.text.includes(meaning), meaning);
			}
		},
	);
}

dashboardTest(
	'a click runs a command of the palette',
	{downloads: films(2), columns: 100, rows: 60},
	async screen => {
		await screen.press('?', 'What do you want to do?');
		await screen.click('messages', 'Messages');
		await screen.press('esc', '? help');
	},
);

dashboardTest('every command is in one group of the palette', {downloads: films(1)}, async () => {
	const grouped = Object.values(groups).flat();
	assert.equal(new Set(grouped).size, grouped.length);
	assert.deepEqual(
		new Set(grouped),
		new Set([...keyTable, ...playerTable].map(({command}) => command).filter(command => command !== 'help')),
	);
});

dashboardTest('repeated messages share one line', {downloads: films(1)}, async (screen, downstream) => {
	for (let at = 1; at <= 3; at++) {
		const lastError = {code: 'origin-unreachable', message: 'connection reset', at} as const;
		downstream.change({downloads: films(1, {lastError})});
		await screen.wait(500);
	}

	const time = formatClock(1);
	await screen.press('L', `${time} film-0.mkv: connection reset (×3 since ${time})`);
	assert.equal(screen.text.split('connection reset').length, 2);
});

dashboardTest('headings end where their figures end', {downloads: films(1)}, async screen => {
	const heading = await screen.shows('Speed');
	const lines = heading.split('\n');
	const head = lines.findIndex(line => line.includes('Speed'));
	for (const [word, figure] of [
		['Done', '25.0%'],
		['Speed', '12.4 MiB/s'],
	] as const) {
		const ends = [lines[head]!.indexOf(word) + word.length, lines[head + 1]!.indexOf(figure) + figure.length];
		assert.equal(ends[0], ends[1], word);
	}
});

dashboardTest('a key without a command says so, and d is x', {downloads: films(1)}, async screen => {
	await screen.press('z', 'z does nothing here. ? finds every command');
	await screen.press('d', 'Remove this download?');
});

dashboardTest(
	'a late answer of the terminal in three reads is no key',
	{downloads: films(2)},
	async screen => {
		for (const part of ['\u001B]11;rgb:1f1f/1f1f/1f1f', '\u001B', '\\', 'j']) {
			await screen.press(part);
			await screen.read();
		}

		await screen.shows('▸ ↓ film-1.mkv');
		assert.doesNotMatch(screen.text, /does nothing/);
	},
);

dashboardTest(
	'details show every player, every connection and the last error',
	{
		downloads: films(2, {
			players: [
				player,
				{...player, id: '2', name: 'VLC', blocked: true},
				{...player, id: '3', connected: false},
				{...player, id: '4', name: 'Kodi', offset: 900, readyMs: 110_900},
			],
			lastError: {code: 'origin-unreachable', message: 'connection reset', at: Date.now() - 1000},
			segments: [
				{start: 0, offset: 1024, end: 4096, for: 'player'},
				{start: 0, offset: 3072 * 1024, end: 4096 * 1024, for: 'fill'},
				{start: 0, offset: 2048 * 1024, end: 3072 * 1024, for: 'fill'},
			],
			connections: 3,
			checksum: 'sha256:ab',
			exportWhenComplete: '/home/user/film.mkv',
		}),
	},
	async screen => {
		await screen.press('enter', 'Stream');
		await screen.shows(/Players +┃1 mpv 0\.38 {2}at <0\.1%, 1\.00 KiB ready ahead/);
		await screen.shows(/┃2 VLC {2}at <0\.1%, waiting for data/);
		await screen.shows(/┃3 Kodi {2}at <0\.1%, 1\.00 KiB ready ahead \(1m50s\)/);
		assert.match(screen.text, /^ {12} {3}mpv 0\.38 {2}disconnected, last at <0\.1%/m);
		assert.match(
			screen.text,
			/Fetching +3 of 4 connections: for a player from 1\.00 KiB; filling from 2\.00 and 3\.00 MiB$/m,
		);
		assert.match(screen.text, /Last error \d\d:\d\d connection reset, recovered/);
		assert.match(screen.text, /Export +when complete, to \/home\/user\/film\.mkv/);
		assert.match(screen.text, /Checksum +sha256:ab/);
		assert.match(screen.text, /Map {2}1 cell = /);
		await screen.press(']', '── film-1.mkv');
		await screen.press('[', '── film-0.mkv');
	},
);

const outage = {
	status: 'waiting',
	retryAt: Date.now() + 60_000,
	error: {code: 'origin-unreachable', message: 'connection reset', at: 0, tries: 2},
} as const;
dashboardTest(
	'r retries all downloads of a server that fails, and those of every server where it has nothing else to resume',
	{
		downloads: [
			download({id: idOf(0), status: 'complete'}),
			download({id: idOf(1), ...outage}),
			download({id: idOf(2), ...outage}),
			download({id: idOf(3), ...outage, url: 'https://mirror.example.org/film.mkv'}),
			download({id: idOf(4), status: 'paused'}),
		],
	},
	async (screen, downstream) => {
		const resumed = () => downstream.calls.splice(0).map(([, id]) => id);
		await screen.press('r', 'Retrying 3 downloads');
		assert.deepEqual(resumed(), [idOf(1), idOf(2), idOf(3)]);
		await screen.press(['j', 'r'], 'Retrying 2 downloads');
		assert.deepEqual(resumed(), [idOf(1), idOf(2)]);
		await screen.press(['G', 'r']);
		assert.deepEqual(resumed(), [idOf(4)]);
	},
);

dashboardTest(
	'the last error is recovered once bytes have come after it',
	{
		downloads: films(1, {
			status: 'queued',
			lastByteAt: Date.now() - 2000,
			lastError: {code: 'origin-busy', message: 'cdn.example.org is busy', at: Date.now() - 1000},
		}),
	},
	async (screen, downstream) => {
		await screen.press('enter', /Last error +\d\d:\d\d cdn\.example\.org is busy$/m);
		const [busy] = downstream.snapshot.downloads;
		downstream.change({downloads: [{...busy!, status: 'active', lastByteAt: Date.now()}]});
		await screen.shows('cdn.example.org is busy, recovered');
	},
);

const [complete] = films(1, {
	validator: '"5f3a62b-melody"',
	status: 'complete',
	present: 1000 * 1024 * 1024,
	ranges: [[0, 1000 * 1024 * 1024]],
	bytesPerSecond: 0,
	connections: 0,
	segments: [],
	addedAt: 1000,
	completedAt: 135_000,
});

const alike = (urls: readonly string[]) =>
	urls.map((url, index) => download({id: idOf(index), name: 'film.mkv', addedAt: index, url}));

dashboardTest(
	'downloads of one name show how their links differ',
	{
		downloads: [
			...alike(['https://a.example.org/film.mkv', 'https://b.example.org/film.mkv']),
			download({id: idOf(2), name: 'other.mkv', addedAt: 2}),
		],
	},
	async (screen, downstream) => {
		assert.match(screen.text, /film\.mkv a\.example\.org/);
		assert.match(screen.text, /film\.mkv b\.example\.org/);
		assert.match(screen.text, /other\.mkv {2}/);
		const folders = alike([
			'https://a.example.org/day%201/x/film.mkv?token=abc',
			'https://a.example.org/day%202/x/film.mkv?token=abd',
		]);
		downstream.change({downloads: folders});
		await screen.shows('film.mkv day 2');
		assert.match(screen.text, /film\.mkv day 1/);
		downstream.change({downloads: folders.map(each => ({...each, url: folders[0]!.url}))});
		await screen.shows('film.mkv #2');
	},
);

for (const [columns, file] of [
	[100, /File +video\/x-matroska, 1000 MiB \(1,048,576,000 bytes\), ETag "5f3a62b-melody", can seek$/m],
	[80, /File +video\/x-matroska, 1000 MiB, ETag "5f3a62b-melody", can seek$/m],
] as const) {
	dashboardTest(
		`details of a complete file on ${columns} columns show its size and duration`,
		{downloads: [complete!], columns, rows: 30},
		async screen => {
			await screen.press('enter', file);
			assert.match(screen.text, /Have +1000 MiB, complete 2m14s after it was added$/m);
			assert.doesNotMatch(screen.text, /Speed|Fetching/);
		},
	);
}

dashboardTest(
	'details of a file of unknown size show no bar',
	{downloads: films(1, {size: null, present: 5, ranges: [[0, 5]]}), columns: 80, rows: 24},
	async (screen, downstream) => {
		await screen.shows('size unknown (the server sent no length)');
		assert.doesNotMatch(screen.text, /██|··/);
		await screen.press('enter', 'size unknown, ETag');
		downstream.change({downloads: films(1, {size: null, ranges: [], present: 0, acceptsRanges: null})});
		await screen.shows({without: 'File  '});
		await screen.press('esc', 'size not known yet');
		assert.doesNotMatch(screen.text, /sent no length/);
	},
);

for (const rows of [24, 40]) {
	dashboardTest(
		`docked details on ${rows} rows show a planned export`,
		{downloads: films(1, {exportWhenComplete: '/films/a.mkv'}), columns: 100, rows},
		async screen => {
			await screen.shows(/^ Export +when complete, to \/films\/a\.mkv$/m);
		},
	);
}

dashboardTest(
	'docked details with room for one player show a connected one',
	{
		downloads: films(1, {players: [{...player, name: 'gone', connected: false}, player]}),
		columns: 80,
		rows: 24,
	},
	async screen => {
		await screen.shows(/Players +┃1 mpv .*; 1 more/);
	},
);

dashboardTest(
	'the page of details wraps its text on a narrow screen',
	{downloads: films(1), columns: 44, rows: 30},
	async screen => {
		await screen.press('enter', /File/);
		const text = screen.text.replaceAll(/\n {12}/g, ' ');
		assert.match(text, /250 of 1000 MiB \(25\.0%\), 1 gap/);
		assert.match(text, /Speed +12\.4 MiB\/s; average 10\.0 MiB\/s, 1m15s left/);
		assert.match(text, /none yet\. Press o to play, or c to copy the stream URL/);
	},
);

const refused = (index: number, message: string, status?: number) =>
	download({
		id: idOf(index),
		status: 'failed',
		size: null,
		error: {code: 'origin-refused', message, at: 0, ...(status !== undefined && {status})},
	});

dashboardTest(
	'a failed row shows the start of the cause and the key of its remedy',
	{
		downloads: [
			refused(0, '403 Forbidden from cdn.example.org: the link may have expired', 403),
			refused(2, 'cdn.example.org is busy (429)', 429),
			refused(1, 'cdn.example.org: timed out without a response'),
			refused(3, '401 Unauthorized: cdn.example.org needs a user name and password', 401),
		],
		columns: 120,
		rows: 30,
	},
	async screen => {
		await screen.shows(/403 Forbidden: the link may have expired +U new link$/m);
		assert.match(screen.text, / {2}timed out without a response +r retry/);
		assert.match(screen.text, / {2}busy \(429\) +r retry/);
		screen.resize(80, 24);
		await screen.shows(/✗ film\.mkv #1 +250 MiB {2}link expired \(403\) +U new link$/m);
		assert.match(screen.text, / {2}login required \(401\) +U new link$/m);
		screen.resize(60, 24);
		await screen.shows(/✗ film\.mkv #1 +link expired \(403\) +U new link$/m);
		screen.resize(40, 24);
		await screen.shows(/✗ film\.mkv #1 +link expired \(403\)$/m);
	},
);

const resting = {bytesPerSecond: 0, connections: 0, segments: []};

dashboardTest(
	'idle rows give the reason for their wait',
	{
		downloads: [
			...films(2, {status: 'queued', present: 0, ranges: [], ...resting}),
			download({
				id: idOf(2),
				name: 'limited.mkv',
				status: 'queued',
				hostCeiling: 1,
				queueRank: 9,
				...resting,
			}),
			download({
				id: idOf(5),
				name: 'later.mkv',
				status: 'queued',
				waitsForPledges: true,
				queueRank: 10,
				...resting,
			}),
			download({id: idOf(3), name: 'watched.mkv', status: 'paused', ...resting, bytesPerSecond: 2048}),
			download({
				id: idOf(4),
				name: 'busy.mkv',
				status: 'waiting',
				...resting,
				error: {
					code: 'origin-busy',
					status: 503,
					message: 'a.example is busy (503) and asks to wait 60 s',
					at: 0,
				},
				retryAt: Date.now() + 200_000,
			}),
		],
		columns: 80,
		rows: 24,
	},
	async screen => {
		await screen.shows(/film-1\.mkv +queued, 2nd of 4$/m);
		assert.match(screen.text, /limited\.mkv +█.··· +25\.0% {2}queued$/m);
		assert.match(screen.text, /later\.mkv +█.··· +25\.0% {2}queued: making others safe first$/m);
		assert.match(screen.text, /watched\.mkv .* 2\.00 KiB\/s +paused$/m);
		assert.match(screen.text, /busy\.mkv +█.··· +25\.0% {2}server busy \(503\) +retry in 4 m$/m);
		screen.resize(120, 40);
		await screen.shows('queued: this server allows 1 connection at a time');
	},
);

const nobodyWaits = {
	id: '1',
	name: 'mpv',
	offset: 0,
	ready: 1,
	readyMs: null,
	blocked: false,
	connected: true,
};
const pendingPledge = {...blankPledge, fromMs: 0, toMs: 60_000, state: 'pending'} as const;

dashboardTest(
	'a paused download says for whom it still fetches',
	{
		downloads: [
			download({id: idOf(0), name: 'watched.mkv', status: 'paused', players: [nobodyWaits]}),
			download({id: idOf(1), name: 'pledged.mkv', status: 'paused', pledges: [pendingPledge]}),
			download({
				id: idOf(2),
				name: 'both.mkv',
				status: 'paused',
				players: [nobodyWaits, {...nobodyWaits, id: '2'}],
				pledges: [pendingPledge],
				bytesPerSecond: 0,
			}),
			download({id: idOf(3), name: 'quiet.mkv', status: 'paused', bytesPerSecond: 0}),
		],
		columns: 120,
		rows: 40,
	},
	async screen => {
		const text = await screen.shows('quiet.mkv');
		assert.match(text, /watched\.mkv .*· serving a player ►1 +25\.0% +12\.4 MiB\/s +paused/);
		assert.match(text, /pledged\.mkv .*· making safe +25\.0% +12\.4 MiB\/s +paused/);
		assert.match(text, /both\.mkv .*· serving 2 players ►2 +25\.0% +paused {2,}/);
		assert.match(text, /quiet\.mkv +█+▸·+ +25\.0% +paused/);
		assert.match(text, /── watched\.mkv ─+ paused · serving a player ──/);
		screen.resize(80, 20);
		await screen.shows(/watched\.mkv .*·+ +►1 +25\.0% +serving +paused/);
		await screen.shows(/pledged\.mkv .*·+ +25\.0% +making safe +paused/);
		await screen.shows('watched.mkv: paused · serving a player, 250 of 1000 MiB');
	},
);

dashboardTest(
	'pausing reports the activities that continue',
	{downloads: films(2, {players: [nobodyWaits]}), columns: 80, rows: 24},
	async screen => {
		await screen.press('p', 'Paused film-0.mkv; still serving a player');
		await screen.press('P', 'Paused 2; 2 still serving players or making safe');
	},
);

dashboardTest(
	'a download that runs without bytes is not idle',
	{downloads: films(1, {bytesPerSecond: 0}), columns: 80, rows: 24},
	async (screen, downstream) => {
		await screen.shows('↓ 0 B/s');
		downstream.change({downloads: films(1, {status: 'paused', bytesPerSecond: 0})});
		await screen.shows(/downstream {2}idle/);
	},
);

dashboardTest(
	'a large screen shows long names whole',
	{downloads: films(1, {name: `${'x'.repeat(60)}.mkv`}), columns: 160, rows: 40},
	async screen => {
		await screen.shows(`${'x'.repeat(60)}.mkv `);
	},
);

dashboardTest(
	'a wide screen shows the speed of each row as a chart of one scale',
	{
		downloads: films(2).map((film, index) => ({...film, bytesPerSecond: (index + 1) * 1_000_000})),
		columns: 180,
		rows: 40,
	},
	async screen => {
		await screen.shows(/film-0\.mkv .* 976 KiB\/s +▄ /);
		await screen.shows(/film-1\.mkv .* 1\.90 MiB\/s +▇ /);
	},
);

dashboardTest(
	'the docked map stays in its place when players come and go',
	{downloads: films(1), columns: 120, rows: 40},
	async (screen, downstream) => {
		const mapAt = () => screen.lines.findIndex(line => line.startsWith(' Map'));
		await screen.shows('Map  1 cell');
		const before = mapAt();
		downstream.change({downloads: films(1, {players: [player, {...player, id: '2', name: 'VLC'}]})});
		await screen.shows('2 VLC');
		assert.equal(mapAt(), before);
	},
);

dashboardTest(
	'a high screen gives the rows that the list does not need to the map',
	{downloads: films(3), columns: 200, rows: 60},
	async screen => {
		await screen.shows('Map  1 cell');
		const map = screen.lines.findIndex(line => line.startsWith(' Map'));
		assert.ok(screen.lines.slice(map).filter(line => /·{20}/.test(line)).length > 15);
	},
);

dashboardTest(
	'a wide row has a chart of its last seconds until it has been idle that long',
	{downloads: films(1), columns: 200, rows: 60},
	async (screen, downstream) => {
		await screen.shows(/MiB\/s {2}[▁-█]+ /);
		downstream.change({
			downloads: films(1, {status: 'paused', bytesPerSecond: 0, connections: 0, segments: []}),
			bytesPerSecond: 0,
		});
		await screen.shows(/paused {2}[▁-█]+/);
		await screen.wait(12_000);
		downstream.change({banners: ['later']});
		await screen.shows('! later');
		assert.doesNotMatch(screen.lines.find(line => line.includes('film-0.mkv')) ?? '', /[▁▆▇]/);
	},
);

dashboardTest(
	'details scroll if they do not fit',
	{downloads: films(2), columns: 60, rows: 10},
	async screen => {
		await screen.press('enter', 'Stream');
		assert.doesNotMatch(screen.text, /Map/);
		await screen.press(Array.from('jjjjjjjjjjjj'), 'Map  1 cell');
	},
);

dashboardTest(
	'the mouse selects rows, opens details and presses buttons',
	{downloads: films(5), columns: 100, rows: 23},
	async (screen, downstream) => {
		await screen.press('M', 'Mouse on');
		assert.equal(screen.hasMouse, true);
		await screen.click('film-3.mkv', '▸ ↓ film-3.mkv');
		await screen.press('wheelUp', '▸ ↓ film-2.mkv');
		await screen.click('2 running', '[2 running 5]');
		await screen.click('1 all', '[1 all 5]');
		await screen.click('x remove', 'Remove this download?');
		await screen.read();
		await screen.click(' Keep it ', '▸ ↓ film-');
		await screen.click('x remove', 'Remove this download?');
		await screen.press('\u001B[<0;2;2M', {without: 'Remove this'});
		await screen.click('Speed', 'by: speed');
		await screen.click('Speed', 'by: speed, reversed');
		await screen.click('Name', 'by: name');
		await screen.click('by: name', 'Sort by');
		await screen.press('esc', '? help');
		await screen.click('film-1.mkv');
		await screen.click('film-1.mkv', 'Map ');
		assert.deepEqual(downstream.calls, []);
	},
);

dashboardTest(
	'Ctrl+Z asks for a second one while something runs',
	{downloads: films(1), columns: 80, rows: 24},
	async screen => {
		await screen.press('ctrl+z', 'Ctrl+Z again stops downloads and players until fg');
		assert.equal(screen.stops, 0);
		await screen.press('ctrl+z', () => screen.stops === 1);
		const at = Date.now();
		await screen.shows({without: 'Ctrl+Z again'});
		assert.ok(Date.now() - at < 2000, 'the message did not expire by itself');
	},
);

dashboardTest(
	'an attached dashboard suspends and quits at once',
	{
		downloads: films(1),
		columns: 80,
		rows: 24,
		attachment: {isConnected: true, isOwn: false, isElsewhere: true, takeOver: async () => undefined},
	},
	async screen => {
		await screen.press('ctrl+z', () => screen.stops === 1);
		await screen.press('q', () => screen.hasQuit);
	},
);

const changed = {
	code: 'origin-changed',
	message: 'The file has changed: it had 5 bytes, now 6',
	at: 1,
} as const;

dashboardTest(
	'r on a changed file asks about the old bytes',
	{downloads: films(1, {status: 'failed', error: changed, lastError: changed}), columns: 100, rows: 24},
	async (screen, downstream) => {
		await screen.shows('r decide');
		await screen.press('r', 'The file changed on the server');
		assert.match(screen.text, /▸\[ Leave it stopped \]/);
		await screen.answer('o', 'Starting over');
		assert.deepEqual(downstream.calls, [['startOver', idOf(0), false]]);
		await screen.press('r', 'The 250 MiB you have cannot be mixed');
		await screen.read();
		downstream.failure = new DownStreamError('disk-failed', 'No room.');
		await screen.press('n', 'No room.');
	},
);

dashboardTest(
	'a narrow screen shows short reasons, and tabs as symbols',
	{
		downloads: [
			...films(1, {
				status: 'failed',
				error: {...changed, message: `${changed.message}; the downloaded bytes are kept`},
			}),
			download({id: idOf(1), name: 'running.mkv'}),
			download({id: idOf(2), name: 'queued.mkv', status: 'queued'}),
			download({id: idOf(3), name: 'paused.mkv', status: 'paused'}),
			download({id: idOf(4), name: 'done.mkv', status: 'complete'}),
			download({
				id: idOf(5),
				name: 'begun.mkv',
				position: {ms: 5000, at: 0, watched: false, exact: true},
			}),
		],
		columns: 60,
		rows: 20,
	},
	async screen => {
		await screen.shows('[1 all 6] 2 ↓ 2  3 · 1  4 ‖ 1  5 ✓ 1  6 ✗ 1  7 ► 1');
		assert.match(screen.text, /✗ film-0\.mkv +.*changed on the server +r decide$/m);
		assert.match(screen.text, /^ film-0\.mkv: changed on the server\. r decide$/m);
		await screen.press('7', '1 all 6  2 ↓ 2  3 · 1  4 ‖ 1  5 ✓ 1  6 ✗ 1 [7 ► 1]');
		await screen.click('5 ✓ 1', '[5 done 1]');
		screen.resize(100, 20);
		await screen.shows('2 running 2  3 queued 1  4 paused 1 [5 done 1] 6 failed 1  7 partly watched 1');
	},
);

const unstable = {hasUnstableValidator: true, size: null};

dashboardTest(
	'details mention an unstable validator',
	{downloads: films(1, {...unstable, validator: '"node1"'}), columns: 120, rows: 24},
	async (screen, downstream) => {
		await screen.press('enter', 'its ETag changes from response to response, so bytes are compared');
		downstream.change({downloads: films(1, {...unstable, validator: 'Mon, 02 Nov 2026 00:00:00 GMT'})});
		await screen.shows('its date changes from response to response, so bytes are compared');
	},
);

const agreeing = {
	code: 'origin-changed',
	message: 'The file has changed',
	at: 1,
	bytesAgree: true,
} as const;

dashboardTest(
	'a changed file whose samples agree offers to resume',
	{downloads: films(1, {status: 'failed', error: agreeing, lastError: agreeing}), columns: 80, rows: 24},
	async (screen, downstream) => {
		await screen.shows('r decide');
		await screen.press('r', 'Samples of the 250 MiB you have match');
		assert.match(screen.text, /\[ Continue \]/);
		await screen.answer('c', 'Same bytes: continuing from 25.0%');
		assert.deepEqual(downstream.calls, [['acceptChange', idOf(0)]]);
	},
);

dashboardTest(
	'details of a download that waits for its first response omit unknown facts',
	{
		downloads: [
			download({
				...{status: 'waiting', present: 0, ranges: [], size: null, acceptsRanges: null, validator: null},
				...{bytesPerSecond: 0, bytesPerSecondLong: 0, connections: 0, segments: []},
				error: {code: 'origin-unreachable', message: 'connection refused', at: Date.now(), tries: 2},
				retryAt: Date.now() + 60_000,
			}),
		],
	},
	async screen => {
		await screen.press('enter', {without: '1 all'});
		const text = await screen.shows(/Error +connection refused; retrying in \d+ s \(attempt 2\)/);
		assert.doesNotMatch(text, /^ (?:File|Have|Speed|Fetching) /m);
	},
);
