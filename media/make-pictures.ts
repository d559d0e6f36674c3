// Makes the pictures of the readme: the real program in a pseudo-terminal, with real downloads that mpv plays.
import {execFileSync} from 'node:child_process';
import {link, mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import type {Page} from 'playwright-core';
import type {Download} from '../source/downstream.ts';
import {attach} from '../source/host/find-instance.ts';
import {until} from '../source/wait.ts';
import {startChromium} from '../test/support/chromium.ts';
import {withoutTest} from '../test/support/cleanup.ts';
import {startOrigin, temporaryFolder} from '../test/support/engines.ts';
import {startNginx} from '../test/support/nginx.ts';
import {missing} from '../test/support/programs.ts';
import {TestTerminal} from '../test/support/terminal.ts';
import {makeMovingPicture} from './moving-picture.ts';
import {areaOf, darkPalette, lightPalette, screenSize, screenSvg, type Area, type Palette} from './screen-svg.ts';
import {mpvCommand, WatchedPlayer} from './watched-player.ts';

const MiB = 1024 * 1024;
const here = import.meta.dirname;
/** Milliseconds until the screen shows the effect of a key, whatever its words are. */
const settledMs = 800;

/** `npm run pictures -- moving` makes the moving picture alone. */
const makesStills = process.argv[2] !== 'moving';
const problem = whatIsMissing();
if (problem !== undefined) {
	console.error(`The pictures cannot be made: ${problem}.`);
	process.exit(1);
}

const {t, end} = withoutTest();
const scratch = await mkdtemp(path.join(tmpdir(), 'downstream-pictures-'));
try {
	const browser = await startChromium(t);
	await makeAll(await browser.newPage({deviceScaleFactor: 1.5}));
} finally {
	await end();
	await rm(scratch, {recursive: true, force: true});
}

process.exit();

function whatIsMissing(): string | undefined {
	const programs = missing('nginx', 'mpv', 'ffmpeg', 'chromium', 'fc-list');
	if (programs) {
		return programs;
	}

	const output = (program: string, ...args: string[]) => execFileSync(program, args, {encoding: 'utf8'});
	if (!output('ffmpeg', '-v', 'error', '-filters').includes(' drawtext ')) {
		return 'needs an ffmpeg with drawtext';
	}

	if (!output('ffmpeg', '-v', 'error', '-encoders').includes(' libwebp_anim ')) {
		return 'needs an ffmpeg with libwebp';
	}

	if (output('fc-list', 'DejaVu Sans Mono') === '') {
		return 'needs the font DejaVu Sans Mono';
	}

	return makesStills && output('fc-list', ':lang=ja') === '' ? 'needs a font with Japanese characters' : undefined;
}

async function makeAll(page: Page): Promise<void> {
	const film = path.join(scratch, 'summer-film.mkv');
	makeFilm(film);
	const named = path.join(scratch, 'A.Summer.Film.2026.2160p.60fps.x265-GROUP.mkv');
	await link(film, named);
	const nginx = await startNginx(t, scratch, {rate: '1m'});
	await makeMovingPicture(t, page, {
		url: `${nginx}/${path.basename(film)}`,
		file: path.join(here, 'demo.webp'),
	});
	console.log('demo.webp');
	if (makesStills) {
		await makeStills(page, `${nginx}/${path.basename(named)}`);
	}
}

/** Twelve minutes with a large clock and colours that change slowly; 4 Mbit/s throughout. */
function makeFilm(file: string): void {
	const centred = 'fontsize=170:fontcolor=white:borderw=6:x=(w-text_w)/2:y=(h-text_h)/2';
	const clock = String.raw`%{pts\:gmtime\:0\:%M\\\:%S}`;
	execFileSync('ffmpeg', [
		...['-v', 'error', '-f', 'lavfi', '-i', 'gradients=size=240x136:rate=12:speed=0.02:seed=7:n=3'],
		...['-vf', `hue=h=t*0.6:s=0.6,scale=960:540,drawtext=font='DejaVu Sans Mono':text='${clock}':${centred}`],
		...['-t', '720', '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '12', '-pix_fmt', 'yuv420p'],
		...['-b:v', '4M', '-minrate', '4M', '-maxrate', '4M', '-bufsize', '4M', '-x264-params', 'nal-hrd=cbr', file],
	]);
}

async function makeStills(page: Page, film: string): Promise<void> {
	const slow = await startOrigin(t, {size: 700 * MiB, etag: '"a91"', bytesPerSecond: MiB});
	const small = await startOrigin(t, {size: 48 * MiB, etag: '"b02"'});
	const refused = await startOrigin(t, {
		size: 1,
		intercept(_request, response) {
			response.writeHead(403).end();
			return true;
		},
	});
	const live = await startOrigin(t, {size: 900 * MiB, ranges: false, length: 'chunked', bytesPerSecond: 2 * MiB});
	const urls = [
		film,
		slow.urlOf('/ubuntu-26.04-desktop-amd64.iso'),
		slow.urlOf(`/${encodeURIComponent('線形代数の基礎（完全版）')}.mp4`),
		live.urlOf('/live-recording.ts'),
		refused.urlOf('/dataset-2026-part-003.tar.zst'),
		small.urlOf('/podcast-ep-214.mp3'),
		slow.urlOf('/model-weights.safetensors'),
	];
	const socket = path.join(scratch, 'mpv');
	const dark = await start([...urls, '--player', mpvCommand(socket)], {columns: 120, rows: 40});
	await dark.until(download => download.name.startsWith('podcast') && download.status === 'complete');
	await dark.press('jj');
	await dark.press('p');
	await dark.until(({status}) => status === 'paused');
	await dark.press('g');
	await dark.press('o');
	const player = await WatchedPlayer.find(socket);
	await sleep(3000);
	await player.jump(0.62);
	await sleep(3000);
	await dark.press('\r');
	await picture(page, dark.terminal, 'details.png', darkPalette);
	player.quit();
	await dark.press('\u001B');
	dark.terminal.paste(
		`curl '${small.urlOf('/lecture-08.mp4')}' -H 'Authorization: Bearer abcdef' -H 'Cookie: session=12' -x socks5h://me:pw@127.0.0.1:1080`,
	);
	await sleep(settledMs);
	await picture(page, dark.terminal, 'add.png', darkPalette, dialogOf(dark.terminal));
	await dark.press('\u001B');
	dark.terminal.resize(60, 15);
	await sleep(settledMs);
	await picture(page, dark.terminal, 'narrow.png', darkPalette);
	await dark.quit();

	for (const [name, args, palette, theme] of [
		['light.png', [], lightPalette, 'light'],
		['ascii.png', ['--ascii'], darkPalette, 'plain'],
	] as const) {
		const other = await start([...urls, ...args], {columns: 100, rows: 30}, theme);
		await other.until(download => download.name.startsWith('podcast') && download.status === 'complete');
		await sleep(4000);
		await picture(page, other.terminal, name, palette);
		await other.quit();
	}
}

/** Starts the dashboard. Its state is known by the API, so that other words on the screen break nothing here. */
async function start(args: string[], size: {columns: number; rows: number}, theme = 'dark') {
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(
		t,
		['--port', '0', '--max-active', '5', '--theme', theme, '--storage', storage, ...args],
		{...size, env: {COLORTERM: 'truecolor'}},
	);
	await terminal.shows(path.basename(args[0]!).slice(0, 8));
	const client = await attach(storage);
	return {
		terminal,
		until: (fits: (download: Download) => boolean) =>
			until(client!, ({downloads}) => downloads.find(fits), AbortSignal.timeout(60_000)),
		async press(key: string) {
			terminal.press(key);
			await sleep(settledMs);
		},
		async quit() {
			await client!.dispose();
			terminal.signal('SIGTERM');
			await terminal.exit();
		},
	};
}

/** The frame of the open dialog, and one cell around it. */
function dialogOf({screen}: TestTerminal): Area {
	const lines = screen.split('\n');
	const top = lines.findIndex(line => line.includes('╭'));
	const bottom = lines.findLastIndex(line => line.includes('╯'));
	if (top === -1 || bottom === -1) {
		throw new Error(`no dialog is on the screen:\n${screen}`);
	}

	const [left, right] = [lines[top]!.indexOf('╭'), lines[bottom]!.indexOf('╯')];
	return areaOf({left: left - 2, top: top - 1, right: right + 3, bottom: bottom + 2});
}

async function picture(
	page: Page,
	terminal: TestTerminal,
	name: string,
	palette: Palette,
	clip?: Area,
): Promise<void> {
	await page.setViewportSize(screenSize(terminal.emulator));
	await page.setContent(`<body style="margin:0">${screenSvg(terminal.emulator, palette)}</body>`);
	await page.screenshot({path: path.join(here, name), ...(clip && {clip})});
	console.log(name);
}
