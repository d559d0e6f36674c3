// Persistent settings: a JSON file with the names of the flags, and environment variables.
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {DownStreamError} from '../downstream.ts';
import {allFlags, flags, kebabCase, type Flag, type FlagName, type Flags} from './flags.ts';
import {userFolders} from '../home-folder.ts';
import {anyObject, array, boolean, rule, text, type Refuse} from '../schema.ts';
import {nearestWord} from '../text/nearest-word.ts';

/** Values, and the name of each one's source for error messages. */
export type Given = {readonly values: Flags; readonly labels: Readonly<Partial<Record<FlagName, string>>>};

export const nothingGiven: Given = {values: {}, labels: {}};

/** Secrets: never quoted in an error, even if invalid. */
const secretSettings: ReadonlySet<string> = new Set(['proxy', 'header']);

export function defaultSettingsFile(): string {
	return path.join(userFolders('downstream-tui').config, 'settings.json');
}

/** Default: the file in the user's configuration folder, if it exists. Throws `bad-request`. */
export function readSettingsFile(name: string | undefined): Given {
	const file = name ?? defaultSettingsFile();
	let json: string;
	try {
		json = readFileSync(file, 'utf8');
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		// A service's home folder may be /dev/null.
		if (name === undefined && (code === 'ENOENT' || code === 'ENOTDIR')) {
			return nothingGiven;
		}

		throw new DownStreamError('bad-request', `The settings file ${file} cannot be read`, {cause: error});
	}

	let stored: unknown;
	try {
		// Windows editors write a byte order mark.
		stored = JSON.parse(json.replace(/^\uFEFF/, ''));
	} catch {
		// The message of the parser quotes the file, which may hold passwords.
		throw new DownStreamError('bad-request', `The settings file ${file} is not valid JSON`);
	}

	if (!anyObject.accepts(stored)) {
		throw new DownStreamError('bad-request', `The settings file ${file} must hold a JSON object`);
	}

	const found = Object.entries(stored).map(([key, value]) => {
		const flag = flagOf(key);
		if (flag === undefined) {
			const allowed = allFlags.filter(each => isKept(each)).map(each => kebabCase(each));
			const near = nearestWord(key, allowed);
			throw new DownStreamError(
				'bad-request',
				`${file}: ${JSON.stringify(key)} is not a setting; ${near ? `did you mean ${near}?` : `the settings are ${allowed.join(', ')}`}`,
			);
		}

		return [flag, `${file}: ${key}`, checkedValue(flag, value, `${file}: ${key}`)] as const;
	});
	return givenOf(found);
}

/**
 * `DOWNSTREAM_TUI_EXPORT_DIR` and so on; each line of a list is a value. Throws `bad-request`, also for an unknown variable
 * with this prefix.
 */
export function readEnvironment(environment: NodeJS.ProcessEnv): Given {
	const variables = allFlags.filter(name => isKept(name)).map(name => variableOf(name));
	for (const [variable, value] of Object.entries(environment)) {
		if (variable.startsWith(prefix) && value !== '' && !variables.includes(variable)) {
			const near = nearestWord(
				variable.slice(prefix.length),
				variables.map(name => name.slice(prefix.length)),
			);
			throw new DownStreamError(
				'bad-request',
				`${variable} is not a setting; ${near === undefined ? 'downstream-tui --help lists the flags' : `did you mean ${prefix}${near}?`}`,
			);
		}
	}

	const found = allFlags.flatMap(name => {
		const variable = variableOf(name);
		const value = environment[variable];
		if (value === undefined || value === '' || !isKept(name)) {
			return [];
		}

		return [[name, variable, valueOf(name, value, variable)] as const];
	});
	return givenOf(found);
}

const prefix = 'DOWNSTREAM_TUI_';

function variableOf(name: FlagName): string {
	return `${prefix}${kebabCase(name).replaceAll('-', '_').toUpperCase()}`;
}

function valueOf(name: FlagName, value: string, label: string): string | boolean | string[] {
	switch (flags[name].kind) {
		case 'text':
			return value;
		case 'list':
			return value.split(/\r?\n/).filter(line => line !== '');
		default:
			if (/^(?:1|true|yes|on)$/i.test(value)) {
				return true;
			}

			if (/^(?:0|false|no|off)$/i.test(value)) {
				return false;
			}

			throw new DownStreamError(
				'bad-request',
				`${label} ${JSON.stringify(value)}: it must be 1 or 0, true or false`,
			);
	}
}

/** By its name in camel case, or as on the command line without the dashes. */
function flagOf(key: string): FlagName | undefined {
	const name = key.replaceAll(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase());
	return Object.hasOwn(flags, name) && isKept(name as FlagName) ? (name as FlagName) : undefined;
}

function isKept(name: FlagName): boolean {
	return (flags[name] as Flag).runOnly !== true;
}

function checkedValue(name: FlagName, value: unknown, label: string): string | boolean | string[] {
	const refuse: Refuse = expected => {
		const shown = secretSettings.has(name) ? '' : ` ${JSON.stringify(value)}`;
		throw new DownStreamError('bad-request', `${label}${shown}: it must be ${expected}`);
	};

	switch (flags[name].kind) {
		case 'switch':
			return boolean.read(value, refuse);
		case 'list':
			return list.read(text.accepts(value) ? [value] : value, refuse);
		default:
			return String(textOrNumber.read(value, refuse));
	}
}

const list = array('a list of strings', text.accepts);
const textOrNumber = rule(
	'a string or a number',
	(value): value is string | number => text.accepts(value) || Number.isFinite(value),
);

function givenOf(
	found: ReadonlyArray<readonly [name: FlagName, label: string, value: string | boolean | readonly string[]]>,
): Given {
	return {
		values: Object.fromEntries(found.map(([name, , value]) => [name, value])),
		labels: Object.fromEntries(found.map(([name, label]) => [name, label])),
	};
}
