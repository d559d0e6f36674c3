// An engine with its proxy: every command that serves starts it first and disposes of it last.
import {closeSync, openSync} from 'node:fs';
import path from 'node:path';
import {completed} from '../requests/add-requests.ts';
import {DownStreamError} from '../downstream.ts';
import {errorCode} from '../engine/store/disk-error.ts';
import {Engine, type EngineOptions} from '../engine/engine.ts';
import {Logger, type LogLevel} from '../log.ts';
import {ProxyServer} from '../proxy/server.ts';
import type {Netrc} from '../requests/netrc.ts';

export type EngineHost = {
	readonly engine: Engine;
	readonly proxy: ProxyServer;
	/** Closes connections, saves, and releases the port and the storage folder. */
	dispose(): Promise<void>;
};

/** The settings of an engine and its proxy, without those of the screen and of single commands. */
export type HostSettings = {
	readonly port: number;
	/** Reject with `port-taken` instead of taking another port. */
	readonly exactPort: boolean;
	readonly storageDir: string;
	readonly userAgent: string | undefined;
	readonly proxy: string | undefined;
	readonly headers: Readonly<Record<string, string>>;
	readonly connections: number;
	readonly maxActive: number;
	/** Bytes per second; Infinity for no limit. */
	readonly limitRate: number;
	readonly onDemand: boolean;
	/** Bytes; Infinity for no limit. */
	readonly cacheSize: number;
	/** Certificates in PEM to trust besides the built-in ones. */
	readonly ca: string | undefined;
	readonly insecure: boolean;
	/** Origins of web pages that may use the proxy. */
	readonly allowOrigins: readonly string[];
	readonly openStream: boolean;
	/** The largest read-ahead per player, in bytes. */
	readonly readAhead?: number;
	/** The words of a command that resolves an item into a link. */
	readonly resolveWith?: readonly string[] | undefined;
	readonly netrc?: Netrc | undefined;
	/** Milliseconds for an origin's first response. */
	readonly timeout?: number;
	readonly logFile?: string | undefined;
	readonly logLevel?: LogLevel;
	/** Which downloads of the list fill in the background. */
	readonly fill?: EngineOptions['fill'];
};

/**
 * Rejects with `storage-locked`, `port-taken`, `disk-failed`, or `bad-request` for an unwritable log. `headersForAll`
 * applies the headers of the settings to every added download, not only to those of the command line.
 */
export async function start(settings: HostSettings, {headersForAll = false} = {}): Promise<EngineHost> {
	if (settings.logFile !== undefined) {
		logTo(path.resolve(settings.logFile), settings.logLevel);
	}

	const engine = await Engine.open({
		storageDir: settings.storageDir,
		userAgent: settings.userAgent,
		proxy: settings.proxy,
		connections: settings.connections,
		maxActive: settings.maxActive,
		limitRate: settings.limitRate,
		onDemand: settings.onDemand,
		readAhead: settings.readAhead,
		answerTimeout: settings.timeout,
		resolveWith: settings.resolveWith,
		fill: settings.fill,
		...(settings.cacheSize === Infinity ? {} : {cacheSize: settings.cacheSize}),
		tls: {ca: settings.ca, insecure: settings.insecure},
		...(headersForAll ? {headers: settings.headers} : {}),
	});
	try {
		const {port, exactPort, allowOrigins, openStream} = settings;
		const headers = headersForAll ? settings.headers : undefined;
		const proxy = await ProxyServer.listen({
			engine,
			port,
			exactPort,
			allowOrigins,
			openStream,
			prepareAdd: request =>
				completed({...(headers && {headers}), ...request}, settings, engine.snapshot.downloads),
		});
		if (proxy.takenPort !== undefined) {
			engine.addBanner(
				`Port ${proxy.takenPort} is in use by another program; streams are at ${proxy.origin}`,
			);
		}

		await engine.publish(proxy.origin);
		return {
			engine,
			proxy,
			async dispose() {
				await proxy.close();
				await engine.dispose();
			},
		};
	} catch (error) {
		await engine.dispose();
		throw error;
	}
}

/**
 * An engine for the storage folder alone: its queue has no slot, so it fetches nothing, and it has no proxy. Rejects
 * with `storage-locked` or `disk-failed`.
 */
export function openOffline({storageDir}: Pick<HostSettings, 'storageDir'>): Promise<Engine> {
	return Engine.open({storageDir, maxActive: 0});
}

function logTo(file: string, level: LogLevel | undefined): void {
	try {
		closeSync(openSync(file, 'a', 0o600));
	} catch (error) {
		throw new DownStreamError('bad-request', `--log ${file}: it cannot be written to (${errorCode(error)})`, {
			cause: error,
		});
	}

	Logger.toFile(file, level);
}
