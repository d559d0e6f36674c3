// A real engine with its proxy in a temporary folder, closed and removed at the end of the test.
import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {TestContext} from 'node:test';
import type {Download, DownloadId, DownloadEngine} from '../../source/downstream.ts';
import type {Engine} from '../../source/engine/engine.ts';
import type {EngineOptions} from '../../source/engine/options.ts';
import {until as untilSnapshot} from '../../source/wait.ts';
import type {ProxyServer} from '../../source/proxy/server.ts';
import {atEnd} from './cleanup.ts';
import {openEngine} from './open-engine.ts';
import {TestOrigin, type OriginOptions} from './origin.ts';

export async function temporaryFolder(t: TestContext, parent = tmpdir()): Promise<string> {
	const folder = await mkdtemp(path.join(parent, 'downstream-test-'));
	atEnd(t, () => rm(folder, {recursive: true, force: true}));
	return folder;
}

export async function startOrigin(t: TestContext, options: OriginOptions): Promise<TestOrigin> {
	const origin = await TestOrigin.start(options);
	atEnd(t, () => origin.close());
	return origin;
}

export type TestEngine = {engine: Engine; proxy: ProxyServer; storageDir: string; close: () => Promise<void>};

export async function startEngine(t: TestContext, options: Partial<EngineOptions> = {}): Promise<TestEngine> {
	const storageDir = options.storageDir ?? (await temporaryFolder(t));
	const {engine, proxy} = await openEngine({...options, storageDir});
	let closed: Promise<void> | undefined;
	const close = () => (closed ??= proxy.close().then(() => engine.dispose()));
	atEnd(t, close);
	return {engine, proxy, storageDir, close};
}

/** An origin, and an engine that downloads its file. */
export async function startDownload(
	t: TestContext,
	originOptions: OriginOptions,
	options?: Partial<EngineOptions>,
) {
	const origin = await startOrigin(t, originOptions);
	const running = await startEngine(t, options);
	const {download} = await running.engine.add({url: origin.url});
	return {origin, running, ...running, download};
}

export function downloadOf({snapshot}: DownloadEngine, id: DownloadId): Download {
	const download = snapshot.downloads.find(download => download.id === id);
	if (!download) {
		throw new Error(`${id} is not in the snapshot`);
	}

	return download;
}

/** How long a test waits before it fails with the last state. */
const patienceMs = 120_000;

/** Resolves with the download once a snapshot meets the condition. */
export async function until(
	downstream: DownloadEngine,
	id: DownloadId,
	condition: (download: Download) => boolean,
): Promise<Download> {
	const find = () => downstream.snapshot.downloads.find(download => download.id === id);
	const limit = new AbortController();
	const timer = setTimeout(() => limit.abort(), patienceMs);
	try {
		return await untilSnapshot(
			downstream,
			() => {
				const download = find();
				return download && condition(download) ? download : undefined;
			},
			limit.signal,
		);
	} catch (error) {
		throw limit.signal.aborted
			? new Error(`Timed out: ${JSON.stringify(find())}; ${condition.toString()}`)
			: error;
	} finally {
		clearTimeout(timer);
	}
}

/** Resolves with the download once it is complete or has failed. */
export async function untilEnded(downstream: DownloadEngine, id: DownloadId): Promise<Download> {
	return until(downstream, id, ({status}) => status === 'complete' || status === 'failed');
}
