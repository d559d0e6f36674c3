// Films as text: the list, the details, plain lines, and the flag that waits for a film.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {EventLines} from '../source/cli/output/event-lines.ts';
import {isSafe} from '../source/cli/run/when-safe.ts';
import {settingsFrom} from '../source/cli/settings.ts';
import {timeMap, watchLine} from '../source/dashboard/film-lines.ts';
import type {Download, DownloadFilm, Playback, Player} from '../source/downstream.ts';
import {
	filmWords,
	forecastWords,
	formatTime,
	playableWords,
	problemWords,
	shortWatchWords,
	watchWords,
} from '../source/text/film-words.ts';
import {dashboardTest} from './support/dashboard-test.ts';
import {blankPledge} from './support/blank-download.ts';
import {download} from './support/memory-downstream.ts';

const minute = 60_000;
const film: DownloadFilm = {
	durationMs: 95 * minute + 2000,
	exact: true,
	indexBytes: 900 * 1024,
	indexOffset: 999 * 1024 * 1024,
	tracks: [
		{kind: 'video', codec: 'avc', language: null, width: 1920, height: 1080},
		{kind: 'audio', codec: 'aac', language: 'en', width: null, height: null},
	],
	playable: [
		[0, 62 * minute + 10_000],
		[80 * minute, 95 * minute + 2000],
	],
	position: 0,
	watchTo: 62 * minute + 10_000,
	forecastRate: 0.9 * 1024 * 1024,
	stallAt: null,
	waitMs: 0,
	neededRate: 0,
};
const stalling = {
	...film,
	position: 5 * minute,
	stallAt: 9 * minute,
	waitMs: 200_000,
	neededRate: 2.1 * 1024 * 1024,
};
const whole: DownloadFilm = {...film, playable: [[0, film.durationMs]], watchTo: film.durationMs};

const seekedPast: DownloadFilm = {
	...film,
	watchTo: null,
	position: 70 * minute,
	playable: [[0, 62 * minute]],
};
const idle = download();
const players: {readonly linked: Playback; readonly reader: Player} = {
	linked: {
		...{player: 'mpv', durationMs: film.durationMs, paused: false, speed: 1, stalled: false, stalls: 0},
		...{subtitles: null, offset: null},
	},
	reader: {
		...{id: '1', name: 'VLC', offset: 0, ready: 0, readyMs: null, blocked: false, connected: true},
		...{bytesPerSecond: 0},
	},
};

const of = (changes: Partial<DownloadFilm>, more: Partial<Download> = {}): Download =>
	download({film: {...film, ...changes}, ...more});

test('times are short', () => {
	assert.deepEqual([0, 41_999, 292_000, 3_730_000].map(formatTime), ['0:00', '0:41', '4:52', '1:02:10']);
});

test('playable minutes are shown in full, and in a narrow column', () => {
	const cases: Array<[Download, full: string, short: string]> = [
		[of({}), 'to 1:02:10 of 1:35:02', '→1:02:10'],
		[of({exact: false, playable: []}), 'to ~1:02:10 of 1:35:02', '→~1:02:10'],
		[of(stalling), 'stalls in 4m · wait 3m20s', '→1:02:10'],
		[of({...stalling, stallAt: stalling.position}), 'wait 3m20s', '→1:02:10'],
		[of(stalling, {status: 'paused'}), 'to 1:02:10 of 1:35:02', '→1:02:10'],
		[of(stalling, {status: 'waiting'}), 'to 1:02:10 of 1:35:02', '→1:02:10'],
		// Nothing arrives, or only what players request.
		[of({...stalling, forecastRate: 0, waitMs: null}), 'to 1:02:10 of 1:35:02', '→1:02:10'],
		[of({watchTo: null, playable: []}), 'none of 1:35:02 yet', 'none'],
		[of({watchTo: null, position: 70 * minute}), '1:20:00–1:35:02 of 1:35:02', '1:20:00→'],
		[of({watchTo: null, position: 70 * minute, playable: [[0, 62 * minute]]}), 'none from 1:10:00', 'none'],
		[of({watchTo: film.durationMs, position: 90 * minute}), '1:20:00–1:35:02 of 1:35:02', '→1:35:02'],
		[of(whole, {completedAt: 1}), 'all of 1:35:02', 'all'],
		[download({film: null}), '', ''],
	];
	for (const [each, full, short] of cases) {
		assert.deepEqual([watchWords(each), shortWatchWords(each)], [full, short]);
	}

	const shown = (width: number) =>
		watchLine(of({}), width, true)
			.map(({text}) => text)
			.join('');
	assert.deepEqual([shown(26), shown(18), shown(9)], ['to 1:02:10 of 1:35:02', 'to 1:02:10', '>1:02:10']);
});

test('without a whole stretch on disk, a playing player gets its bytes as they arrive', () => {
	const {linked, reader} = players;
	for (const showing of [{playback: linked}, {players: [reader]}, {players: [{...reader, blocked: true}]}]) {
		const playing = of(seekedPast, showing);
		assert.deepEqual(
			[watchWords(playing), shortWatchWords(playing), playableWords(seekedPast, playing)],
			['1:10:00 as it arrives', '1:10:00', '0:00 – 1:02:00; 1:10:00 as it arrives'],
		);
	}

	for (const waiting of [
		{playback: {...linked, stalled: true}, players: [reader]},
		{players: [{...reader, connected: false}]},
	]) {
		assert.equal(watchWords(of(seekedPast, waiting)), 'none from 1:10:00');
	}
});

test('the details describe tracks, playable ranges and the forecast', () => {
	assert.equal(filmWords(film), '1:35:02 · H.264 1920×1080, AAC en');
	assert.equal(playableWords(film, idle), '0:00 – 1:02:10, then 1:20:00 – 1:35:02');
	assert.equal(playableWords(film, idle, false, 30), '0:00 – 1:02:10, and 1 more');
	assert.equal(playableWords({...film, playable: [], watchTo: null}, idle), 'none of 1:35:02 yet');
	assert.equal(playableWords(seekedPast, idle), '0:00 – 1:02:00; none from 1:10:00');
	assert.equal(playableWords(whole, idle), 'all of 1:35:02');
	assert.equal(playableWords({...film, exact: false, playable: []}, idle), 'to ~1:02:10 of 1:35:02');
	assert.equal(
		forecastWords(of(stalling, {bytesPerSecondLong: 1024 * 1024})),
		'at 921 KiB/s it stalls at 9:00; started in 3m20s, or at 2.10 MiB/s, it plays through',
	);
	// The rate is sufficient: only the start takes a moment.
	assert.equal(
		forecastWords(of({...stalling, waitMs: 3000, neededRate: 800, forecastRate: 1024})),
		'at 1.00 KiB/s it stalls at 9:00; started in 3s it plays through',
	);
	assert.equal(forecastWords(of({forecastRate: 1024 * 1024})), 'at 1.00 MiB/s it plays through');
	assert.equal(forecastWords(of({...stalling, forecastRate: 0, waitMs: null})), undefined);
	assert.equal(forecastWords(of({forecastRate: 0})), undefined);
	assert.equal(forecastWords(of(stalling, {status: 'paused'})), undefined);
	assert.equal(problemWords('past-end'), 'its index cannot be read (a sample lies past the end of the file)');
});

test('the map in minutes has an axis, and fits its width', () => {
	for (const width of [40, 80, 200]) {
		for (const [bar, axis] of [timeMap(film, [], width, false)]) {
			const text = (line: typeof bar) => line!.map(each => each.text).join('');
			assert.ok(text(bar).length <= width && text(axis).length <= width);
			assert.match(text(bar), /^ 0:00 █+.*█ 1:35:02$/);
			assert.match(text(axis), /╵\d+:\d\d/);
		}
	}
});

test('a row shows how far a pledge makes the film safe, unless its player stalls or more can be watched', () => {
	const pledge = {...blankPledge, fromMs: 0, toMs: 75 * minute, safeToMs: 62 * minute, start: 0, end: 9};
	const met = {...pledge, toMs: 62 * minute, state: 'safe'} as const;
	const player = {id: '1', name: 'mpv', offset: 0, ready: 0, readyMs: null, blocked: false, connected: true};
	const shown = (each: Download, width = 26) => watchLine(each, width, false)[0]?.text;
	const later = {...pledge, fromMs: 41 * minute, etaAt: new Date(2026, 10, 30, 18, 31).getTime()};
	assert.equal(shown(of({}, {pledges: [pledge]}), 40), 'safe to 1:02:00; to 1:15:00 pending');
	assert.equal(shown(of({}, {pledges: [later]}), 40), 'safe 41:00–1:02:00; to 1:15:00 at 18:31');
	assert.equal(shown(of({}, {pledges: [later]}), 35), 'safe 41:00–1:02:00; all at 18:31');
	assert.equal(shown(of({}, {pledges: [later]})), 'safe 41:00–1:02:00');
	assert.equal(shown(of({}, {pledges: [{...later, state: 'safe'}]})), '⚑ safe 41:00–1:15:00');
	assert.equal(shown(of({}, {pledges: [pledge]})), 'safe to 1:02:00');
	assert.equal(shown(of({}, {pledges: [pledge]}), 9), '⚑→1:02:00');
	assert.equal(shown(of(stalling, {pledges: [pledge]})), 'safe to 1:02:00');
	assert.equal(
		shown(of(stalling, {pledges: [pledge], players: [player]}), 40),
		'⚑ stalls in 4m · wait 3m20s',
	);
	assert.equal(shown(of({}, {pledges: [met]})), '⚑ safe to 1:02:00');
	assert.equal(shown(of(whole, {pledges: [met]})), '⚑ all of 1:35:02');
	assert.equal(shown(of(whole, {pledges: [met]}), 9), '⚑ all');
	const last = {...later, toMs: film.durationMs, state: 'safe'} as const;
	assert.equal(shown(of(whole, {pledges: [last], completedAt: 1})), '⚑ all of 1:35:02');
});

test('missing minutes of a pledge are marked on the map', () => {
	const pledge = {...blankPledge, fromMs: 60 * minute, toMs: 75 * minute, state: 'pending'} as const;
	const [bar] = timeMap(film, [pledge], 80, false);
	assert.match(bar!.map(({text}) => text).join(''), /^ 0:00 █+[▉-▏]?▒+·+[░▓]?█+ 1:35:02$/);
	assert.ok(bar!.some(({text, role}) => role === 'pledged' && /^▒+$/.test(text)));
});

dashboardTest(
	'a complete film keeps its timeline, with the position to continue at',
	{
		downloads: [
			of(
				{playable: [[0, film.durationMs]], watchTo: film.durationMs},
				{status: 'complete', position: {ms: 41 * minute, at: 0, watched: false, exact: true}},
			),
		],
		columns: 120,
		rows: 40,
	},
	async screen => {
		await screen.shows(/^ 0:00 █+┃█+ 1:35:02$/m);
		await screen.press('enter', /^ 0:00 █+┃█+ 1:35:02$/m);
		// A map of its bytes would show nothing.
		await screen.press('b', 'b: the download is complete, so there is no map in bytes');
		assert.match(screen.text, /^ 0:00 █+┃█+ 1:35:02$/m);
		assert.doesNotMatch(screen.text, /1 cell =/);
	},
);

test('plain lines report the film once, and once that it plays through', () => {
	const lines = new EventLines({json: false});
	const tell = (each: Download) =>
		lines
			.next(
				{
					version: 1,
					downloads: [each],
					bytesPerSecond: 0,
					limitRate: null,
					freeBytes: null,
					origin: '',
					banners: [],
				},
				0,
			)
			.filter(line => /film {2}|plays through/.test(line))
			.map(line => line.replace(/^\S+ /, ''));
	assert.deepEqual(tell(of(stalling)), ['[1] film  1:35:02 · H.264 1920×1080, AAC en']);
	assert.deepEqual(tell(of({...stalling, waitMs: 100})), []);
	assert.deepEqual(tell(of({position: 5 * minute})), ['[1] plays through from 5:00 without a stall']);
	assert.deepEqual(tell(of(stalling)), []);
	assert.deepEqual(tell(of({})), []);
});

test('a film is safe if no stall is ahead, a file without a film if it is complete', () => {
	assert.equal(isSafe(of({}), 0), true);
	assert.equal(isSafe(of(stalling), 0), false);
	assert.equal(isSafe(of({}), 81 * minute), true);
	assert.equal(isSafe(of({}), 70 * minute), false);
	assert.equal(isSafe(download({film: null}), 0), false);
	assert.equal(isSafe(download({film: null, completedAt: 1}), 0), true);
});

test('read-ahead is a size, or seconds of a film', () => {
	const read = (readAhead: string) => {
		const {readAhead: bytes, readAheadMs} = settingsFrom({readAhead}, {});
		return [bytes, readAheadMs];
	};
	assert.deepEqual(read('64M'), [64 * 1024 * 1024, undefined]);
	assert.deepEqual(read('60s'), [16 * 1024 * 1024, 60_000]);
	assert.throws(
		() => read('2s'),
		/--read-ahead "2s": it must be a time such as 90s, .* at least 5s and at most 3600s/,
	);
});

dashboardTest(
	'a list with films has a column for minutes, and b switches the map',
	{downloads: [of({}), of({...stalling}, {id: '1'.repeat(32), name: 'other.mp4'})], columns: 120, rows: 40},
	async screen => {
		await screen.shows('to 1:02:10 of 1:35:02');
		await screen.shows('stalls in 4m · wait 3m20s');
		await screen.shows(/╵\d+:\d\d/);
		await screen.press('b', '1 cell =');
		await screen.press('b', {without: '1 cell ='});
	},
);

dashboardTest(
	'b says that a file without a timeline has one map',
	{downloads: [download()], columns: 120, rows: 40},
	async screen => {
		await screen.press('b', 'b: only films have a map in minutes');
	},
);

dashboardTest(
	'a narrow list shows the end of the playable minutes',
	{downloads: [of({})], columns: 80, rows: 24},
	async screen => {
		await screen.shows('→1:02:10');
	},
);
