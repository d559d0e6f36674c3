// The folder of the sockets of players. A socket lets its users run programs in the player, so only the user may access the
// folder.
import {randomBytes} from 'node:crypto';
import {chmod, lstat, mkdir, mkdtemp, rm, rmdir} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';

/** Bytes of a socket's path, on macOS (`sun_path`); Linux has a few more. */
const longestPath = 103;

/**
 * Resolves with a path for a new socket, or with the name of a new pipe. Rejects if no private folder can be created, or if its
 * path is too long for a socket.
 */
export async function newSocketPath(
	environment: NodeJS.ProcessEnv = process.env,
	platform: NodeJS.Platform = process.platform,
): Promise<string> {
	const name = randomBytes(12).toString('hex');
	if (platform === 'win32') {
		return `\\\\.\\pipe\\downstream-tui-${name}`;
	}

	for (const folderOf of [() => runtimeFolder(environment.XDG_RUNTIME_DIR), temporaryFolder]) {
		const folder = await folderOf().catch(() => undefined);
		const socket = folder === undefined ? undefined : path.join(folder, `${name}.sock`);
		if (socket !== undefined && Buffer.byteLength(socket) <= longestPath) {
			return socket;
		}

		await (socket === undefined ? undefined : removeSocket(socket));
	}

	throw new Error(`no folder for its socket can be created in ${tmpdir()}, or the path is too long`);
}

/** A path that `newSocketPath` may have made, in this run or in an earlier one. */
export function isSocketPath(text: string): boolean {
	return /^(?:\\\\\.\\pipe\\downstream-tui-[\da-f]{24}|\/.*\/downstream-tui(?:-[^/]+)?\/[\da-f]{24}\.sock)$/.test(
		text,
	);
}

/** XDG Base Directory Specification: the folder belongs to the user, and ends with the session. */
async function runtimeFolder(runtime: string | undefined): Promise<string | undefined> {
	if (runtime === undefined || !path.isAbsolute(runtime)) {
		return undefined;
	}

	const folder = path.join(runtime, 'downstream-tui');
	await mkdir(folder, {mode: 0o700}).catch(() => undefined);
	const found = await lstat(folder);
	if (!found.isDirectory() || found.uid !== process.geteuid?.()) {
		return undefined;
	}

	if ((found.mode & 0o077) !== 0) {
		await chmod(folder, 0o700);
	}

	return folder;
}

/** A folder for one socket. Its name is random, so no other user can create it first. */
function temporaryFolder(): Promise<string> {
	return mkdtemp(temporaryPrefix());
}

function temporaryPrefix(): string {
	return path.join(tmpdir(), 'downstream-tui-');
}

/** Removes the socket that a killed player left behind, and its temporary folder. Never rejects. */
export async function removeSocket(socket: string): Promise<void> {
	if (socket.startsWith('\\\\')) {
		return;
	}

	await rm(socket, {force: true}).catch(() => undefined);
	if (socket.startsWith(temporaryPrefix())) {
		await rmdir(path.dirname(socket)).catch(() => undefined);
	}
}
