// `demo`: all features without a network. A small origin on loopback serves a generated melody.
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {DemoOrigin, soundBytesPerSecond} from './demo-origin.ts';
import {byId, isSettled, type DownloadId} from '../../downstream.ts';
import {safeJson} from '../../text/escape-controls.ts';
import {start, type EngineHost} from '../../host/engine-host.ts';
import {sha256OfFile} from '../hash-file.ts';
import {printLines} from './serve.ts';
import {until} from '../../wait.ts';
import {interrupted} from '../output/exit-codes.ts';
import type {Settings} from '../settings.ts';

/** Bytes per second of each connection. On a screen there is time to open a player and to jump. */
const screenRate = 512 * 1024;
const linesRate = 3 * 1024 * 1024;
const hints = [
	'To play it, press o; or press c and run mpv URL in another terminal. Seek anywhere.',
	'The demo seeks too: to 60%, then to 85%. The bytes there are fetched first.',
];
/** The places that the player of the demo jumps to, and milliseconds at each, and before the first. */
const jumps = [0.6, 0.85];
const stayMs = 8000;

/** Works in a temporary folder and deletes it at the end. Resolves with the exit code. */
export async function demo(settings: Settings, hasScreen: boolean, stopped: AbortSignal): Promise<number> {
	const folder = await mkdtemp(path.join(tmpdir(), 'downstream-demo-'));
	const origin = await DemoOrigin.start({bytesPerSecond: hasScreen ? screenRate : linesRate});
	const own: Settings = {
		...settings,
		proxy: 'direct',
		storageDir: path.join(folder, 'storage'),
		exportDir: path.join(folder, 'exported'),
	};
	try {
		const host = await start(own);
		try {
			return await (hasScreen ? show(host, origin, own, stopped) : demonstrate(host, origin, own, stopped));
		} finally {
			await host.dispose();
		}
	} finally {
		await origin.close();
		await rm(folder, {recursive: true, force: true});
	}
}

/** The dashboard attaches to the host as to any other instance. */
async function show(
	host: EngineHost,
	{url}: DemoOrigin,
	settings: Settings,
	stopped: AbortSignal,
): Promise<number> {
	for (const hint of hints) {
		host.engine.addBanner(hint);
	}

	const closed = new AbortController();
	const jumping = jumpAround(host, closed.signal).catch(() => undefined);
	try {
		const {openDashboard} = await import('./open-dashboard.tsx');
		return await openDashboard([url], settings, stopped, false);
	} finally {
		closed.abort();
		await jumping;
	}
}

async function jumpAround({engine}: EngineHost, signal: AbortSignal): Promise<void> {
	const {size, streamUrl} = await until(
		engine,
		({downloads}) => downloads.find(download => download.size !== null),
		signal,
	);
	await sleep(stayMs, undefined, {signal});
	for (const place of jumps) {
		const until = AbortSignal.any([signal, AbortSignal.timeout(stayMs)]);
		await listen(streamUrl, Math.floor(size! * place), until).catch(() => undefined);
	}
}

/** Reads from this byte on, as fast as a player plays the sound. */
async function listen(streamUrl: string, start: number, signal: AbortSignal): Promise<void> {
	const headers = {range: `bytes=${start}-`, 'user-agent': 'demo-player/1.0'};
	const {body} = await fetch(streamUrl, {headers, signal});
	for await (const chunk of body!) {
		await sleep((chunk.length * 1000) / soundBytesPerSecond, undefined, {signal});
	}
}

/** Runs without a screen; ends at once when the signal aborts. */
async function demonstrate(
	host: EngineHost,
	origin: DemoOrigin,
	settings: Settings,
	stopped: AbortSignal,
): Promise<number> {
	try {
		return await seekCompleteExport(host, origin, settings, stopped);
	} catch (error) {
		if (stopped.aborted) {
			return interrupted;
		}

		throw error;
	}
}

/** Seeks far ahead, completes, exports and verifies. */
async function seekCompleteExport(
	host: EngineHost,
	origin: DemoOrigin,
	settings: Settings,
	stopped: AbortSignal,
): Promise<number> {
	const {url} = origin;
	const end = printLines(host, settings);
	const {download} = await host.engine.add({url});
	await until(
		host.engine,
		({downloads}) => downloads.find(({id, size}) => id === download.id && size !== null),
		stopped,
	);
	await seekFar(host, download.id, url, stopped);
	const done = await until(
		host.engine,
		({downloads}) => downloads.find(found => found.id === download.id && isSettled(found)),
		stopped,
	);
	if (done.status !== 'complete') {
		return 1;
	}

	const {path: exported} = await host.engine.export(done.id, {path: settings.exportDir + path.sep});
	end();
	const sha256 = await sha256OfFile(exported);
	if (sha256 !== origin.sha256()) {
		throw new Error(
			`the exported file differs from the original: sha256 ${sha256} instead of ${origin.sha256()}`,
		);
	}

	// The file itself is deleted at the end of the demo.
	const verified = {event: 'verified', name: path.basename(exported), sha256};
	process.stdout.write(
		settings.json
			? `${safeJson(verified)}\n`
			: `verified: the exported ${verified.name} has sha256 ${sha256}\n`,
	);
	return 0;
}

/** Reads as a player that jumps to the last tenth while the start is still downloading. */
async function seekFar(
	{engine}: EngineHost,
	id: DownloadId,
	url: string,
	signal: AbortSignal,
): Promise<void> {
	const {size, streamUrl} = byId(engine.snapshot.downloads, id)!;
	const start = Math.floor(size! * 0.9);
	const headers = {range: `bytes=${start}-${start + 65_535}`};
	const began = performance.now();
	const [ours, theirs] = await Promise.all(
		[streamUrl, url].map(async from => (await fetch(from, {headers, signal})).arrayBuffer()),
	);
	if (!Buffer.from(ours!).equals(Buffer.from(theirs!))) {
		throw new Error('the stream and the origin sent different bytes');
	}

	const ms = Math.round(performance.now() - began);
	process.stderr.write(
		`demo: a player that jumped to 90 % had its 64 KiB after ${ms} ms, during the download\n`,
	);
}
