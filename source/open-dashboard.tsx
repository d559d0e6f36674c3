// The engine under the dashboard: started before the screen, ended after it.
import path from 'node:path';
import process from 'node:process';
import {play} from './play.ts';
import {addAll, start} from './running.ts';
import type {Settings} from './settings.ts';
import {askBackground} from './terminal/background.ts';
import {colorLevel, tellColorLevel, themeName} from './terminal/color.ts';

const exitCodes: Partial<Record<string, number>> = {quit: 0, crash: 70, SIGHUP: 129};
const interrupted = 130;

/** Resolves with the exit code. What keeps it from starting is told before the screen opens. */
export async function openDashboard(urls: readonly string[], settings: Settings): Promise<number> {
	const running = await start(settings);
	try {
		await addAll(running, urls, settings, error => running.engine.addBanner(error.message));
		const level = colorLevel(settings.color, process.env, true);
		tellColorLevel(level, process.env);
		const isAsked = level > 1 && settings.theme === undefined;
		const background = isAsked ? await askBackground(process, process.env) : undefined;
		const {showDashboard} = await import('./terminal/show-dashboard.tsx');
		const end = await showDashboard(running.engine, {
			ascii: settings.ascii,
			exportDir: settings.exportDir + path.sep,
			theme: settings.theme === undefined || level === 0 ? themeName(level, background) : settings.theme,
			title: settings.title,
			mouse: settings.mouse,
			bell: settings.bell,
			isAttached: false,
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
