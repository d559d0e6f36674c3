// An engine with its proxy: every command that serves starts it first and disposes of it last.
import {closeSync, openSync} from 'node:fs';
import path from 'node:path';
import {completed} from '../requests/add-requests.ts';
import {DownStreamError} from '../downstream.ts';
import {errorCode} from '../engine/store/disk-error.ts';
import {Engine} from '../engine/engine.ts';
import type {EngineOptions} from '../engine/options.ts';
import {prepareTls} from '../engine/http/trust.ts';
import {writeViewKey} from '../engine/store/record-store.ts';
import {Logger, type LogLevel} from '../log.ts';
import {ProxyServer} from '../proxy/server.ts';
import type {Netrc} from '../requests/netrc.ts';

/** Milliseconds until TLS is loaded for the first origin that needs it; by then a short `get` has ended. */
export const tlsAfterMs = 500;

export type EngineHost = {
	readonly engine: Engine;
	readonly leases: ProxyServer['leases'];
	/** Closes connections, saves, and releases the port and the storage folder. */
	dispose(): Promise<void>;
};

/** The options of the engine, its proxy and its log. */
export type HostSettings = Omit<EngineOptions, 'responseTimeout'> & {
	readonly port: number;
	/** Reject with `port-taken` instead of trying the next port. */
	readonly exactPort: boolean;
	/** Origins of web pages that may use the proxy. */
	readonly allowOrigins: readonly string[];
	/** Serve streams to requests without a key. */
	readonly openStream: boolean;
	/** Logins by host. */
	readonly netrc?: Netrc | undefined;
	/** `responseTimeout` of the engine. */
	readonly timeout?: number;
	readonly logFile?: string | undefined;
	readonly logLevel?: LogLevel;
};

/**
 * Rejects with `storage-locked`, `port-taken`, `disk-failed`, or `bad-request` for an unwritable log. `headersForAll`
 * applies the headers of the settings to every added download, not only to downloads of the command line.
 */
export async function start(settings: HostSettings, {headersForAll = false} = {}): Promise<EngineHost> {
	if (settings.logFile !== undefined) {
		logTo(path.resolve(settings.logFile), settings.logLevel);
	}

	const headers = headersForAll ? settings.headers : undefined;
	const engine = await Engine.open({...settings, headers, responseTimeout: settings.timeout});
	let proxy: ProxyServer | undefined;
	let preparation: NodeJS.Timeout | undefined;
	const dispose = async () => {
		clearTimeout(preparation);
		await proxy?.close();
		await engine.dispose();
	};
	try {
		const {port, exactPort, allowOrigins, openStream} = settings;
		proxy = await ProxyServer.listen({
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

		await Promise.all([
			// `serve --json` prints it on a read-only disk.
			writeViewKey(settings.storageDir, engine.viewKey).catch(() => undefined),
			engine.publish(proxy.origin),
		]);
		preparation = setTimeout(() => void prepareTls(settings.ca).catch(() => undefined), tlsAfterMs);
		const {leases} = proxy;
		return {engine: leases.without(engine), leases, dispose};
	} catch (error) {
		await dispose();
		throw error;
	}
}

/**
 * An engine without a proxy: its queue has no place, so it fetches nothing. Rejects with `storage-locked` or
 * `disk-failed`.
 */
export function openOffline({storageDir}: Pick<HostSettings, 'storageDir'>): Promise<Engine> {
	return Engine.open({storageDir, maxActive: 0});
}

function logTo(file: string, level: LogLevel | undefined): void {
	try {
		closeSync(openSync(file, 'a', 0o600));
	} catch (error) {
		throw new DownStreamError('bad-request', `--log ${file}: it is not writable (${errorCode(error)})`, {
			cause: error,
		});
	}

	Logger.toFile(file, level);
}
