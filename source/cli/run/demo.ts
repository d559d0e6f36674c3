// `demo`: the whole main job without a network. A small origin on loopback serves a generated melody.
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

/** Everything the demo makes is in a temporary folder that goes with it. Resolves with the exit code. */
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

/** Without a screen. What is under way when the signal aborts ends at once. */
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

/** Streams a far seek, completes, verifies, exports. */
async function seekCompleteExport(
	origin: DemoOrigin,
	settings: Settings,
	stopped: AbortSignal,
): Promise<number> {
	const {url} = origin;
	const running = await start(settings);
	try {
		const end = printLines(running, settings);
		const {download} = await running.engine.add({url});
		await until(
			running.engine,
			({downloads}) => downloads.find(({id, size}) => id === download.id && size !== null),
			stopped,
		);
		await seekFar(running, download.id, url, stopped);
		const done = await until(
			running.engine,
			({downloads}) => downloads.find(found => found.id === download.id && isSettled(found)),
			stopped,
		);
		if (done.status !== 'complete') {
			return 1;
		}

		const {path: exported} = await running.engine.export(done.id, {path: settings.exportDir + path.sep});
		end();
		const sha256 = await hashOfFile(exported);
		if (sha256 !== origin.sha256()) {
			throw new Error(
				`the exported file differs from the origin's: sha256 ${sha256}, not ${origin.sha256()}`,
			);
		}

		const verified = {event: 'verified', path: exported, sha256};
		process.stdout.write(
			settings.json ? `${safeJson(verified)}\n` : `verified: ${exported} has sha256 ${sha256}\n`,
		);
		return 0;
	} finally {
		await running.dispose();
	}
}

/** As a player that jumps to the last tenth while the beginning is still downloading. */
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
		throw new Error('the stream gave other bytes than the origin');
	}

	const ms = Math.round(performance.now() - began);
	process.stderr.write(
		`demo: a player's jump to 90 % got its 64 KiB after ${ms} ms, while the rest downloads\n`,
	);
}

async function hashOfFile(file: string): Promise<string> {
	const hash = createHash('sha256');
	for await (const chunk of createReadStream(file)) {
		hash.update(chunk as Buffer);
	}

	return hash.digest('hex');
}
