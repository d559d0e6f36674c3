// The data source of each download, and the URLs that are refused as one.
import {DownStreamError} from '../downstream.ts';
import {Logger} from '../log.ts';
import {decoded} from '../text/decoded.ts';
import {maskUrl} from '../text/mask-url.ts';
import type {NewLink} from './download/transfer-services.ts';
import {checkedHeaders} from './http/headers.ts';
import {isLoopback} from './http/hosts.ts';
import {MissingDataSource, type DataSource} from './origin/data-source.ts';
import {CustomHeaderDataSource, withoutCredentials} from './origin/http-source.ts';
import {resolveLink} from './origin/link-resolver.ts';
import type {EngineOptions} from './options.ts';
import {headersFor} from './record-input.ts';
import type {DownloadRecord} from './store/record.ts';

type OwnStreams = {
	/** `http://127.0.0.1:PORT`; empty until the proxy listens. */
	origin(): string;
	/** The key of the proxy and its view key. */
	readonly keys: readonly string[];
	/** True if the id is that of a download of this engine. */
	isKnown(id: string): boolean;
};

export class Sources {
	readonly #options: EngineOptions;
	readonly #own: OwnStreams;

	constructor(options: EngineOptions, own: OwnStreams) {
		this.#options = options;
		this.#own = own;
	}

	of(record: DownloadRecord): DataSource {
		if (record.ownSource) {
			return new MissingDataSource(record.url);
		}

		const {userAgent, proxy, connections, ca, insecure} = this.#options;
		return new CustomHeaderDataSource({
			url: record.url,
			customHeaders: record.headers,
			userAgent: record.userAgent ?? userAgent,
			proxy: record.proxy ?? proxy,
			connections: record.connections ?? connections,
			tls: {ca, insecure},
			isOwnStream: url => this.#isOwnStream(url),
		});
	}

	/** Resolves the download's item to another link; undefined where no command does. */
	newLink(record: DownloadRecord): NewLink | undefined {
		const {item, resolveWith} = record;
		const command = this.#options.resolveWith ?? resolveWith;
		if (item === undefined || !command) {
			return undefined;
		}

		return async signal => {
			const link = await resolveLink(command, item, signal);
			const {url, credentials} = withoutCredentials(link.url);
			this.refuseOwnStream(url);
			const known = checkedHeaders({...headersFor(url, record), ...credentials});
			const headers = checkedHeaders({...known, ...link.headers});
			Logger.info(`${record.id}: new link ${maskUrl(url.href)}`);
			const change = {url: url.href, headers};
			return {change, source: this.of({...record, ...change})};
		};
	}

	/** Throws `bad-request` for a stream of this program: its download would wait for its own bytes. */
	refuseOwnStream(url: URL): void {
		if (this.#isOwnStream(url)) {
			throw new DownStreamError(
				'bad-request',
				"that is this program's own stream; give the URL of the file itself",
			);
		}
	}

	/** At another port, such as that of a tunnel, the id or the key identifies it. */
	#isOwnStream({hostname, port, pathname, searchParams}: URL): boolean {
		const [area = '', id = ''] = decoded(pathname)
			.split('/')
			.filter(segment => segment !== '');
		const origin = this.#own.origin();
		const isOurPort = URL.canParse(origin) && new URL(origin).port === port;
		const isOurs =
			(isOurPort && isLoopback(hostname)) ||
			this.#own.isKnown(id) ||
			this.#own.keys.includes(searchParams.get('key') ?? '');
		return ['stream', 'playlist.m3u', 'api'].includes(area) && isOurs;
	}
}
