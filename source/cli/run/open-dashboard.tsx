// Opens the dashboard: the engine starts before the screen and ends after it.
import {once} from 'node:events';
import {openSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {ReadStream} from 'node:tty';
import {addAll, requestsForRemote} from '../../requests/add-requests.ts';
import {playDownload} from '../../requests/launch-player.ts';
import type {DownloadEngine} from '../../downstream.ts';
import {escapeControls} from '../../text/escape-controls.ts';
import {startEngineThread} from '../../host/worker-thread.ts';
import {attach} from '../../host/find-instance.ts';
import type {Settings} from '../settings.ts';
import {queryBackground} from '../../terminal/background.ts';
import {colorLevel, exportColorLevel, themeName} from '../../terminal/color.ts';
import type {ShowOptions} from '../../terminal/show-dashboard.tsx';

const exitCodes: Partial<Record<string, number>> = {quit: 0, crash: 70, SIGHUP: 129};
const interrupted = 130;

/**
 * Attaches to the running instance if there is one; quitting then stops nothing. Resolves with the exit code. Rejects
 * before the screen opens if the engine cannot start.
 */
export async function openDashboard(urls: readonly string[], settings: Settings): Promise<number> {
	const client = await attach(settings.storageDir);
	if (client) {
		try {
			const refused: string[] = [];
			const requestsOf = (word: string) => requestsForRemote(word, settings);
			const [first] = await addAll(client, urls, requestsOf, ({message}) => refused.push(message));
			const show = await prepareScreen(settings);
			const code = await show(client, {isAttached: true, added: Promise.resolve(first?.id)});
			for (const message of refused) {
				process.stderr.write(`downstream-tui: ${escapeControls(message)}\n`);
			}

			return code === 0 && refused.length > 0 ? 1 : code;
		} finally {
			await client.dispose();
		}
	}

	// In parallel: both take a large part of the time to the first frame.
	const [engine, screen] = await Promise.allSettled([
		startEngineThread({settings, urls}),
		prepareScreen(settings),
	]);
	if (engine.status === 'rejected') {
		throw engine.reason;
	}

	const {downstream, added, dispose} = engine.value;
	let code = interrupted;
	let isSaved = false;
	try {
		if (screen.status === 'rejected') {
			throw screen.reason;
		}

		code = await screen.value(downstream, {isAttached: false, added});
	} finally {
		if (downstream.snapshot.downloads.some(({connections}) => connections > 0)) {
			process.stderr.write('Saving… press Ctrl+C again to quit without saving\n');
		}

		isSaved = await Promise.race([dispose().then(() => true), once(process, 'SIGINT').then(() => false)]);
	}

	return isSaved ? code : interrupted;
}

/** Loads the dashboard and queries the terminal; resolves with a function that opens the screen. */
async function prepareScreen(
	settings: Settings,
): Promise<(downstream: DownloadEngine, how: Pick<ShowOptions, 'isAttached' | 'added'>) => Promise<number>> {
	const keys = process.stdin.isTTY ? process.stdin : terminalKeys();
	const level = colorLevel(settings.color, process.env, true);
	exportColorLevel(level, process.env);
	const asksTerminal = level > 1 && settings.theme === undefined;
	const [background, {showDashboard}] = await Promise.all([
		asksTerminal ? queryBackground({stdin: keys, stdout: process.stdout}, process.env) : undefined,
		import('../../terminal/show-dashboard.tsx'),
	]);
	return async (downstream, how) => {
		const end = await showDashboard(downstream, {
			ascii: settings.ascii,
			exportDir: settings.exportDir + path.sep,
			theme: settings.theme === undefined || level === 0 ? themeName(level, background) : settings.theme,
			mayAnswerLate: asksTerminal,
			title: settings.title,
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
