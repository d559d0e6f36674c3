// Frames of a film in the details.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {appendFile, readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {promisify} from 'node:util';
import {dimmedFrame, frameLines, frameSize, frameTimes, type FilmFrame} from '../source/dashboard/frames.ts';
import {isSameLine} from '../source/dashboard/spans.tsx';
import type {HexColor} from '../source/dashboard/theme.ts';
import type {DownloadFilm} from '../source/downstream.ts';
import {RangeSet} from '../source/engine/store/range-set.ts';
import {filmFrame} from '../source/terminal/film-frame.ts';
import {dashboardTest} from './support/dashboard-test.ts';
import {downloadOf, startEngine, temporaryFolder, until} from './support/engines.ts';
import {serveFilm} from './support/films.ts';
import {download} from './support/memory-downstream.ts';
import {missing} from './support/programs.ts';
import {TestTerminal} from './support/terminal.ts';

const {width, height} = frameSize;
const run = promisify(execFile);

function timesOf(
	playable: DownloadFilm['playable'],
	before: readonly number[] = [],
): Array<number | undefined> {
	return frameTimes({durationMs: 80_000, playable}, 4, before).map(({ms, isHere}) =>
		isHere ? ms : undefined,
	);
}

test('a frame is from the middle of its part, or from the nearest playable time', () => {
	assert.deepEqual(timesOf([[0, 80_000]]), [10_000, 30_000, 50_000, 70_000]);
	assert.deepEqual(timesOf([]), [undefined, undefined, undefined, undefined]);
	assert.deepEqual(
		timesOf([
			[0, 5000],
			[36_000, 48_000],
			[60_000, 60_400],
		]),
		[4749, 36_250, 47_749, undefined],
	);
	assert.deepEqual(frameTimes({durationMs: 80_000, playable: []}, 1, []), [{ms: 40_000, isHere: false}]);
});

test('a growing stretch changes a frame only once its middle is playable', () => {
	assert.deepEqual(timesOf([[0, 8000]], [4749])[0], 4749);
	assert.deepEqual(timesOf([[0, 12_000]], [4749])[0], 10_000);
	assert.deepEqual(timesOf([[6000, 8000]], [4749])[0], 7749);
});

/** The left part is of one color, the rest of another. */
function split(share: number, left: readonly number[], right: readonly number[]): Uint8Array {
	return Uint8Array.from({length: width * height * 3}, (_, index) => {
		const column = Math.floor(index / 3) % width;
		return (column < share * width ? left : right)[index % 3]!;
	});
}

const white = new Uint8Array(width * height * 3).fill(255);
const bar = {left: 6, cells: 26};
const shown = (frames: readonly FilmFrame[], manyColors: boolean, room = 4, ascii = false) =>
	frameLines(frames, bar, {width: 40, room, manyColors, ascii});

test('a picture is drawn in quarters of cells, over its place in the bar', () => {
	const picture = {ms: 61_000, isHere: true, pixels: split(0.375, [255, 0, 0], [0, 0, 255])};
	const lines = shown([{ms: 0, isHere: false}, picture], true);
	const text = lines.map(line => line.map(each => each.text).join(''));
	assert.deepEqual(text, [
		'       ╭──────────╮     ▌       ',
		'       │          │     ▌       ',
		'       ╰──────────╯     ▌       ',
		'           0:00         1:01    ',
	]);
	const [red, blue] = ['#ff0000', '#0000ff'];
	const colors = lines[0]!.filter(({colors}) => colors).map(({colors}) => colors!);
	assert.equal(colors.length, 12);
	assert.deepEqual(colors[4], {color: red, backgroundColor: blue});
	assert.equal(colors[0]!.backgroundColor, red);
	assert.equal(colors[11]!.backgroundColor, blue);
});

test('a frame below a dialog is dark', () => {
	const [line] = shown([{ms: 0, isHere: true, pixels: white}].map(dimmedFrame), true);
	assert.equal(line![1]!.colors!.backgroundColor, '#3f3f3f');
});

test('a picture that differs only in its colors is drawn again', () => {
	const lineOf = (color: HexColor) => [{text: '▀', colors: {color, backgroundColor: '#000000' as const}}];
	assert.ok(isSameLine(lineOf('#ff0000'), lineOf('#ff0000')));
	assert.ok(!isSameLine(lineOf('#ff0000'), lineOf('#0000ff')));
	assert.ok(!isSameLine(lineOf('#ff0000'), [{text: '▀'}]));
});

test('with few colors a picture consists of letters', () => {
	const picture = {ms: 0, isHere: true, pixels: split(0.5, [255, 255, 255], [0, 0, 0])};
	const [line] = shown([picture, {ms: 0, isHere: true}], false, 4, true);
	assert.deepEqual(
		line!
			.map(({text}) => text)
			.join('')
			.trimEnd(),
		'       @@@@@@       +----------+',
	);
});

const film: DownloadFilm = {
	durationMs: 80_000,
	exact: true,
	indexBytes: 1000,
	indexOffset: 0,
	tracks: [{kind: 'video', codec: 'avc', language: null, width: 1920, height: 1080}],
	playable: [[0, 40_000]],
	position: 0,
	watchTo: 40_000,
	forecastRate: 0,
	stallAt: null,
	waitMs: null,
	neededRate: 0,
};
const aborted = (signal: AbortSignal) =>
	new Promise<never>((_, reject) => {
		signal.addEventListener('abort', () => reject(signal.reason));
	});
const asked: number[] = [];
let ended = 0;

dashboardTest(
	'i shows and hides the frames, and leaving the details ends their making',
	{
		downloads: [download({film})],
		filmFrame: (_url, ms, signal) => {
			asked.push(ms);
			return asked.length < 3 ? Promise.resolve(white) : aborted(signal).finally(() => ended++);
		},
	},
	async (screen, downstream) => {
		await screen.press('i', 'i frames');
		assert.doesNotMatch(screen.text, /@@@/);
		// One at a time.
		await screen.press('i', /@{10,} @{10,} +╭─+╮/);
		assert.deepEqual(asked, [5715, 17_143, 28_572]);
		await screen.press('i', {without: '@@@'});
		assert.equal(ended, 1);
		await screen.press('i', '@@@');
		assert.equal(asked.length, 4);
		await screen.press('esc', '1 all');
		assert.equal(ended, 2);
		await screen.press('enter', 'i frames');
		assert.doesNotMatch(screen.text, /@@@/);
		downstream.change({downloads: [download({film: {...film, tracks: []}})]});
		await screen.shows('1:20 ·  ·');
		await screen.press('i', 'i: this download has no video');
		downstream.change({downloads: [download({film: {...film, exact: false, playable: []}})]});
		await screen.shows('times are estimates');
		await screen.press('i', 'i: the times of this film are estimates, so frames need the complete file');
		downstream.change({downloads: [download({type: 'video/mp4'})]});
		await screen.shows({without: '1:20'});
		await screen.press('i', 'i: frames need the index of the film, which has not been read');
	},
);

dashboardTest(
	'without ffmpeg the status line says so',
	{
		downloads: [download({film})],
		filmFrame: () => Promise.reject(new Error('frames need ffmpeg, which is not installed')),
	},
	async screen => {
		await screen.press(['enter', 'i'], 'i: frames need ffmpeg, which is not installed');
		assert.doesNotMatch(screen.text, /╭/);
	},
);

/** A film of 40 s: red, then blue. Its sound makes it 8 MB. */
async function makeFilm(folder: string): Promise<Buffer> {
	const file = path.join(folder, 'colors.mov');
	await run('ffmpeg', [
		...['-v', 'error', '-f', 'lavfi', '-i', 'color=red:size=320x180:rate=10:duration=20'],
		...['-f', 'lavfi', '-i', 'color=blue:size=320x180:rate=10:duration=20'],
		...['-f', 'lavfi', '-i', 'sine=frequency=300:sample_rate=96000:duration=40'],
		...['-filter_complex', '[0][1]concat[v]', '-map', '[v]', '-map', '2', '-c:a', 'pcm_s16le'],
		...['-c:v', 'libx264', '-preset', 'ultrafast', '-g', '20', '-movflags', '+faststart', file],
	]);
	return readFile(file);
}

const needsFfmpeg = {skip: missing('ffmpeg')};

test('a frame is made from cached bytes, and nothing is fetched for it', needsFfmpeg, async t => {
	const bytes = await makeFilm(await temporaryFolder(t));
	const present = new RangeSet([{start: 0, end: Math.floor(bytes.length * 0.7)}]);
	const origin = await serveFilm(t, bytes, {present});
	const {engine} = await startEngine(t, {connections: 1});
	const {download} = await engine.add({url: origin.urlOf('/colors.mov')});
	const {signal} = new AbortController();
	await until(engine, download.id, ({film}) => (film?.playable[0]?.[1] ?? 0) > 22_000);
	await engine.pause(download.id);
	const {streamUrl, film, status} = await until(engine, download.id, ({connections}) => connections === 0);
	const {length} = origin.requests;
	const end = film!.playable[0]![1];
	assert.ok(status === 'paused' && end < 39_000, `${status} ${end}`);
	const [red, , blue] = (await filmFrame(streamUrl, 10_000, signal))!;
	assert.ok(red! > 200 && blue! < 50, `${red} ${blue}`);
	const last = (await filmFrame(streamUrl, end - 250, signal))!;
	assert.ok(last[0]! < 50 && last[2]! > 200, `${last[0]} ${last[2]}`);
	assert.equal(await filmFrame(streamUrl, 39_900, signal), undefined);
	const missing = await fetch(`${streamUrl}?cached`, {headers: {range: `bytes=${bytes.length - 1}-`}});
	assert.equal(missing.status, 409);
	assert.match(await missing.text(), /not downloaded yet/);
	assert.equal(origin.requests.length, length);
	const {players, position} = downloadOf(engine, download.id);
	assert.deepEqual([players, position], [[], null]);
});

test(
	'the program shows the colors of a film, and ends ffmpeg with its details and itself',
	needsFfmpeg,
	async t => {
		const folder = await temporaryFolder(t);
		const origin = await serveFilm(t, await makeFilm(folder), {headers: {'content-type': 'video/quicktime'}});
		const [ids, slow] = [path.join(folder, 'ids'), path.join(folder, 'slow')];
		const {stdout} = await run('which', ['ffmpeg']);
		await writeFile(
			path.join(folder, 'ffmpeg'),
			`#!/bin/sh\necho $$ >> ${ids}\ntest -e ${slow} && exec sleep 100\nexec ${stdout.trim()} "$@"\n`,
			{mode: 0o755},
		);
		const terminal = await TestTerminal.start(
			t,
			['--port', '0', '--storage', path.join(folder, 'storage'), origin.urlOf('/colors.mov')],
			{columns: 120, rows: 40, env: {COLORTERM: 'truecolor', PATH: `${folder}:${process.env.PATH}`}},
		);
		await terminal.shows('✓');
		terminal.press('enter');
		await terminal.shows('i frames');
		terminal.press('i');
		/** The backgrounds of the last line of pictures. */
		const colors = () => {
			const {active} = terminal.emulator.buffer;
			const map = terminal.screen.split('\n').findIndex(line => line.includes(' 0:00 █'));
			const line = active.getLine(Math.max(0, map - 2))!;
			return Array.from({length: 120}, (_, column) => line.getCell(column)!)
				.filter(cell => cell.isBgRGB())
				.map(cell =>
					cell.getBgColor() >> 16 > 200 ? 'red' : (cell.getBgColor() & 255) > 200 ? 'blue' : 'other',
				);
		};
		await terminal.shows(screen => /0:02/.test(screen) && colors().length === 100);
		assert.deepEqual([...new Set(colors())], ['red', 'blue']);
		assert.equal(colors().indexOf('blue'), colors().length / 2);

		await appendFile(slow, '');
		const startedId = () => eventually(async () => Number(await readFile(ids, 'utf8').catch(() => '')));
		await rm(ids);
		// Another width has other frames.
		terminal.resize(80, 40);
		const id = await startedId();
		terminal.press('esc');
		await terminal.shows('1 all');
		await eventually(async () => !isRunning(id));

		await rm(ids);
		terminal.press('enter');
		await terminal.shows('Folder');
		terminal.press('i');
		const lastId = await startedId();
		terminal.press('ctrl+c');
		assert.equal(await terminal.exit(), 0);
		await eventually(async () => !isRunning(lastId));
	},
);

/** Resolves with the first result that counts as true. */
async function eventually<T>(look: () => Promise<T>): Promise<T> {
	for (;;) {
		const found = await look();
		if (found) {
			return found;
		}

		await sleep(20);
	}
}

function isRunning(id: number): boolean {
	try {
		return process.kill(id, 0);
	} catch {
		return false;
	}
}
