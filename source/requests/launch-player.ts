// Starts a player on a stream, without a shell and detached, so that it outlives the terminal.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {access, constants} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import type {Download, DownloadEngine} from '../downstream.ts';
import {cleanText} from '../text/clean-text.ts';
import {commandWords} from './shell-words.ts';

type PlayerOptions = {
	/** A typed command such as `mpv --fs`; the URL becomes its last argument. */
	readonly player?: string | undefined;
	readonly environment?: NodeJS.ProcessEnv;
	readonly platform?: NodeJS.Platform;
};

type StartOptions = {
	readonly title: string;
	/** Milliseconds from the start of the film. */
	readonly startMs: number;
	/** Socket on which the player accepts commands. */
	readonly socket?: string | undefined;
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

/**
 * Starts a player on a download at a time in milliseconds, linked to the engine if it is an mpv. Resolves with the name of
 * the program; rejects with one plain sentence.
 */
export async function playDownload(
	downstream: Pick<DownloadEngine, 'linkPlayer'>,
	download: Download,
	{startMs, ...options}: PlayerOptions & {readonly startMs: number},
): Promise<string> {
	const {environment = process.env, platform = process.platform} = options;
	const command = await playerCommand(options.player, environment, platform);
	// Without a socket, the film still plays.
	const {socket} =
		mpvPrefix(command[0]!) === undefined
			? {}
			: await downstream.linkPlayer(download.id).catch(() => ({socket: undefined}));
	const args = startArguments(command, {title: cleanText(download.name), startMs, socket});
	return start([...command, ...args, download.streamUrl], environment);
}

/** Options already in the command are kept. */
export function startArguments(command: readonly string[], {title, startMs, socket}: StartOptions): string[] {
	const seconds = startMs / 1000;
	const prefix = mpvPrefix(command[0]!);
	const options: Array<readonly [name: string, value?: string | number | undefined]> =
		prefix !== undefined
			? [
					...(socket === undefined ? [] : [[`${prefix}input-ipc-server`, socket] as const]),
					[`${prefix}force-media-title`, title],
					// mpv's own saved position would take precedence.
					...(seconds > 0
						? [[`${prefix}start`, seconds] as const, [`${prefix}resume-playback`, 'no'] as const]
						: []),
				]
			: /^vlc$/i.test(programName(command[0]!)) && seconds > 0
				? [['--start-time', Math.floor(seconds)]]
				: [];
	return options
		.filter(([name]) => !command.some(word => word === name || word.startsWith(`${name}=`)))
		.map(([name, value]) => `${name}=${value}`);
}

/** The prefix of mpv's options; undefined for other players. */
function mpvPrefix(program: string): string | undefined {
	const name = programName(program);
	return name === 'mpv' ? '--' : /^(?:iina|iina-cli|celluloid)$/.test(name) ? '--mpv-' : undefined;
}

function programName(program: string): string {
	return path.basename(program).replace(/\.exe$/i, '');
}

async function start([program, ...args]: readonly string[], environment: NodeJS.ProcessEnv): Promise<string> {
	const child = spawn(program!, args, {env: environment, stdio: 'ignore', detached: true});
	try {
		await once(child, 'spawn');
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		throw new Error(
			`${program} cannot be started${code === 'ENOENT' ? ': is it installed?' : ` (${code})`}`,
			{
				cause: error,
			},
		);
	}

	child.unref();
	return programName(program!);
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
