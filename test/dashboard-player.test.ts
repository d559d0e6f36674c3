// Linked players and started films on the dashboard.
import assert from 'node:assert/strict';
import type {Download, DownloadFilm, Playback} from '../source/downstream.ts';
import {dashboardTest} from './support/dashboard-test.ts';
import {download, films, idOf} from './support/memory-downstream.ts';

const playback: Playback = {
	player: 'mpv 0.38.0',
	durationMs: 5_702_000,
	paused: true,
	speed: 1,
	offset: null,
	stalled: false,
	stalls: 0,
	subtitles: 'en',
};
const position = {ms: 2_467_000, at: 0, watched: false, exact: true};
const playing = download({playback, position});
const {id} = playing;
const idle = {
	status: 'paused',
	bytesPerSecond: 0,
	bytesPerSecondLong: 0,
	connections: 0,
	segments: [],
} as const;

dashboardTest('the row and the details show a linked player', {downloads: [playing]}, async screen => {
	assert.match(
		await screen.shows('► 41:07'),
		/Player +mpv 0\.38\.0 · 41:07 of 1:35:02 · paused · 1\.0× · sub en · 0 stalls/,
	);
});

const asks = {offset: 5000, ready: 0, readyMs: null, blocked: true, connected: true};
const besideVlc = download({
	playback,
	position,
	players: [
		{...asks, id: '1', name: 'mpv 0.38'},
		{...asks, id: '2', name: 'VLC 3.0', blocked: false},
	],
});
dashboardTest(
	'requests of a linked player have no line of their own',
	{downloads: [besideVlc]},
	async screen => {
		const text = await screen.shows(/Players +┃1 VLC 3\.0 /);
		assert.doesNotMatch(text, /waiting for data/);
	},
);

dashboardTest(
	'the quit dialog names a linked player without a request under way',
	{downloads: [download({...idle, playback, position})]},
	async screen => {
		await screen.press('q', 'mpv 0.38.0 is playing and will stop.');
	},
);

dashboardTest('linked players have ASCII symbols', {downloads: [playing], ascii: true}, async screen => {
	assert.match(
		await screen.shows('> 41:07'),
		/Player +mpv 0\.38\.0 - 41:07 of 1:35:02 - paused - 1\.0x - sub en - 0 stalls/,
	);
	await screen.press('enter', /arrows 10s {2}up, down 1m {2}g go to/);
});

dashboardTest(
	'the keys of the details seek and pause the player',
	{downloads: [playing]},
	async (screen, downstream) => {
		await screen.press('enter', /←→ 10s {2}↑↓ 1m {2}g go to {2}Space resume player/);
		const commands = async (...keys: Parameters<typeof screen.press>[0][]) => {
			downstream.calls.length = 0;
			for (const key of keys) {
				await screen.press(key);
			}

			await screen.wait(2000);
			return downstream.calls.map(([, , command]) => command);
		};
		assert.deepEqual(await commands('right', 'right', 'left'), [
			{seekMs: 2_477_000},
			{seekMs: 2_487_000},
			{seekMs: 2_477_000},
		]);
		assert.deepEqual(await commands('up'), [{seekMs: 2_527_000}]);
		assert.deepEqual(await commands('down'), [{seekMs: 2_407_000}]);
		assert.deepEqual(await commands(' '), [{pause: false}]);
		downstream.change({downloads: [{...playing, position: {...position, ms: 4000}}]});
		assert.deepEqual(await commands('left'), [{seekMs: 0}]);
		downstream.change({downloads: [{...playing, position: {...position, ms: 5_700_000}}]});
		assert.deepEqual(await commands('right'), [{seekMs: 5_701_000}]);
		await screen.press('esc', '1 all');
		assert.deepEqual(await commands('right', 'esc'), []);
	},
);

dashboardTest(
	'P pauses all downloads in the details too, and Space marks none there',
	{downloads: [download(), ...films(1)]},
	async (screen, downstream) => {
		await screen.press('enter', /Esc back/);
		await screen.press(' ', 'No linked player: o starts mpv');
		assert.match(screen.text, /── film\.mkv ──/);
		await screen.press('P', 'Paused 2');
		assert.deepEqual(
			downstream.calls.map(([name]) => name),
			['pause', 'pause'],
		);
	},
);

dashboardTest(
	'commands in the details act only on that download, whatever is marked',
	{downloads: films(3)},
	async (screen, downstream) => {
		await screen.press([' ', ' '], '2 marked; p, x, e, c act on them');
		await screen.press('enter', 'Esc back');
		assert.match(screen.text, /── film-2\.mkv ──/);
		assert.doesNotMatch(screen.text, /marked/);
		await screen.press('p');
		await screen.shows(() => downstream.calls.length === 1);
		assert.deepEqual(downstream.calls, [['pause', films(3)[2]!.id]]);
		await screen.press('esc', '2 marked');
	},
);

dashboardTest(
	'g seeks to a typed time, or reports the error in it',
	{downloads: [playing]},
	async (screen, downstream) => {
		await screen.press('enter', 'g go to');
		await screen.press('g', /Time +41:07, or 42% of the film/);
		await screen.type('9', {without: '42%'});
		await screen.type('9:99');
		await screen.answer('enter', '"99:99" is not a time. Try 41:07, 1:02:10 or 42%.');
		await screen.press('ctrl+u');
		await screen.type('2:00:00');
		await screen.press('enter', '2:00:00 is past the end, at 1:35:02.');
		await screen.press('ctrl+u');
		await screen.type('101%');
		await screen.press('enter', '101% is past the end, at 1:35:02.');
		await screen.press('ctrl+u');
		await screen.type('1:02:10');
		await screen.press('enter', {without: 'Go to'});
		await screen.press('g', 'Go to: film.mkv');
		await screen.type('42%');
		await screen.answer('enter', {without: 'Go to'});
		assert.deepEqual(downstream.calls, [
			['controlPlayer', id, {seekMs: 3_730_000}],
			['controlPlayer', id, {seekMs: 2_394_840}],
		]);
	},
);

dashboardTest(
	'a click on the bar seeks, and the wheel does not',
	{downloads: [playing]},
	async (screen, downstream) => {
		await screen.press('enter', 'g go to');
		const row = screen.lines.findLastIndex(line => line.includes('····'));
		const {length} = screen.lines[row]!;
		await screen.press([`\u001B[<0;${length};${row + 1}M`, `\u001B[<0;${length};${row + 1}m`]);
		const [[name, , {seekMs}]] = downstream.calls as [[string, string, {seekMs: number}]];
		assert.equal(name, 'controlPlayer');
		assert.ok(seekMs > 0.99 * playback.durationMs! && seekMs < playback.durationMs!, `${seekMs}`);
		await screen.press(['\u001B[<64;5;5M', '\u001B[<65;5;5M']);
		await screen.wait(1000);
		assert.equal(downstream.calls.length, 1);
	},
);

dashboardTest(
	'the palette has the commands of the linked player',
	{downloads: [playing, ...films(1)], columns: 100, rows: 60},
	async (screen, downstream) => {
		await screen.press('?', 'What do you want to do?');
		await screen.type(
			'started with o',
			/← +seek back 10 s[^]*→ +seek ahead 10 s[^]*↑ +seek ahead a minute[^]*↓ +seek back a minute/,
		);
		await screen.press(['down', 'enter'], {without: 'What do you want'});
		await screen.shows(() => downstream.calls.length === 1);
		await screen.press('?', 'What do you want to do?');
		await screen.click('seek back a minute', {without: 'What do you want'});
		await screen.shows(() => downstream.calls.length === 2);
		assert.deepEqual(downstream.calls, [
			['controlPlayer', id, {seekMs: 2_477_000}],
			['controlPlayer', id, {seekMs: 2_417_000}],
		]);
		await screen.press('down');
		await screen.press('?', 'What do you want to do?');
		await screen.type('resume the player');
		await screen.press('enter', 'No linked player: o starts mpv');
		assert.equal(downstream.calls.length, 2);
	},
);

const film: DownloadFilm = {
	durationMs: playback.durationMs!,
	exact: true,
	indexBytes: 1000,
	indexOffset: 0,
	tracks: [{kind: 'video', codec: 'avc', language: null, width: 1920, height: 1080}],
	playable: [[0, 2_470_000]],
	position: 2_467_000,
	watchTo: 2_470_000,
	forecastRate: 100 * 1024,
	stallAt: null,
	waitMs: 0,
	neededRate: 0,
};

dashboardTest(
	'g without a player starts one at the typed place',
	{downloads: [download({film})], columns: 120},
	async screen => {
		await screen.press('enter', /g watch from .*Esc back/);
		await screen.press('g', 'Watch from: film.mkv');
		await screen.type('50%');
		await screen.answer('enter', 'Started mpv');
		await screen.press('g', 'Watch from: film.mkv');
		await screen.type('100%');
		await screen.answer('enter', {without: 'Watch from'});
		assert.deepEqual(
			screen.played.map(each => each.replace(/^.* at /, '')),
			['2851000', '5701000'],
		);
	},
);

const sound = {
	...film,
	tracks: [{kind: 'audio', codec: 'aac', language: null, width: null, height: null}],
} as const;
dashboardTest(
	'the footer of the details offers no frames of audio, and no place to start at without a timeline',
	{
		downloads: [download({id: idOf(1), name: 'a.m4a', film: sound}), download({id: idOf(2), name: 'b.bin'})],
		columns: 140,
	},
	async screen => {
		await screen.press('enter', /g watch from .*Esc back/);
		assert.doesNotMatch(screen.lines.at(-1)!, /frames/);
		await screen.press(']', 'b.bin');
		assert.doesNotMatch(screen.lines.at(-1)!, /watch from|frames/);
	},
);

dashboardTest(
	'g starts no player once the instance of the downloads has quit',
	{
		downloads: [download({film})],
		columns: 120,
		attachment: {isConnected: false, isOwn: false, isElsewhere: true, takeOver: async () => undefined},
	},
	async screen => {
		await screen.press('enter', 'Esc back');
		assert.doesNotMatch(screen.lines.at(-1)!, /watch from|frames/);
		await screen.press('g', 'The other instance has quit. R continues the downloads here.');
	},
);

dashboardTest(
	'a seek to missing minutes gives the reason of its wait, and the bar is in minutes',
	{downloads: [{...playing, film}]},
	async (screen, downstream) => {
		await screen.press('enter', '0:00 ████');
		await screen.press('left');
		await screen.wait(5000);
		assert.doesNotMatch(screen.text, /not downloaded yet/);
		await screen.press('right', /41:17 is not downloaded yet: about 4s/);
		await screen.press('left', {without: 'not downloaded yet'});
		const row = screen.lines.findIndex(line => line.includes(' 0:00 █'));
		const left = screen.lines[row]!.indexOf('█');
		const right = screen.lines[row]!.lastIndexOf('·') + 1;
		const middle = Math.round((left + right) / 2) + 1;
		await screen.press([`\u001B[<0;${middle};${row + 1}M`, `\u001B[<0;${middle};${row + 1}m`]);
		const {seekMs} = downstream.calls.at(-1)![2] as {seekMs: number};
		assert.ok(Math.abs(seekMs / film.durationMs - 0.5) < 0.02, `${seekMs}`);
	},
);

dashboardTest(
	'a film shorter than its last position starts at its beginning',
	{downloads: [download({position, film: {...film, durationMs: 1_000_000}})]},
	async screen => {
		assert.doesNotMatch(await screen.shows('1 all'), /Left off|partly watched 1/);
		await screen.press('o', 'Started mpv');
		assert.doesNotMatch(screen.played[0]!, / at /);
	},
);

dashboardTest(
	'without a linked player, the arrows keep their meaning in the details, and g stays there',
	{downloads: films(2)},
	async (screen, downstream) => {
		await screen.press('enter', {without: '1 all'});
		assert.doesNotMatch(screen.text, /go to/);
		await screen.press('down', 'film-1.mkv');
		await screen.press('g', 'No linked player: o starts mpv');
		assert.match(screen.text, /film-1\.mkv/);
		await screen.press('left', '1 all');
		assert.deepEqual(downstream.calls, []);
	},
);

dashboardTest(
	'a paused player causes no redraw',
	{downloads: [{...playing, ...idle}]},
	async (screen, downstream) => {
		await screen.shows('► 41:07');
		await screen.wait(1000);
		const {written} = screen;
		for (let tick = 0; tick < 5; tick++) {
			downstream.change({});
			await screen.wait(1000);
		}

		assert.equal(screen.written, written);
	},
);

dashboardTest(
	'a player without times shows an approximate time',
	{
		downloads: [
			download({
				position: {...position, exact: false},
				players: [
					{id: '1', name: 'VLC 3.0', offset: 1, ready: 1, readyMs: null, blocked: false, connected: true},
				],
			}),
		],
	},
	async screen => {
		assert.match(await screen.shows('► ~41:00'), /Playing +~41:00$/m);
	},
);

dashboardTest(
	'a player that has left the film is not listed beside its last position',
	{downloads: [download({position, players: [{...asks, id: '1', name: 'mpv', connected: false}]})]},
	async screen => {
		await screen.shows(/Left off +at 41:07; o continues there$/m);
		assert.doesNotMatch(screen.text, /Players|disconnected/);
	},
);

const begun: Download[] = films(3).map((film, index) => ({
	...film,
	position: index === 2 ? null : {...position, watched: index === 1},
}));

dashboardTest('started films have a tab, and o continues them', {downloads: begun}, async screen => {
	await screen.press('7', {without: 'film-1'});
	assert.match(
		screen.text,
		/\[7 partly watched 1\][\s\S]*film-0\.mkv[\s\S]*Left off +at 41:07; o continues there$/m,
	);
	await screen.press('o', 'Started mpv');
	assert.deepEqual(screen.played, [`${begun[0]!.streamUrl} at 2467000`]);
	await screen.press('1', 'film-1');
	await screen.press(['down', 'o']);
	await screen.shows(() => screen.played.length === 2);
	assert.equal(screen.played[1], begun[1]!.streamUrl);
});

dashboardTest(
	'a film that is never to be continued starts at its beginning',
	{downloads: begun, continues: 'never'},
	async screen => {
		await screen.press('o', 'Started mpv');
		assert.deepEqual(screen.played, [begun[0]!.streamUrl]);
	},
);

dashboardTest('o asks where to start', {downloads: begun, continues: 'ask'}, async screen => {
	await screen.press('o', 'Continue at 41:07');
	await screen.answer('s', 'Started mpv');
	await screen.press('o', 'Continue at 41:07');
	await screen.answer('enter');
	await screen.shows(() => screen.played.length === 2);
	const {streamUrl} = begun[0]!;
	assert.deepEqual(screen.played, [streamUrl, `${streamUrl} at 2467000`]);
	// A film without a position needs no question.
	await screen.press(['G', 'o']);
	await screen.shows(() => screen.played.length === 3);
});
