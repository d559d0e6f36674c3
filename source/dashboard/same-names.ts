// Tells downloads of the same name apart, by what differs in their links.
import type {Download, DownloadId} from '../downstream.ts';
import {cleanText} from '../text/clean-text.ts';
import {decoded} from '../text/decoded.ts';
import {maskUrl} from '../text/mask-url.ts';

/** The words beside the name; none for a name that occurs once. */
export type Origins = ReadonlyMap<DownloadId, string>;

let last: {readonly downloads: readonly Download[]; readonly origins: Origins} = {
	downloads: [],
	origins: new Map(),
};

/** The host, else a folder of the path, else the number in the list. Computed again only after a change of these. */
export function originsOf(downloads: readonly Download[]): Origins {
	const isSame =
		downloads.length === last.downloads.length &&
		downloads.every((download, index) => {
			const {id, name, url} = last.downloads[index]!;
			return download.id === id && download.name === name && download.url === url;
		});
	if (!isSame) {
		last = {downloads, origins: computedOrigins(downloads)};
	}

	return last.origins;
}

function computedOrigins(downloads: readonly Download[]): Origins {
	const alike = new Map<string, number[]>();
	for (const [index, {name}] of downloads.entries()) {
		const indexes = alike.get(name) ?? [];
		indexes.push(index);
		alike.set(name, indexes);
	}

	return new Map(
		Array.from(alike.values()).flatMap(indexes => {
			const places = indexes.length > 1 ? indexes.map(index => placesOf(downloads[index]!)) : [];
			const depth = Math.max(0, ...places.map(({length}) => length));
			const level = Array.from({length: depth}, (_, each) => each).find(
				each => new Set(places.map(place => place[each])).size === indexes.length,
			);
			return places.map((place, at): [DownloadId, string] => {
				const index = indexes[at]!;
				const words = level === undefined ? undefined : place[level];
				return [downloads[index]!.id, words ?? `#${index + 1}`];
			});
		}),
	);
}

/** The host, then the folders, the innermost first. */
function placesOf({url}: Download): string[] {
	const {host, pathname} = new URL(maskUrl(url));
	const folders = pathname.split('/').slice(1, -1).toReversed();
	return [host, ...folders].map(part => cleanText(decoded(part)));
}
