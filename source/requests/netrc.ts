// Credentials from a netrc file, which ftp, curl and git read too.
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {DownStreamError, type AddRequest} from '../downstream.ts';
import {homeFolder} from '../home-folder.ts';

type Credentials = {readonly login: string; readonly password: string};

type NetrcEntry = {
	/** Undefined for the `default` entry, which applies to every host. */
	machine?: string;
	login?: string;
	password?: string;
};

/** In the order of the file. */
export type Netrc = ReadonlyArray<Readonly<NetrcEntry>>;

/** Reads the file named by NETRC, or `.netrc` in the home folder. Throws `bad-request`. */
export function readNetrc(environment: NodeJS.ProcessEnv): Netrc {
	const file = environment.NETRC || path.join(homeFolder(), '.netrc');
	let text: string;
	try {
		text = readFileSync(file, 'utf8');
	} catch (error) {
		throw new DownStreamError('bad-request', `--netrc: ${file} cannot be read`, {cause: error});
	}

	try {
		return parseNetrc(text);
	} catch (error) {
		throw new DownStreamError('bad-request', `--netrc: ${file}: ${(error as Error).message}`);
	}
}

/** From the first entry for the host that has both a login and a password. */
export function credentialsFor(netrc: Netrc, host: string): Credentials | undefined {
	for (const {machine, login, password} of netrc) {
		if (
			(machine === undefined || machine.toLowerCase() === host.toLowerCase()) &&
			login !== undefined &&
			password !== undefined
		) {
			return {login, password};
		}
	}

	return undefined;
}

/**
 * Adds the credentials for the host of a request that has none. They become a header of the download, which a redirect to
 * another origin drops.
 */
export function withCredentials(request: AddRequest, netrc: Netrc): AddRequest {
	const url = URL.canParse(request.url) ? new URL(request.url) : undefined;
	const hasOwn =
		url?.username !== '' ||
		url.password !== '' ||
		Object.keys(request.headers ?? {}).some(name => name.toLowerCase() === 'authorization');
	const found = hasOwn ? undefined : credentialsFor(netrc, url.hostname);
	if (!found) {
		return request;
	}

	const pair = Buffer.from(`${found.login}:${found.password}`).toString('base64');
	return {...request, headers: {...request.headers, authorization: `Basic ${pair}`}};
}

/** Throws for invalid text. No error quotes the file: any word may be a password. */
export function parseNetrc(text: string): Netrc {
	const entries: NetrcEntry[] = [];
	const words = wordsOf(text);
	const next = (after: string) => {
		const {value, done} = words.next();
		if (done) {
			throw new Error(`the last "${after}" has no value`);
		}

		return value;
	};

	for (let word = words.next(); !word.done; word = words.next()) {
		const entry = entries.at(-1);
		switch (word.value) {
			case 'machine':
				entries.push({machine: next('machine')});
				break;
			case 'default':
				entries.push({});
				break;
			case 'login':
			case 'password':
			case 'account': {
				const value = next(word.value);
				if (!entry) {
					throw new Error(`"${word.value}" comes before any "machine"`);
				}

				if (word.value !== 'account') {
					entry[word.value] = value;
				}

				break;
			}

			default:
				throw new Error('it is not a list of machine, login and password entries');
		}
	}

	return entries;
}

/** Words separated by blanks or in double quotes, where `\` escapes. Skips comments and macros. */
function* wordsOf(text: string): Generator<string, undefined> {
	const pattern = /"((?:[^"\\]|\\.)*)"|#[^\n]*|(\S+)/gs;
	for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
		const [, quoted, word] = match;
		if (word === 'macdef') {
			// A macro extends to the next empty line.
			const end = /\r?\n[\t ]*\r?\n/g;
			end.lastIndex = pattern.lastIndex;
			pattern.lastIndex = end.test(text) ? end.lastIndex : text.length;
		} else if (quoted !== undefined) {
			yield quoted.replaceAll(/\\(.)/gs, (_match, character: string) =>
				character === 'n' ? '\n' : character === 't' ? '\t' : character === 'r' ? '\r' : character,
			);
		} else if (word !== undefined) {
			yield word;
		}
	}

	return undefined;
}
