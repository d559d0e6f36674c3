// The user's folders: for the files of programs, and in paths that users type.
import {homedir, userInfo} from 'node:os';
import path from 'node:path';
import process from 'node:process';

type UserFolders = {readonly cache: string; readonly config: string};

/** Absolute. An empty or relative HOME counts as unset: its files would go into the working folder. */
export function homeFolder(): string {
	try {
		const home = homedir();
		return path.isAbsolute(home) ? home : userInfo().homedir;
	} catch {
		// A user without an entry in the user database, such as that of a container.
		return path.parse(process.cwd()).root;
	}
}

/** The folders of the files of a program. On Linux as in the XDG Base Directory Specification, which ignores relative paths. */
export function userFolders(
	program: string,
	environment: NodeJS.ProcessEnv = process.env,
	platform: NodeJS.Platform = process.platform,
): UserFolders {
	const folder = (variable: string, ...fallback: string[]) => {
		const given = environment[variable] ?? '';
		return path.isAbsolute(given) ? given : path.join(homeFolder(), ...fallback);
	};
	switch (platform) {
		case 'darwin':
			return {
				cache: path.join(homeFolder(), 'Library', 'Caches', program),
				config: path.join(homeFolder(), 'Library', 'Preferences', program),
			};
		case 'win32':
			return {
				cache: path.join(folder('LOCALAPPDATA', 'AppData', 'Local'), program, 'Cache'),
				config: path.join(folder('APPDATA', 'AppData', 'Roaming'), program, 'Config'),
			};
		default:
			return {
				cache: path.join(folder('XDG_CACHE_HOME', '.cache'), program),
				config: path.join(folder('XDG_CONFIG_HOME', '.config'), program),
			};
	}
}

/** Expands `~` and `~/Videos` as shells do, for paths that no shell has read. */
export function expandHome(text: string): string {
	return /^~(?=$|[/\\])/.test(text) ? homeFolder() + text.slice(1) : text;
}
