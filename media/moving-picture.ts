// The moving picture of the readme: the dashboard and the picture of mpv side by side, recorded from the real programs.
import {execFileSync} from 'node:child_process';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Page} from 'playwright-core';
import {atEnd} from '../test/support/cleanup.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {TestTerminal} from '../test/support/terminal.ts';
import {darkPalette, screenSvg} from './screen-svg.ts';
import {mpvCommand, WatchedPlayer, type PlayerView} from './watched-player.ts';

const framesPerSecond = 8;
/** Of the finished picture, in pixels. */
const width = 1440;
/** High enough for the details below the list, whose bar is as wide as the screen. */
const size = {columns: 74, rows: 24};

/** A key, or none, and what it does. */
type Caption = {readonly key: string; readonly text: string};
type Moment = {readonly screen: string; readonly player: PlayerView | undefined; readonly caption: Caption};

/** Records `url`, a film from a slow server, into `file`. */
export async function makeMovingPicture(
	t: TestContext,
	page: Page,
	{url, file}: {url: string; file: string},
): Promise<void> {
	const moments = await record(t, url);
	const folder = await temporaryFolder(t);
	for (const [index, moment] of moments.entries()) {
		const {html, ...viewport} = frame(moment);
		await page.setViewportSize(viewport);
		await page.setContent(html);
		await writeFile(path.join(folder, `${String(index).padStart(4, '0')}.png`), await page.screenshot());
	}

	execFileSync('ffmpeg', [
		...['-v', 'error', '-y', '-framerate', String(framesPerSecond), '-i', path.join(folder, '%04d.png')],
		...['-vf', `scale=${width}:-1:flags=lanczos`, '-c:v', 'libwebp_anim', '-loop', '0'],
		...['-quality', '80', '-compression_level', '6', file],
	]);
}

async function record(t: TestContext, url: string): Promise<Moment[]> {
	const storage = await temporaryFolder(t);
	const socket = path.join(await temporaryFolder(t), 'mpv');
	const terminal = await TestTerminal.start(
		t,
		['--port', '0', '--theme', 'dark', '--storage', storage, '--player', mpvCommand(socket), url],
		{...size, env: {COLORTERM: 'truecolor'}},
	);
	await terminal.shows(path.basename(url));
	let caption: Caption = {key: '', text: ''};
	let player: WatchedPlayer | undefined;
	const moments: Moment[] = [];
	const over = new AbortController();
	const recording = (async () => {
		for (let due = Date.now(); !over.signal.aborted; due += 1000 / framesPerSecond) {
			await sleep(Math.max(0, due - Date.now()));
			const view = await player?.view();
			moments.push({
				screen: screenSvg(terminal.emulator, darkPalette),
				player: view ?? moments.at(-1)?.player,
				caption,
			});
		}
	})();

	caption = {key: '', text: 'A film downloads from a slow server'};
	await sleep(2500);
	caption = {key: 'o', text: 'opens a player at once'};
	terminal.press('o');
	player = await WatchedPlayer.find(socket);
	atEnd(t, () => player?.quit());
	await sleep(3000);
	for (const [place, stay] of [
		[0.7, 4000],
		[0.35, 3000],
	] as const) {
		const where = `${Math.round(place * 100)}%`;
		caption = {key: 'seek', text: `to ${where}, where nothing is downloaded yet`};
		const seconds = ((await player.jump(place)) / 1000).toFixed(1);
		caption = {key: 'seek', text: `to ${where}: plays after ${seconds} s, since its bytes came first`};
		await sleep(stay);
	}

	caption = {key: '', text: 'The rest follows in the background; nothing is fetched twice'};
	await sleep(2000);
	over.abort();
	await recording;
	terminal.signal('SIGTERM');
	await terminal.exit();
	return moments;
}

/** A page with the caption above the two windows. */
function frame({screen, player, caption}: Moment): {html: string; width: number; height: number} {
	const gap = 12;
	const top = 44;
	const terminal = sizeOf(screen);
	const bars = {title: 28, controls: 34};
	const picture = {height: terminal.height - bars.title - bars.controls, width: 0};
	picture.width = Math.round((picture.height * 16) / 9);
	const window = player
		? `<img src="data:image/jpeg;base64,${player.picture.toString('base64')}">${controls(player, picture.width)}`
		: '';
	return {
		width: terminal.width + picture.width + 3 * gap,
		height: terminal.height + top + gap,
		html: `<!doctype html><style>
			body {margin: 0; background: #0b0d11; color: #e6e9ef; font: 19px 'DejaVu Sans', sans-serif}
			.caption {position: absolute; left: ${gap}px; top: 0; line-height: ${top}px}
			kbd {font: bold 17px 'DejaVu Sans Mono', monospace; background: #e6e9ef; color: #16191f; border-radius: 5px;
				padding: 3px 10px; margin-right: 10px; box-shadow: 0 2px 0 #8a909c}
			.terminal {position: absolute; left: ${gap}px; top: ${top}px}
			.player {position: absolute; left: ${terminal.width + 2 * gap}px; top: ${top}px; width: ${picture.width}px;
				height: ${terminal.height}px; background: #000; border-radius: 8px; overflow: hidden}
			.title {height: ${bars.title}px; line-height: ${bars.title}px; background: #2a2e37; font-size: 13px;
				text-align: center; color: #abb2bf}
			img {display: block; width: ${picture.width}px; height: ${picture.height}px}
			.none {line-height: ${picture.height}px; text-align: center; color: #5c6370; font-size: 15px}
		</style>
		<div class="caption">${caption.key === '' ? '' : `<kbd>${caption.key}</kbd>`}${caption.text}</div>
		<div class="terminal">${screen}</div>
		<div class="player"><div class="title">mpv</div>${window || '<div class="none">not started yet</div>'}</div>`,
	};
}

/** The bar below the picture: the time, and the place in the film. */
function controls({position, duration, isWaiting}: PlayerView, width: number): string {
	const left = 130;
	const length = width - left - 20;
	const x = left + (length * position) / duration;
	return `<svg width="${width}" height="34" font-family="'DejaVu Sans Mono'" font-size="13" fill="#d7dae0">
		<text x="12" y="22">${isWaiting ? 'waiting…' : `${clock(position)} / ${clock(duration)}`}</text>
		<rect x="${left}" y="15" width="${length}" height="4" rx="2" fill="#4b5263"/>
		<rect x="${left}" y="15" width="${x - left}" height="4" rx="2" fill="#d7dae0"/>
		<circle cx="${x}" cy="17" r="7"/>
	</svg>`;
}

function clock(seconds: number): string {
	const whole = Math.floor(seconds);
	return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

function sizeOf(svg: string): {width: number; height: number} {
	const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(svg)!;
	return {width: Number(width), height: Number(height)};
}
