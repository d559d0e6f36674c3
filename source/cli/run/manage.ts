// What is told to the copy that runs on the storage folder, or done with the folder itself while none runs.
import {addAll, requestsForRemote} from '../../requests/add-requests.ts';
import type {CommandName} from '../commands.ts';
import {cleanText, padText} from '../../text/clean-text.ts';
import {amount, substituteOf, stateWords} from '../../text/status-words.ts';
import {DownStreamError, type Download, type DownloadEngine} from '../../downstream.ts';
import {withoutCredentials} from '../../engine/origin/http-source.ts';
import {safeJson} from '../../text/escape-controls.ts';
import {maskUrl} from '../../text/mask-url.ts';
import {withHint} from '../../text/hints.ts';
import {openOffline} from '../../host/engine-host.ts';
import {attach} from '../../host/find-instance.ts';
import type {Settings} from '../settings.ts';

export type CommandOutput = {
	/** One line of the result. */
	result(text: string): void;
	error(message: string): void;
};

type ManageCommand = {
	/** It needs no copy that runs. */
	readonly worksOffline?: true;
	/** Resolves with whether all went well. */
	run(downstream: DownloadEngine, words: readonly string[], context: Context): Promise<boolean>;
};

type Context = {readonly settings: Settings; readonly output: CommandOutput};

const commands = {
	add: {run: add},
	list: {worksOffline: true, run: list},
	url: {
		worksOffline: true,
		async run({snapshot}, [id], {settings, output}) {
			output.result(streamUrlOf(findDownload(snapshot.downloads, id!), settings));
			return true;
		},
	},
	pause: onEach((downstream, {id}) => downstream.pause(id)),
	resume: onEach((downstream, {id}) => downstream.resume(id)),
	cancel: onEach((downstream, {id}) => downstream.cancel(id)),
	remove: {
		// Nobody can take it back: the command has ended.
		...onEach((downstream, {id}, {settings}) =>
			downstream.remove(id, settings.deleteData ? {data: 'delete', undoMs: 0} : {data: 'keep'}),
		),
		worksOffline: true,
	},
	export: {
		worksOffline: true,
		async run(downstream, [id, path], {output}) {
			const download = findDownload(downstream.snapshot.downloads, id!);
			const written = await downstream.export(download.id, {path: path!});
			output.result(written.path);
			return true;
		},
	},
	verify: {...onEach(verify), worksOffline: true},
} as const satisfies Partial<Readonly<Record<CommandName, ManageCommand>>>;

/** Resolves with whether all went well. The words must be as many as the command takes. */
export async function runCommand(
	name: keyof typeof commands,
	words: readonly string[],
	settings: Settings,
	output: CommandOutput,
): Promise<boolean> {
	const command: ManageCommand = commands[name];
	const copy = await attach(settings.storageDir);
	const downstream = copy ?? (command.worksOffline && (await openOffline(settings)));
	if (!downstream) {
		throw new DownStreamError(
			'not-found',
			`${name}: no copy of this program runs on ${settings.storageDir}; downstream-tui serve starts one`,
		);
	}

	try {
		// A copy that runs has told what it found in its folder.
		for (const banner of copy ? [] : downstream.snapshot.banners) {
			output.error(banner);
		}

		return await command.run(downstream, words, {settings, output});
	} finally {
		await downstream.dispose();
	}
}

/**
 * Hands URLs to the copy that runs, and tells where that is if there are none. Resolves with whether it took all of
 * them, or with undefined if no copy runs.
 */
export async function forwardUrls(
	urls: readonly string[],
	settings: Settings,
	output: CommandOutput,
): Promise<boolean | undefined> {
	const client = await attach(settings.storageDir);
	try {
		if (client && urls.length === 0) {
			output.result(`downstream-tui is already running: ${client.snapshot.origin}`);
		}

		return client && (await add(client, urls, {settings, output}));
	} finally {
		await client?.dispose();
	}
}

/** Hands URLs to a copy that runs; resolves with whether it took all of them. */
async function add(
	downstream: DownloadEngine,
	urls: readonly string[],
	{settings, output}: Context,
): Promise<boolean> {
	let isGood = true;
	const requestsOf = (word: string) => requestsForRemote(word, settings);
	const added = await addAll(downstream, urls, requestsOf, error => {
		isGood = false;
		output.error(withHint(error));
	});
	for (const download of added) {
		output.result(
			settings.json ? jsonOf(download, settings) : lineOf(download, downstream.snapshot.downloads),
		);
	}

	return isGood;
}

async function list(
	{snapshot}: DownloadEngine,
	_words: unknown,
	{settings, output}: Context,
): Promise<boolean> {
	const {downloads} = snapshot;
	if (settings.json) {
		output.result(`[${downloads.map(download => jsonOf(download, settings)).join(',')}]`);
	} else {
		for (const download of downloads) {
			output.result(lineOf(download, downloads));
		}
	}

	return true;
}

async function verify(downstream: DownloadEngine, {id, name}: Download, {output}: Context): Promise<void> {
	const {damaged} = await downstream.verify(id);
	if (damaged.length > 0) {
		const bytes = damaged.reduce((sum, [start, end]) => sum + end - start, 0);
		throw new DownStreamError(
			'incomplete',
			`${cleanText(name)}: ${bytes} bytes were damaged, and are missing now`,
		);
	}

	output.result(`${cleanText(name)}: every byte is as it was written`);
}

/** All are looked up before anything is done: numbers of the list change with it. */
function onEach(
	act: (downstream: DownloadEngine, download: Download, context: Context) => Promise<void>,
): ManageCommand {
	return {
		async run(downstream, ids, context) {
			const {downloads} = downstream.snapshot;
			let isGood = true;
			for (const download of new Set(ids.map(id => findDownload(downloads, id)))) {
				try {
					await act(downstream, download, context);
				} catch (error) {
					if (!(error instanceof DownStreamError)) {
						throw error;
					}

					isGood = false;
					context.output.error(withHint(error));
				}
			}

			return isGood;
		},
	};
}

/**
 * By its id, its number in the list, its URL, or the beginning of its id if no other begins so. Throws `not-found`, or
 * `bad-request` where that could be several.
 */
export function findDownload(downloads: readonly Download[], word: string): Download {
	const numbered = /^[1-9]\d{0,5}$/.test(word) ? downloads[Number(word) - 1] : undefined;
	const url = urlOf(word);
	const exact = downloads.find(({id, streamUrl, item}) => [id, streamUrl, item].includes(word));
	const found = exact ?? numbered;
	if (found) {
		return found;
	}

	const several = downloads.filter(download =>
		url === undefined ? word !== '' && download.id.startsWith(word.toLowerCase()) : download.url === url,
	);
	const [only] = several;
	const shown = cleanText(maskUrl(word));
	if (!only) {
		throw new DownStreamError('not-found', `There is no download ${shown}; downstream-tui list shows them`);
	}

	if (several.length > 1) {
		const ids = several.map(({id}) => id.slice(0, shortId));
		throw new DownStreamError('bad-request', `${shown} could be any of ${ids.join(', ')}`);
	}

	return only;
}

const shortId = 8;

function urlOf(word: string): string | undefined {
	return /^https?:\/\//i.test(word) && URL.canParse(word) ? withoutCredentials(word).url.href : undefined;
}

function lineOf(download: Download, downloads: readonly Download[]): string {
	const number = downloads.findIndex(({id}) => id === download.id) + 1;
	const {word} = stateWords(download, Date.now(), true);
	const substitute = substituteOf(download)?.words;
	return [
		padText(number > 0 ? String(number) : '', 3, {align: 'right'}),
		download.id.slice(0, shortId),
		padText(word, 11),
		padText(amount(download), 22),
		cleanText(download.name),
		...(substitute === undefined ? [] : [substitute]),
	].join('  ');
}

/** As the control API has it, but for the secrets in its URL. */
function jsonOf(download: Download, settings: Settings): string {
	return safeJson({
		...download,
		url: maskUrl(download.url),
		item: download.item && maskUrl(download.item),
		streamUrl: streamUrlOf(download, settings),
	});
}

/** While nothing runs, where it will be: as long as the port is free then. */
function streamUrlOf({streamUrl}: Download, {port}: Settings): string {
	return streamUrl.startsWith('/') ? `http://127.0.0.1:${port}${streamUrl}` : streamUrl;
}
