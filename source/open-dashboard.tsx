// The engine under the dashboard: started before the screen, ended after it.
import {openSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {text} from 'node:stream/consumers';
import {ReadStream} from 'node:tty';
import {play} from './play.ts';
import {addAll, start} from './running.ts';
import type {Settings} from './settings.ts';
import {askBackground} from './terminal/background.ts';
import {colorLevel, tellColorLevel, themeName} from './terminal/color.ts';

const exitCodes: Partial<Record<string, number>> = {quit: 0, crash: 70, SIGHUP: 129};
const interrupted = 130;

/** Resolves with the exit code. What keeps it from starting is told before the screen opens. */
export async function openDashboard(urls: readonly string[], settings: Settings): Promise<number> {
	const piped = process.stdin.isTTY ? [] : urlsIn(await text(process.stdin));
	const keys = process.stdin.isTTY ? process.stdin : terminalKeys();
	const running = await start(settings);
	try {
		await addAll(running, [...urls, ...piped], settings, error => running.engine.addBanner(error.message));
		const level = colorLevel(settings.color, process.env, true);
		tellColorLevel(level, process.env);
		const isAsked = level > 1 && settings.theme === undefined;
		const background = isAsked
			? await askBackground({stdin: keys, stdout: process.stdout}, process.env)
			: undefined;
		const {showDashboard} = await import('./terminal/show-dashboard.tsx');
		const end = await showDashboard(running.engine, {
			ascii: settings.ascii,
			exportDir: settings.exportDir + path.sep,
			theme: settings.theme === undefined || level === 0 ? themeName(level, background) : settings.theme,
			title: settings.title,
			mouse: settings.mouse,
			bell: settings.bell,
			isAttached: false,
			keys,
			play: ({streamUrl}) => play(streamUrl, {player: settings.player}),
		});
		return exitCodes[end] ?? interrupted;
	} finally {
		if (running.engine.snapshot.downloads.some(({connections}) => connections > 0)) {
			process.stderr.write('Saving…\n');
		}

		await running.dispose();
	}
}

/** One on each line; lines that begin with `#` are none. */
function urlsIn(lines: string): string[] {
	return lines
		.split(/\r?\n/)
		.map(line => line.trim())
		.filter(line => line !== '' && !line.startsWith('#'));
}

function terminalKeys(): ReadStream {
	return new ReadStream(openSync(process.platform === 'win32' ? 'CONIN$' : '/dev/tty', 'r'));
}
