// The home folder in paths that users type.
import {homedir} from 'node:os';

/** Expands `~` and `~/Videos` as shells do, for paths that no shell has read. */
export function expandHome(text: string): string {
	return /^~(?=$|[/\\])/.test(text) ? homedir() + text.slice(1) : text;
}
