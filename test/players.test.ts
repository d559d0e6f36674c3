import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {promisify} from 'node:util';
import {startChromium} from './support/chromium.ts';
import {downloadOf, startEngine, temporaryFolder, until, type TestEngine} from './support/engines.ts';
import {startNginx} from './support/nginx.ts';
import {missing} from './support/programs.ts';

const run = promisify(execFile);

/** A film whose frames all differ, made by ffmpeg: mp4 with its index at the end, or mkv. */
async function makeFilm(folder: string, name: string): Promise<void> {
	const codecs = [
		'-c:v',
		'libx264',
		'-preset',
		'ultrafast',
		'-g',
		'50',
		'-pix_fmt',
		'yuv420p',
		'-c:a',
		'aac',
	];
	const sources = [
		'-f',
		'lavfi',
		'-i',
		'testsrc2=size=640x360:rate=25',
		'-f',
		'lavfi',
		'-i',
		'sine=frequency=440',
	];
	await run('ffmpeg', [
		'-v',
		'error',
		...sources,
		'-t',
		'60',
		...codecs,
		'-b:v',
		'2M',
		path.join(folder, name),
	]);
}

type Played = TestEngine & {originUrl: string; streamUrl: string; id: string};

/** nginx gives each connection 1.5 MiB/s, so that the film is far from complete when players jump in it. */
async function startFilm(t: TestContext, name: string): Promise<Played> {
	const folder = await temporaryFolder(t);
	await makeFilm(folder, name);
	const originUrl = `${await startNginx(t, folder, {rate: '1536k'})}/${name}`;
	const running = await startEngine(t);
	const {download} = await running.engine.add({url: originUrl});
	const {streamUrl} = await until(running.engine, download.id, ({size}) => size !== null);
	return {...running, originUrl, streamUrl, id: download.id};
}

/** A line for each decoded frame with the hash of its pixels or samples. */
async function frames(url: string, from?: string): Promise<string> {
	const seek = from === undefined ? [] : ['-ss', from];
	const {stdout} = await run('ffmpeg', ['-v', 'error', ...seek, '-i', url, '-f', 'framemd5', '-'], {
		maxBuffer: 64 * 1024 * 1024,
	});
	return stdout;
}

for (const name of ['index-at-the-end.mp4', 'film.mkv']) {
	test(
		`ffmpeg decodes ${name} alike from the stream and from the origin, also after a seek`,
		{skip: missing('nginx', 'ffmpeg')},
		async t => {
			const {engine, id, originUrl, streamUrl} = await startFilm(t, name);
			const jumped = await frames(streamUrl, '48');
			assert.ok(downloadOf(engine, id).ranges.length > 0);
			assert.equal(jumped, await frames(originUrl, '48'));
			assert.ok(jumped.split('\n').length > 250, `${jumped.split('\n').length} frames after the seek`);
			assert.equal(await frames(streamUrl), await frames(originUrl));
		},
	);
}

test(
	'mpv plays from the middle while the film downloads',
	{skip: missing('nginx', 'ffmpeg', 'mpv')},
	async t => {
		const {engine, id, streamUrl} = await startFilm(t, 'film.mp4');
		const seen: string[] = [];
		engine.subscribe(() => seen.push(...downloadOf(engine, id).players.map(({name}) => name)));
		const settings = ['--no-config', '--vo=null', '--ao=null', '--start=45', '--length=2'];
		const {stdout} = await run('mpv', [...settings, '--term-playing-msg=plays from ${=time-pos}', streamUrl]);
		const from = Number(/plays from (\d+\.\d+)/.exec(stdout)?.[1]);
		assert.ok(from > 43 && from < 46, stdout);
		assert.ok(seen.length > 0, 'the player is in the snapshot');
		const complete = await until(engine, id, ({status}) => status === 'complete');
		assert.equal(complete.present, complete.size);
	},
);

test('mpv plays the playlist and shows its titles', {skip: missing('nginx', 'ffmpeg', 'mpv')}, async t => {
	const folder = await temporaryFolder(t);
	const tone = ['-f', 'lavfi', '-i', 'sine=frequency=440', '-t', '0.3'];
	await run('ffmpeg', ['-v', 'error', ...tone, path.join(folder, 'tone.wav')]);
	const originUrl = await startNginx(t, folder);
	const {engine, proxy} = await startEngine(t);
	const names = ['Übung, Teil 1 – 東京.wav', '100 % #1 & more.wav', 'tone.wav'];
	for (const name of names) {
		await engine.add({url: `${originUrl}/tone.wav?${encodeURIComponent(name)}`, name});
	}

	const playlist = `${proxy.origin}/playlist.m3u?key=${engine.key}`;
	// Without a title, mpv names a file by its URL; only the playlist has its title.
	const listed = names.map((_, index) => `\n${index} is \${playlist/${index}/title}`);
	const message = `--term-playing-msg=plays \${media-title}${listed.join('')}`;
	const {stdout} = await run('mpv', ['--no-config', '--vo=null', '--ao=null', message, playlist]);
	const said = (pattern: RegExp) => Array.from(stdout.matchAll(pattern), ([, title]) => title);
	assert.deepEqual(said(/^plays (.*)$/gm), names);
	assert.deepEqual(said(/^\d is (.*)$/gm).slice(0, names.length), names);
});

test('a video in Chromium plays and seeks', {skip: missing('nginx', 'ffmpeg', 'chromium')}, async t => {
	const {streamUrl} = await startFilm(t, 'film.mp4');
	const browser = await startChromium(t, '--autoplay-policy=no-user-gesture-required');
	const page = await browser.newPage();
	await page.goto(streamUrl, {waitUntil: 'commit'});
	const reached = await page.evaluate(`(async () => {
		const video = document.querySelector('video');
		const event = name => new Promise((resolve, reject) => {
			video.addEventListener(name, resolve, {once: true});
			video.addEventListener('error', () => reject(new Error(video.error?.message)), {once: true});
		});
		video.muted = true;
		if (video.readyState < 1) await event('loadedmetadata');
		const seeked = event('seeked');
		video.currentTime = 50;
		await seeked;
		const moved = event('timeupdate');
		await video.play();
		await moved;
		while (video.currentTime < 50.3) await event('timeupdate');
		return {time: video.currentTime, duration: video.duration, width: video.videoWidth};
	})()`);
	const {time, duration, width} = reached as {time: number; duration: number; width: number};
	assert.ok(time >= 50.3 && time < 60, `${time}`);
	assert.ok(Math.abs(duration - 60) < 1, `${duration}`);
	assert.equal(width, 640);
});
