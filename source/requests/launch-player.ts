// Starts a player on a stream: without a shell, on its own, so that it outlives the terminal it was started from.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {access, constants} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {commandWords} from './shell-words.ts';

export type PlayerOptions = {
	/** A command as one types it, such as `mpv --fs`; the URL is added at its end. */
	readonly player?: string | undefined;
	readonly environment?: NodeJS.ProcessEnv;
	readonly platform?: NodeJS.Platform;
};

/** In the order in which they are looked for. */
const known: Partial<Record<NodeJS.Platform, readonly string[]>> = {
	darwin: [
		'mpv',
		'iina',
		'/Applications/IINA.app/Contents/MacOS/iina-cli',
		'/Applications/VLC.app/Contents/MacOS/VLC',
	],
	win32: ['mpv.exe', 'vlc.exe', 'C:\\Program Files\\VideoLAN\\VLC\\vlc.exe'],
};
const knownElsewhere = ['mpv', 'vlc', 'celluloid', 'haruna'];

/** Resolves with the name of the program that was started; rejects with one plain sentence. */
export async function play(streamUrl: string, options: PlayerOptions = {}): Promise<string> {
	const {environment = process.env, platform = process.platform} = options;
	const [program, ...args] = await playerCommand(options.player, environment, platform);
	const child = spawn(program!, [...args, streamUrl], {env: environment, stdio: 'ignore', detached: true});
	try {
		await once(child, 'spawn');
	} catch {
		throw new Error(`${program} cannot be started`);
	}

	child.unref();
	return path.basename(program!).replace(/\.exe$/i, '');
}

/** The command that is set, else the first player that is there. */
export async function playerCommand(
	player: string | undefined,
	environment: NodeJS.ProcessEnv,
	platform: NodeJS.Platform,
): Promise<string[]> {
	if (player !== undefined) {
		const words = commandWords(player);
		if (!words) {
			throw new Error(`The player ${JSON.stringify(player)} is not a plain command`);
		}

		return words;
	}

	const candidates = known[platform] ?? knownElsewhere;
	for (const candidate of candidates) {
		if (await findProgram(candidate, environment, platform)) {
			return [candidate];
		}
	}

	throw new Error('No player was found: install mpv or VLC, or name one with --player');
}

async function findProgram(
	name: string,
	environment: NodeJS.ProcessEnv,
	platform: NodeJS.Platform,
): Promise<boolean> {
	const folders = path.isAbsolute(name)
		? ['']
		: (environment.PATH ?? environment.Path ?? '').split(platform === 'win32' ? ';' : ':');
	for (const folder of folders) {
		const isThere = await access(path.join(folder, name), constants.X_OK).then(
			() => true,
			() => false,
		);
		if (isThere) {
			return true;
		}
	}

	return false;
}
