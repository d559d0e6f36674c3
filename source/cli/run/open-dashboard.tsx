// Opens the dashboard: the engine starts before the screen and ends after it.
import {once} from 'node:events';
import {openSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {ReadStream} from 'node:tty';
import {addAll, requestsFor, requestsForRemote} from '../../requests/add-requests.ts';
import {playDownload} from '../../requests/launch-player.ts';
import {
	DownStreamError,
	isAtWork,
	type AddRequest,
	type Download,
	type DownloadEngine,
	type DownloadId,
} from '../../downstream.ts';
import {cleanText} from '../../text/clean-text.ts';
import {inWords} from '../../text/format.ts';
import {share} from '../../text/status-words.ts';
import type {ControlClient} from '../../host/control-client.ts';
import {start, type EngineHost} from '../../host/engine-host.ts';
import {attach} from '../../host/find-instance.ts';
import {until} from '../../wait.ts';
import {printError} from '../output/print-error.ts';
import {crashed, interrupted} from '../output/exit-codes.ts';
import type {Settings} from '../settings.ts';
import {queryBackground} from '../../terminal/background.ts';
import {colorLevel, exportColorLevel, themeName} from '../../terminal/color.ts';
import type {ShowOptions} from '../../terminal/show-dashboard.tsx';

const exitCodes: Partial<Record<string, number>> = {quit: 0, crash: crashed, SIGHUP: 129};
const eraseLine = '\r\u001B[K';
/** More percentages would make the line unreadable. */
const mostShares = 4;
/** A client looks for a new instance once a second. */
const connectMs = 10_000;
/** An instance that is quitting disconnects its clients up to 5 s before it releases the folder. */
const releaseMs = 6000;
const pollMs = 100;

/**
 * Attaches to the running instance if there is one; quitting then stops nothing. Resolves with the exit code. Rejects
 * before the screen opens if the engine cannot start. `isElsewhere`: a running instance is another process.
 */
export async function openDashboard(
	urls: readonly string[],
	settings: Settings,
	stopped: AbortSignal,
	isElsewhere = true,
): Promise<number> {
	const {places} = settings;
	const client = await attach(settings.storageDir);
	if (client) {
		try {
			const refused: string[] = [];
			const requestsOf = (word: string) => requestsForRemote(word, settings, stopped);
			const adding = new Addition(client, urls, {requestsOf, stopped, places}, message =>
				refused.push(message),
			);
			const attachment = new AttachedInstance(client, settings, isElsewhere);
			let code = interrupted;
			try {
				const show = await prepareScreen(settings, stopped);
				code = await show(client, {attachment, added: adding.first});
			} finally {
				await attachment.dispose();
			}

			if (code === 0) {
				await adding.first;
			}

			for (const message of refused) {
				printError(message);
			}

			return code === 0 && refused.length > 0 ? 1 : code;
		} finally {
			await client.dispose();
		}
	}

	// Side by side: one waits for the disk while the other loads.
	const [host, screen] = await Promise.allSettled([start(settings), prepareScreen(settings, stopped)]);
	if (host.status === 'rejected') {
		throw host.reason;
	}

	let code = interrupted;
	let isSaved = false;
	let adding: Addition | undefined;
	try {
		if (screen.status === 'rejected') {
			throw screen.reason;
		}

		const {engine} = host.value;
		const requestsOf = (word: string) => requestsFor(word, settings, stopped);
		adding = new Addition(engine, urls, {requestsOf, stopped, places}, message => engine.addBanner(message));
		code = await screen.value(engine, {attachment: undefined, added: adding.first});
	} finally {
		isSaved = await saveAndStop(host.value, code === 0 ? adding : undefined);
	}

	return isSaved ? code : interrupted;
}

type Requests = {
	readonly requestsOf: (word: string) => Promise<AddRequest[]>;
	/** Ends the resolver of an item. */
	readonly stopped: AbortSignal;
	readonly places: Settings['places'];
};

/** Adds the URLs of the command line while the screen is open, and after it. */
class Addition {
	/** Resolves with the download of the first URL once all are added; undefined without URLs. */
	readonly first: Promise<DownloadId | undefined> | undefined;
	isOver: boolean;
	#tell: (message: string) => void;

	/** `tell` receives the error of a URL. */
	constructor(
		downstream: DownloadEngine,
		urls: readonly string[],
		requests: Requests,
		tell: (message: string) => void,
	) {
		this.#tell = tell;
		this.first = urls.length === 0 ? undefined : this.#run(downstream, urls, requests);
		this.isOver = urls.length === 0;
	}

	/** Resolves once all are added. The screen is closed: errors go to the shell. */
	async end(): Promise<void> {
		this.#tell = printError;
		await this.first;
	}

	async #run(
		downstream: DownloadEngine,
		urls: readonly string[],
		{requestsOf, stopped, places}: Requests,
	): Promise<DownloadId | undefined> {
		try {
			const [first] = await addAll(downstream, urls, requestsOf, ({message}) => this.#tell(message), places);
			return first?.id;
		} catch (error) {
			if (stopped.aborted) {
				return undefined;
			}

			throw error;
		} finally {
			this.isOver = true;
		}
	}
}

/**
 * Ends an unfinished `adding`, saves, and reports the stopped downloads in the shell. Resolves with false if Ctrl+C
 * interrupted it.
 */
async function saveAndStop(host: EngineHost, adding?: Addition): Promise<boolean> {
	const running = host.engine.snapshot.downloads.filter(download => isAtWork(download));
	const isSaving = adding?.isOver === false || running.some(({connections}) => connections > 0);
	const {stderr} = process;
	if (isSaving) {
		stderr.write(`Saving… Ctrl+C again to force quit${stderr.isTTY ? '' : '\n'}`);
	}

	const stop = async () => {
		try {
			await adding?.end();
		} finally {
			await host.dispose();
		}
	};
	const isSaved = await Promise.race([stop().then(() => true), once(process, 'SIGINT').then(() => false)]);
	if (isSaving && stderr.isTTY) {
		stderr.write(isSaved ? eraseLine : '\n');
	}

	if (isSaved && running.length > 0) {
		stderr.write(`${stoppedWords(running)}\n`);
	}

	return isSaved;
}

/** `Stopped: 2 downloads at 41% and 12%. downstream-tui continues them.` */
function stoppedWords(downloads: readonly Download[]): string {
	const [only] = downloads;
	const what = downloads.length === 1 ? cleanText(only!.name) : `${downloads.length} downloads`;
	const shares =
		downloads.length > mostShares ? '' : ` at ${inWords(downloads.map(download => share(download)))}`;
	return `Stopped: ${what}${shares}. downstream-tui continues ${downloads.length === 1 ? 'it' : 'them'}.`;
}

/** The instance that runs the downloads, and after its end this process, if the user wants it to. */
class AttachedInstance implements NonNullable<ShowOptions['attachment']> {
	readonly #client: ControlClient;
	readonly #settings: Settings;
	readonly #isElsewhere: boolean;
	#starting: Promise<EngineHost> | undefined;
	#host: EngineHost | undefined;

	constructor(client: ControlClient, settings: Settings, isElsewhere: boolean) {
		this.#client = client;
		this.#settings = settings;
		this.#isElsewhere = isElsewhere;
	}

	get isConnected(): boolean {
		return this.#client.isConnected;
	}

	get isOwn(): boolean {
		return this.#host !== undefined;
	}

	get isElsewhere(): boolean {
		return this.#isElsewhere && !this.isOwn;
	}

	/** The client finds the new instance as it finds any other. */
	async takeOver(): Promise<void> {
		this.#starting ??= this.#start();
		try {
			this.#host = await this.#starting;
		} catch (error) {
			this.#starting = undefined;
			throw error;
		}

		const isConnected = () => this.isConnected || undefined;
		await until(this.#client, isConnected, AbortSignal.timeout(connectMs));
	}

	async #start(): Promise<EngineHost> {
		const deadline = Date.now() + releaseMs;
		for (;;) {
			try {
				return await start(this.#settings);
			} catch (error) {
				const isTaken = error instanceof DownStreamError && error.code === 'storage-locked';
				if (!isTaken || this.isConnected || Date.now() > deadline) {
					throw error;
				}
			}

			await sleep(pollMs);
		}
	}

	async dispose(): Promise<void> {
		if (this.#host) {
			await saveAndStop(this.#host);
		}
	}
}

/** Loads the dashboard and queries the terminal; resolves with a function that opens the screen. */
async function prepareScreen(
	settings: Settings,
	stopped: AbortSignal,
): Promise<(downstream: DownloadEngine, how: Pick<ShowOptions, 'attachment' | 'added'>) => Promise<number>> {
	const keys = process.stdin.isTTY ? process.stdin : terminalKeys();
	const level = colorLevel(settings.color, process.stdout);
	exportColorLevel(level, process.env);
	const asksTerminal = level > 1 && settings.theme === undefined;
	const loaded = import('../../terminal/show-dashboard.tsx');
	const background = asksTerminal
		? await queryBackground({stdin: keys, stdout: process.stdout}, process.env, loaded)
		: undefined;
	const {showDashboard} = await loaded;
	return async (downstream, how) => {
		// From here on the screen itself ends at a signal.
		if (stopped.aborted) {
			return interrupted;
		}

		const end = await showDashboard(downstream, {
			ascii: settings.ascii,
			exportDir: settings.exportDir + path.sep,
			theme: settings.theme === undefined || level === 0 ? themeName(level, background) : settings.theme,
			manyColors: level > 1,
			mayAnswerLate: asksTerminal,
			title: settings.title,
			tabProgress: settings.tabProgress,
			mouse: settings.mouse,
			bell: settings.bell,
			...how,
			keys,
			continues: settings.continue,
			play: (download, startMs) => playDownload(downstream, download, {player: settings.player, startMs}),
		});
		return exitCodes[end] ?? interrupted;
	};
}

function terminalKeys(): ReadStream {
	return new ReadStream(openSync(process.platform === 'win32' ? 'CONIN$' : '/dev/tty', 'r'));
}
