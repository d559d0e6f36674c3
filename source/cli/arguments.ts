// What is wrong with the words of the command line, in one sentence that names the near word. Pure.
import {commands, isCommand, takes, usageOf, type CommandName} from './commands.ts';
import {DownStreamError} from '../downstream.ts';
import {flags, kebabCase, optionOf, type Flag, type FlagName} from './flags.ts';
import {nearestWord} from '../text/nearest-word.ts';

/** Throws `bad-request` for a flag that does not exist, comes twice, lacks its value or has one that it does not take. */
export function checkArguments(words: readonly string[]): void {
	const end = words.indexOf('--');
	const typed = end === -1 ? words : words.slice(0, end);
	const seen = new Set<FlagName>();
	for (const [index, word] of typed.entries()) {
		if (!isFlag(word)) {
			continue;
		}

		const [, option, value] = /^([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
		if (value === undefined && others.includes(word)) {
			continue;
		}

		const name = flagNames.get(option!);
		if (name === undefined) {
			throw refusal(`${option} is no flag`, nearestWord(option!, [...options, ...others]));
		}

		const {kind}: Flag = flags[name];
		const next = typed[index + 1];
		if (kind === 'switch' && value !== undefined && !/^(?:true|false)$/.test(value)) {
			throw refusal(`${option} ${JSON.stringify(value)}: it must be true or false, or without a value`);
		}

		if (kind !== 'switch' && !(value ?? (next === undefined || isFlag(next) ? '' : next))) {
			throw refusal(`${option} "": it needs a value`);
		}

		if (kind === 'text' && seen.has(name)) {
			throw refusal(`${option}: it can be given only once`);
		}

		seen.add(name);
	}
}

/** Throws `bad-request` if there is no such command. */
export function commandOf(word: string): CommandName {
	if (!isCommand(word)) {
		throw refusal(
			`${JSON.stringify(word)} is neither a command nor a URL that begins with http:// or https://`,
			nearestWord(word, Object.keys(commands)),
		);
	}

	return word;
}

/** Throws `bad-request` if those are too few or too many. */
export function checkOperands(name: CommandName, operands: readonly string[]): void {
	if (!takes(commands[name], operands)) {
		throw refusal(`usage: ${usageOf(name)}`);
	}
}

const others = ['--help', '-h', '--version'];

/** Each way to type a flag. */
export const flagNames: ReadonlyMap<string, FlagName> = new Map(
	Object.entries<Flag>(flags).flatMap(([key, {kind, short}]) => {
		const name = key as FlagName;
		const option = `--${kebabCase(name)}`;
		return [
			[option, name] as const,
			...(kind === 'switch' ? [[`--no-${kebabCase(name)}`, name] as const] : []),
			...(short === undefined ? [] : [[`-${short}`, name] as const]),
		];
	}),
);
const options = (Object.keys(flags) as FlagName[]).map(name => optionOf(name));

/** A lone dash is standard input, and a number may be a value. */
function isFlag(word: string): boolean {
	return /^-(?![\d.]|$)/.test(word);
}

function refusal(problem: string, near?: string): DownStreamError {
	return new DownStreamError(
		'bad-request',
		near === undefined ? problem : `${problem}; did you mean ${near}?`,
	);
}
