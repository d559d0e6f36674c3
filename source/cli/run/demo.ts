// `demo`: all features without a network. A small origin on loopback serves a generated melody.
import {createHash} from 'node:crypto';
import {createReadStream} from 'node:fs';
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {DemoOrigin} from './demo-origin.ts';
import {isSettled, type DownloadId} from '../../downstream.ts';
import {safeJson} from '../../text/escape-controls.ts';
import {start, type EngineHost} from '../../host/engine-host.ts';
import {printLines} from './serve.ts';
import {until} from '../../wait.ts';
import type {Settings} from '../settings.ts';

const interrupted = 130;

/** Works in a temporary folder and deletes it at the end. Resolves with the exit code. */
export async function demo(settings: Settings, hasScreen: boolean, stopped: AbortSignal): Promise<number> {
	const folder = await mkdtemp(path.join(tmpdir(), 'downstream-demo-'));
	const origin = await DemoOrigin.start();
	const own: Settings = {
		...settings,
		proxy: 'direct',
		storageDir: path.join(folder, 'storage'),
		exportDir: path.join(folder, 'exported'),
	};
	try {
		if (hasScreen) {
			const {openDashboard} = await import('./open-dashboard.tsx');
			return await openDashboard([origin.url], own);
		}

		return await demonstrate(origin, own, stopped);
	} finally {
		await origin.close();
		await rm(folder, {recursive: true, force: true});
	}
}

/** Runs without a screen; ends at once when the signal aborts. */
async function demonstrate(origin: DemoOrigin, settings: Settings, stopped: AbortSignal): Promise<number> {
	try {
		return await seekCompleteExport(origin, settings, stopped);
	} catch (error) {
		if (stopped.aborted) {
			return interrupted;
		}

		throw error;
	}
}

/** Seeks far ahead, completes, exports and verifies. */
async function seekCompleteExport(
	origin: DemoOrigin,
	settings: Settings,
	stopped: AbortSignal,
): Promise<number> {
	const {url} = origin;
	const host = await start(settings);
	try {
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
		const sha256 = await hashOfFile(exported);
		if (sha256 !== origin.sha256()) {
			throw new Error(
				`the exported file differs from the original: sha256 ${sha256} instead of ${origin.sha256()}`,
			);
		}

		const verified = {event: 'verified', path: exported, sha256};
		process.stdout.write(
			settings.json ? `${safeJson(verified)}\n` : `verified: ${exported} has sha256 ${sha256}\n`,
		);
		return 0;
	} finally {
		await host.dispose();
	}
}

/** Reads as a player that jumps to the last tenth while the start is still downloading. */
async function seekFar(
	{engine}: EngineHost,
	id: DownloadId,
	url: string,
	signal: AbortSignal,
): Promise<void> {
	const {size, streamUrl} = engine.snapshot.downloads.find(download => download.id === id)!;
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

async function hashOfFile(file: string): Promise<string> {
	const hash = createHash('sha256');
	for await (const chunk of createReadStream(file)) {
		hash.update(chunk as Buffer);
	}

	return hash.digest('hex');
}
