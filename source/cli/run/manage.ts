// Commands that manage the list: sent to the running instance, or applied to the storage folder while none runs.
import {addAll, requestsForRemote} from '../../requests/add-requests.ts';
import type {CommandName} from '../commands.ts';
import {cleanText, padText} from '../../text/clean-text.ts';
import {watchWords} from '../../text/film-words.ts';
import {safeWords} from '../../text/safe-words.ts';
import {formatPercent, shortId} from '../../text/format.ts';
import {amount, queueReason, substituteOf, stateWords} from '../../text/status-words.ts';
import {
	DownStreamError,
	isFetching,
	type Download,
	type DownloadEngine,
	type ErrorCode,
} from '../../downstream.ts';
import {safeJson} from '../../text/escape-controls.ts';
import {maskUrl} from '../../text/mask-url.ts';
import {withHint} from '../../text/hints.ts';
import {openOffline} from '../../host/engine-host.ts';
import {attach} from '../../host/find-instance.ts';
import {aborted} from '../../wait.ts';
import type {CommandContext, CommandOutput} from './command-context.ts';
import {findDownload, findDownloads, type Found} from './find-download.ts';
import {existsHint} from './get/target.ts';
import {removedDownloads} from './removed-downloads.ts';
import {makeSafe} from './safe.ts';
import type {Settings} from '../settings.ts';

type ManageCommand = {
	/** Works on the storage folder while no instance runs. */
	readonly worksOffline?: true;
	/** Resolves with false if anything failed. The number of words must fit the command. */
	run(downstream: DownloadEngine, words: readonly string[], context: CommandContext): Promise<boolean>;
};

export type ManageCommandName = keyof typeof manageCommands;

const exportHints: Partial<Record<ErrorCode, string>> = {
	'target-exists': existsHint,
	incomplete: '--when-complete exports it once it is complete',
};

export const manageCommands = {
	add: {run: add},
	list: {worksOffline: true, run: list},
	url: {
		async run({snapshot}, [id], {output}) {
			output.result(findDownload(snapshot.downloads, id!).streamUrl);
			return true;
		},
	},
	pause: onEach((downstream, {id}) => downstream.pause(id)),
	resume: onEach((downstream, {id}) => downstream.resume(id)),
	cancel: onEach((downstream, {id}) => downstream.cancel(id)),
	remove: {
		// No undo: the command ends before anyone could use it.
		...onEach(
			(downstream, {id}, {settings}) =>
				downstream.remove(id, settings.deleteData ? {data: 'delete', undoMs: 0} : {data: 'keep'}),
			async ({deleteData, storageDir}) =>
				deleteData && storageDir !== undefined ? removedDownloads(storageDir) : [],
		),
		worksOffline: true,
	},
	export: {
		worksOffline: true,
		async run(downstream, [id, path], {settings, output}) {
			const download = findDownload(downstream.snapshot.downloads, id!);
			const {overwrite, keepBoth, move, whenComplete} = settings;
			const when = whenComplete ? 'complete' : 'now';
			try {
				const request = {path: path!, overwrite, keepBoth, move, when} as const;
				output.result((await downstream.export(download.id, request)).path);
				return true;
			} catch (error) {
				const hint = error instanceof DownStreamError && exportHints[error.code];
				throw hint ? new DownStreamError(error.code, `${error.message}; ${hint}`, error) : error;
			}
		},
	},
	safe: {run: makeSafe},
	verify: {...onEach(verify), worksOffline: true},
} as const satisfies Partial<Readonly<Record<CommandName, ManageCommand>>>;

/** Runs a command of the command line. Resolves with false if anything failed, or the signal aborts. */
export async function runCommand(
	name: ManageCommandName,
	words: readonly string[],
	settings: Settings,
	output: CommandOutput,
	stopped: AbortSignal,
): Promise<boolean> {
	const command: ManageCommand = manageCommands[name];
	const client = await attach(settings.storageDir);
	const downstream = client ?? (command.worksOffline && (await openOffline(settings)));
	if (!downstream) {
		throw new DownStreamError(
			'not-found',
			`${name}: no instance is running on ${settings.storageDir}; start one with downstream-tui serve`,
		);
	}

	try {
		// A running instance has already shown its own banners.
		for (const banner of client ? [] : downstream.snapshot.banners) {
			output.error(banner);
		}

		const context = {...contextOf(settings, output, stopped), isOffline: !client};
		return await untilStopped(command.run(downstream, words, context), stopped);
	} finally {
		await downstream.dispose();
	}
}

/**
 * Sends URLs to the running instance; without URLs, prints its address. Resolves with false if it refused one, or with
 * undefined if no instance is running.
 */
export async function forwardUrls(
	urls: readonly string[] | Promise<readonly string[]>,
	settings: Settings,
	output: CommandOutput,
	stopped: AbortSignal,
): Promise<boolean | undefined> {
	const client = await attach(settings.storageDir);
	if (!client) {
		return undefined;
	}

	try {
		const given = await urls;
		if (given.length === 0) {
			output.result(`downstream-tui is already running: ${client.snapshot.origin}`);
			if (settings.plain) {
				output.result(
					'Control it with downstream-tui list, add URL, pause ID. For typed commands, use another --storage.',
				);
			}
		}

		return await untilStopped(add(client, given, contextOf(settings, output, stopped)), stopped);
	} finally {
		await client.dispose();
	}
}

function contextOf(settings: Settings, output: CommandOutput, stopped: AbortSignal): CommandContext {
	return {settings, output, requestsOf: word => requestsForRemote(word, settings, stopped)};
}

/** Resolves with false once the signal aborts. */
function untilStopped(command: Promise<boolean>, stopped: AbortSignal): Promise<boolean> {
	return Promise.race([command, aborted(stopped).then(() => false)]);
}

async function add(
	downstream: DownloadEngine,
	urls: readonly string[],
	{settings, output, requestsOf}: CommandContext,
): Promise<boolean> {
	let isGood = true;
	const added = await addAll(
		downstream,
		urls,
		requestsOf,
		error => {
			isGood = false;
			output.error(withHint(error));
		},
		settings.places,
	);
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
	{settings, output, isOffline}: CommandContext,
): Promise<boolean> {
	const {downloads} = snapshot;
	const {json, all, storageDir} = settings;
	const stored = all && storageDir !== undefined ? await removedDownloads(storageDir) : [];
	// A running get has its downloads in the list.
	const removed = stored.filter(({id}) => !downloads.some(download => download.id === id));
	if (json) {
		const objects = downloads.map(download => jsonOf(download, settings));
		output.result(`[${[...objects, ...removed.map(each => safeJson(each))].join(',')}]`);
		return true;
	}

	if (downloads.length + removed.length === 0) {
		output.note('no downloads');
	}

	for (const download of downloads) {
		output.result(lineOf(download, downloads, isOffline));
	}

	for (const {id, present, size, name, exportedTo, error} of removed) {
		const word = exportedTo === null ? 'kept' : 'exported';
		const note = exportedTo ?? error?.message;
		output.result(columns(['-', id, word, percentOf({present, size}), amount({present, size}), name, note]));
	}

	return true;
}

async function verify(
	downstream: DownloadEngine,
	{id, name}: Found,
	{output}: CommandContext,
): Promise<void> {
	const {damaged} = await downstream.verify(id);
	if (damaged.length > 0) {
		const bytes = damaged.reduce((sum, [start, end]) => sum + end - start, 0);
		throw new DownStreamError('incomplete', `${cleanText(name)}: discarded ${bytes} damaged bytes`);
	}

	output.result(`${cleanText(name)}: no damage found`);
}

/**
 * Finds all downloads before it changes one, since a change may renumber the list. `unlisted` are found by their IDs, too.
 */
function onEach(
	act: (downstream: DownloadEngine, download: Found, context: CommandContext) => Promise<void>,
	unlisted: (settings: CommandContext['settings']) => Promise<readonly Found[]> = async () => [],
): ManageCommand {
	return {
		async run(downstream, words, context) {
			let isGood = true;
			const others = await unlisted(context.settings);
			for (const download of findDownloads(downstream.snapshot.downloads, words, others)) {
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

/** `isOffline`: nothing is in progress, whatever the recorded state. */
function lineOf(download: Download, downloads: readonly Download[], isOffline = false): string {
	const number = downloads.findIndex(({id}) => id === download.id) + 1;
	const isUnfinished = download.status === 'queued' || download.status === 'checking' || isFetching(download);
	const isStopped = isOffline && isUnfinished && download.completedAt === null;
	return columns([
		number > 0 ? String(number) : '',
		download.id,
		isStopped ? 'stopped' : stateWords(download, Date.now(), true).word,
		percentOf(download),
		amount(download),
		download.name,
		watchWords(download) || undefined,
		safeWords(download) || undefined,
		(download.error ?? (isStopped ? download.lastError : null))?.message,
		download.status === 'queued' ? queueReason(download) : undefined,
		substituteOf(download)?.words,
	]);
}

function columns([
	number = '',
	id = '',
	word = '',
	percent = '',
	size = '',
	name = '',
	...notes
]: ReadonlyArray<string | undefined>): string {
	return [
		padText(number, 3, {align: 'right'}),
		shortId(id),
		padText(word, 11),
		padText(percent, 5, {align: 'right'}),
		padText(size, 22),
		cleanText(name),
		...notes.filter(note => note !== undefined).map(note => cleanText(note)),
	].join('  ');
}

function percentOf({present, size}: Pick<Download, 'present' | 'size'>): string {
	return size ? formatPercent(present, size) : '';
}

/** The object of the control API, with the secrets in its URLs masked. */
function jsonOf(download: Download, settings: CommandContext['settings']): string {
	return safeJson({
		...download,
		url: maskUrl(download.url),
		item: download.item && maskUrl(download.item),
		streamUrl: streamUrlOf(download, settings),
	});
}

/** Without a proxy: the URL once an instance runs on the port of the settings. */
function streamUrlOf({streamUrl}: Download, {port}: CommandContext['settings']): string {
	return streamUrl.startsWith('/') ? `http://127.0.0.1:${port}${streamUrl}` : streamUrl;
}
