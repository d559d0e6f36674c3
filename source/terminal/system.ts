// The dashboard's access to the system outside the terminal.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdir, stat} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {formatBytes} from '../text/format.ts';
import {expandHome} from '../home-folder.ts';

/** Shows the file's folder in the system's file manager. */
export async function openFolder(file: string): Promise<void> {
	const openers: Partial<Record<NodeJS.Platform, string[]>> = {
		darwin: ['open', '-R', file],
		win32: ['explorer.exe', `/select,${file}`],
	};
	const [program, ...args] = openers[process.platform] ?? ['xdg-open', path.dirname(file)];
	try {
		const child = spawn(program!, args, {stdio: 'ignore', detached: true});
		await once(child, 'spawn');
		child.unref();
	} catch {
		throw new Error(`${program} is required to open ${path.dirname(file)}, but is not installed`);
	}
}

/** Completes a path in the form it was typed; folders end with a separator. */
export async function completePath(text: string): Promise<string[]> {
	const typed = text === '~' ? `~${path.sep}` : text;
	const cut = Math.max(typed.lastIndexOf('/'), typed.lastIndexOf(path.sep)) + 1;
	const [folder, start] = [typed.slice(0, cut), typed.slice(cut)];
	const entries = await readdir(path.resolve(expandHome(folder || '.')), {withFileTypes: true}).catch(
		() => [],
	);
	return entries
		.filter(({name}) => name.startsWith(start) && (start.startsWith('.') || !name.startsWith('.')))
		.map(entry => folder + entry.name + (entry.isDirectory() ? path.sep : ''))
		.toSorted((a, b) => a.localeCompare(b));
}

/** `1.90 GiB, 2026-11-02`; undefined if this is not a file. */
export async function describeFile(file: string): Promise<string | undefined> {
	const stats = await stat(expandHome(file)).catch(() => undefined);
	return stats?.isFile()
		? `${formatBytes(stats.size)}, ${stats.mtime.toLocaleDateString('sv-SE')}`
		: undefined;
}
