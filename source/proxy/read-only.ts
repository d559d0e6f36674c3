// The engine for holders of the view key: read-only, with the secrets in URLs masked. Pure.
import type {Download, DownloadEngine, Snapshot} from '../downstream.ts';
import {maskUrl} from '../text/mask-url.ts';

export type ReadOnly = Pick<DownloadEngine, 'snapshot' | 'subscribe'>;

/** Unchanged downloads keep their identity from one snapshot to the next, as the engine's do. */
export function withoutSecrets(engine: ReadOnly): ReadOnly {
	const masked = new WeakMap<Download, Download>();
	const mask = (download: Download): Download => {
		const known = masked.get(download);
		if (known) {
			return known;
		}

		const {url, item} = download;
		const made = {...download, url: maskUrl(url), item: item === null ? null : maskUrl(item)};
		masked.set(download, made);
		return made;
	};
	let latest: {of: Snapshot; masked: Snapshot} | undefined;
	return {
		get snapshot() {
			const {snapshot} = engine;
			if (latest?.of !== snapshot) {
				latest = {of: snapshot, masked: {...snapshot, downloads: snapshot.downloads.map(mask)}};
			}

			return latest.masked;
		},
		subscribe: listener => engine.subscribe(listener),
	};
}
