// Makes the pictures of the readme: the real program in a pseudo-terminal, with real downloads that mpv plays.
import {execFileSync, spawn} from 'node:child_process';
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {chromium, type Page} from 'playwright-core';
import {withoutTest} from '../test/support/cleanup.ts';
import {startOrigin, temporaryFolder} from '../test/support/engines.ts';
import {startNginx} from '../test/support/nginx.ts';
import {TestTerminal} from '../test/support/terminal.ts';
import {darkPalette, lightPalette, screenSize, screenSvg, type Palette} from './screen-svg.ts';

const MiB = 1024 * 1024;
const here = import.meta.dirname;
const frames = {count: 100, perSecond: 8};

const {t, end} = withoutTest();

const scratch = await mkdtemp(path.join(tmpdir(), 'downstream-pictures-'));
const browser = await chromium.launch({executablePath: '/usr/bin/chromium', args: ['--no-sandbox']});
const page = await browser.newPage({deviceScaleFactor: 1.5});
try {
	await makeAll(page);
} finally {
	await browser.close();
	await end();

	await rm(scratch, {recursive: true, force: true});
}

process.exit();

async function makeAll(page: Page): Promise<void> {
	const film = path.join(scratch, 'Big.Buck.Bunny.2160p.60fps.x265-GROUP.mkv');
	execFileSync('ffmpeg', [
		...['-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=25', '-t', '400'],
		...['-c:v', 'libx264', '-preset', 'ultrafast', '-b:v', '6M', '-minrate', '6M', '-maxrate', '6M'],
		...['-bufsize', '6M', '-x264-params', 'nal-hrd=cbr', film],
	]);
	const nginx = await startNginx(t, scratch, {rate: '1500k'});
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
		`${nginx}/${path.basename(film)}`,
		slow.urlOf('/ubuntu-26.04-desktop-amd64.iso'),
		slow.urlOf('/%E7%B7%9A%E5%BD%A2%E4%BB%A3%E6%95%B0%E3%81%AE%E5%9F%BA%E7%A4%8E%EF%BC%88%E5%AE%8C%E5%85%A8%E7%89%88%EF%BC%89.mp4'),
		live.urlOf('/live-recording.ts'),
		refused.urlOf('/dataset-2026-part-003.tar.zst'),
		small.urlOf('/podcast-ep-214.mp3'),
		slow.urlOf('/model-weights.safetensors'),
	];

	const terminal = await start([...urls, '--max-active', '5'], {columns: 120, rows: 40});
	await terminal.shows(/✓ podcast/);
	terminal.press('jj');
	await sleep(300);
	terminal.press('p');
	await terminal.shows(/‖ 線形/);
	terminal.press('g');
	await sleep(1500);
	// From the link behind the text, which is cut.
	// oxlint-disable-next-line no-control-regex -- it ends so
	const [, streamUrl = ''] = /\]8;;(http:\/\/127\S+?\.mkv)\u0007/.exec(terminal.raw) ?? [];
	const pictures: string[] = [];
	const recording = (async () => {
		for (let frame = 0; frame < frames.count; frame++) {
			pictures.push(screenSvg(terminal.emulator, darkPalette));
			await sleep(1000 / frames.perSecond);
		}
	})();
	await sleep(2500);
	play(streamUrl, '62%');
	await sleep(4000);
	play(streamUrl, '85%');
	await sleep(3000);
	await picture(page, terminal, 'list.png', darkPalette);
	await recording;
	terminal.press('\r');
	await terminal.shows('Folder');
	await sleep(600);
	await picture(page, terminal, 'details.png', darkPalette);
	terminal.press('\u001B');
	await terminal.shows('by: added');
	terminal.paste(
		`curl '${small.urlOf('/lecture-08.mp4')}' -H 'Authorization: Bearer abcdef' -H 'Cookie: session=12' -x socks5h://me:pw@127.0.0.1:1080`,
	);
	await terminal.shows('Authorization');
	await sleep(300);
	await picture(page, terminal, 'add.png', darkPalette);
	terminal.press('\u001B');
	await terminal.shows('by: added');
	terminal.resize(60, 15);
	await sleep(800);
	await picture(page, terminal, 'narrow.png', darkPalette);
	terminal.signal('SIGTERM');
	await terminal.exit();

	for (const [name, args, palette, theme] of [
		['light.png', [], lightPalette, 'light'],
		['ascii.png', ['--ascii'], darkPalette, 'plain'],
	] as const) {
		const other = await start([...urls, ...args, '--max-active', '5'], {columns: 100, rows: 30}, theme);
		await other.shows(/[✓C] podcast/);
		await sleep(4000);
		await picture(page, other, name, palette);
		other.signal('SIGTERM');
		await other.exit();
	}

	await animation(page, pictures);
}

async function start(args: string[], size: {columns: number; rows: number}, theme = 'dark'): Promise<TestTerminal> {
	const storage = await temporaryFolder(t);
	return TestTerminal.start(t, ['--port', '0', '--theme', theme, '--storage', storage, ...args], {
		...size,
		env: {COLORTERM: 'truecolor'},
	});
}

function play(url: string, from: string): void {
	const player = spawn('mpv', ['--no-config', '--vo=null', '--ao=null', `--start=${from}`, url], {stdio: 'ignore'});
	t.after(() => player.kill());
	setTimeout(() => player.kill(), 20_000);
}

async function picture(page: Page, terminal: TestTerminal, name: string, palette: Palette): Promise<void> {
	await page.setViewportSize(screenSize(terminal.emulator));
	await page.setContent(`<body style="margin:0">${screenSvg(terminal.emulator, palette)}</body>`);
	await page.screenshot({path: path.join(here, name)});
	console.log(name);
}

async function animation(page: Page, pictures: readonly string[]): Promise<void> {
	const folder = path.join(scratch, 'frames');
	await mkdir(folder);
	for (const [index, svg] of pictures.entries()) {
		await page.setContent(`<body style="margin:0">${svg}</body>`);
		const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(svg)!;
		await page.setViewportSize({width: Number(width), height: Number(height)});
		await writeFile(path.join(folder, `${String(index).padStart(4, '0')}.png`), await page.screenshot());
	}

	execFileSync('ffmpeg', [
		...['-v', 'error', '-y', '-framerate', String(frames.perSecond), '-i', path.join(folder, '%04d.png')],
		...['-vf', 'scale=1034:-1', '-loop', '0', '-quality', '75', '-compression_level', '6'],
		path.join(here, 'demo.webp'),
	]);
	console.log('demo.webp');
}
