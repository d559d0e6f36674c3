// Defaults of the flags; shown in the help.
import {userFolders} from './home-folder.ts';

export const defaults = {
	port: 8080,
	connections: 4,
	maxActive: 3,
	readAhead: '16M',
	timeout: '30s',
	giveUpAfter: '5m',
} as const;

/** The user's cache folder for this program. */
export function defaultStorageDir(): string {
	return userFolders('downstream-tui').cache;
}
