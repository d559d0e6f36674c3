// What the dashboard asks of the system around the terminal.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdir, stat} from 'node:fs/promises';
import {homedir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {formatBytes} from '../text/format.ts';

/** Opens the folder of a file where the system shows folders. */
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
		throw new Error(`${program} is not there to open ${path.dirname(file)}`);
	}
}

/** Paths that begin with the text, in the form in which it was typed; folders end in a separator. */
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

/** `1.90 GiB, 2026-11-02`; undefined for what is no file. */
export async function describeFile(file: string): Promise<string | undefined> {
	const facts = await stat(expandHome(file)).catch(() => undefined);
	return facts?.isFile()
		? `${formatBytes(facts.size)}, ${facts.mtime.toLocaleDateString('sv-SE')}`
		: undefined;
}

/** `~/Videos` as shells read it. */
export function expandHome(text: string): string {
	return /^~(?=$|[/\\])/.test(text) ? homedir() + text.slice(1) : text;
}
