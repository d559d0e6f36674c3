// The engine under the dashboard: started before the screen, ended after it.
import {openSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {ReadStream} from 'node:tty';
import {play} from './play.ts';
import type {DownStream} from './downstream.ts';
import {addAll, requestsFor, requestsForOther, start} from './running.ts';
import {attach} from './running-copy.ts';
import type {Settings} from './settings.ts';
import {askBackground} from './terminal/background.ts';
import {colorLevel, tellColorLevel, themeName} from './terminal/color.ts';

const exitCodes: Partial<Record<string, number>> = {quit: 0, crash: 70, SIGHUP: 129};
const interrupted = 130;

/**
 * On the copy that runs on the storage folder, where there is one; quitting stops nothing of it then. Resolves with the
 * exit code. What keeps it from starting is told before the screen opens.
 */
export async function openDashboard(urls: readonly string[], settings: Settings): Promise<number> {
	const keys = process.stdin.isTTY ? process.stdin : terminalKeys();
	const client = await attach(settings.storageDir);
	if (client) {
		try {
			const refused: string[] = [];
			await addAll(client, requestsForOther(urls, settings), ({message}) => refused.push(message));
			const code = await show(client, settings, {keys, isAttached: true});
			for (const message of refused) {
				process.stderr.write(`downstream-tui: ${message}\n`);
			}

			return code === 0 && refused.length > 0 ? 1 : code;
		} finally {
			await client.dispose();
		}
	}

	const running = await start(settings);
	const {engine} = running;
	try {
		await addAll(engine, requestsFor(urls, settings), error => engine.addBanner(error.message));
		return await show(engine, settings, {keys, isAttached: false});
	} finally {
		if (engine.snapshot.downloads.some(({connections}) => connections > 0)) {
			process.stderr.write('Saving…\n');
		}

		await running.dispose();
	}
}

async function show(
	downstream: DownStream,
	settings: Settings,
	{keys, isAttached}: {keys: ReadStream; isAttached: boolean},
): Promise<number> {
	const level = colorLevel(settings.color, process.env, true);
	tellColorLevel(level, process.env);
	const isAsked = level > 1 && settings.theme === undefined;
	const background = isAsked
		? await askBackground({stdin: keys, stdout: process.stdout}, process.env)
		: undefined;
	const {showDashboard} = await import('./terminal/show-dashboard.tsx');
	const end = await showDashboard(downstream, {
		ascii: settings.ascii,
		exportDir: settings.exportDir + path.sep,
		theme: settings.theme === undefined || level === 0 ? themeName(level, background) : settings.theme,
		title: settings.title,
		mouse: settings.mouse,
		bell: settings.bell,
		isAttached,
		keys,
		play: ({streamUrl}) => play(streamUrl, {player: settings.player}),
	});
	return exitCodes[end] ?? interrupted;
}

function terminalKeys(): ReadStream {
	return new ReadStream(openSync(process.platform === 'win32' ? 'CONIN$' : '/dev/tty', 'r'));
}
