// Starts a player on a stream, without a shell and detached, so that it outlives the terminal.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {access, constants} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {commandWords} from './shell-words.ts';

export type PlayerOptions = {
	/** A typed command such as `mpv --fs`; the URL becomes its last argument. */
	readonly player?: string | undefined;
	readonly environment?: NodeJS.ProcessEnv;
	readonly platform?: NodeJS.Platform;
};

/** In order of preference. */
const players: Partial<Record<NodeJS.Platform, readonly string[]>> = {
	darwin: [
		'mpv',
		'iina',
		'/Applications/IINA.app/Contents/MacOS/iina-cli',
		'/Applications/VLC.app/Contents/MacOS/VLC',
	],
	win32: ['mpv.exe', 'vlc.exe', 'C:\\Program Files\\VideoLAN\\VLC\\vlc.exe'],
};
const otherPlayers = ['mpv', 'vlc', 'celluloid', 'haruna'];

/** Resolves with the name of the started program; rejects with one plain sentence. */
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

/** The configured command, or the first installed player. */
export async function playerCommand(
	player: string | undefined,
	environment: NodeJS.ProcessEnv,
	platform: NodeJS.Platform,
): Promise<string[]> {
	if (player !== undefined) {
		const words = commandWords(player);
		if (!words) {
			throw new Error(`--player ${JSON.stringify(player)}: it must be a plain command, without shell syntax`);
		}

		return words;
	}

	const candidates = players[platform] ?? otherPlayers;
	for (const candidate of candidates) {
		if (await findProgram(candidate, environment, platform)) {
			return [candidate];
		}
	}

	throw new Error('no player found; install mpv or VLC, or name one with --player');
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
		const isExecutable = await access(path.join(folder, name), constants.X_OK).then(
			() => true,
			() => false,
		);
		if (isExecutable) {
			return true;
		}
	}

	return false;
}
