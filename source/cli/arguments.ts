// Checks the words of the command line; each refusal is one sentence with the nearest valid word. Pure.
import {
	commands,
	flagsOf,
	isCommand,
	operandsOf,
	takes,
	usageOf,
	type Command,
	type CommandName,
} from './commands.ts';
import {DownStreamError} from '../downstream.ts';
import {allFlags, flags, kebabCase, optionOf, type Flag, type FlagName} from './flags.ts';
import {nearestWord} from '../text/nearest-word.ts';
import {urlMeantBy} from '../requests/url-lists.ts';

/**
 * Throws `bad-request` for a flag that is unknown, not accepted by the command, repeated, without its value or
 * with an invalid value.
 */
export function checkArguments(words: readonly string[]): void {
	const end = words.indexOf('--');
	const typed = end === -1 ? words : words.slice(0, end);
	const seen = new Map<FlagName, string>();
	const operands: string[] = [];
	for (let index = 0; index < typed.length; index++) {
		const word = typed[index]!;
		if (!isFlag(word)) {
			// The parser would take the letters for options.
			if (/^-[\d.]/.test(word) && Number.isNaN(Number(word))) {
				throw refusal(`${JSON.stringify(word)}: a time or size cannot be negative`);
			}

			operands.push(word);
			continue;
		}

		const [, option, value] = /^([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
		if (value === undefined && others.includes(word)) {
			continue;
		}

		const name = flagNames.get(option!);
		if (name === undefined) {
			throw refusal(`${option} is not an option`, nearestOption(option!, [...options, ...others]));
		}

		const {kind}: Flag = flags[name];
		const next = typed[index + 1];
		if (kind === 'switch' && value !== undefined && !/^(?:true|false)$/.test(value)) {
			throw refusal(`${option} ${JSON.stringify(value)}: it must be true, false or left out`);
		}

		if (kind !== 'switch' && !(value ?? (next === undefined || isFlag(next) ? '' : next))) {
			throw refusal(`${option} "": it needs a value`);
		}

		if (kind === 'text' && seen.has(name)) {
			throw refusal(`${option}: it can be given only once`);
		}

		if (kind !== 'switch' && value === undefined) {
			index++;
		}

		seen.set(name, option!);
	}

	const [first] = end === -1 ? operands : [...operands, ...words.slice(end + 1)];
	refuseForeignFlags(first, seen);
}

/** A first word that is neither a command nor a URL has an error of its own. */
function refuseForeignFlags(first: string | undefined, given: ReadonlyMap<FlagName, string>): void {
	const name = first !== undefined && isCommand(first) ? first : undefined;
	if (first !== undefined && !name && !isUrl(first)) {
		return;
	}

	const own = flagsOf(name);
	for (const [flag, option] of given) {
		if (!own.includes(flag)) {
			const users = commandsWith(flag);
			throw refusal(
				name === undefined
					? `${option} is not an option without a command; ${list(users)} ${users.length === 1 ? 'has' : 'have'} it`
					: `${option} is not an option of ${name}; see downstream-tui ${name} --help`,
			);
		}
	}
}

function commandsWith(flag: FlagName): CommandName[] {
	return (Object.keys(commands) as CommandName[]).filter(name => flagsOf(name).includes(flag));
}

function list(words: readonly string[]): string {
	return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** A URL, or a list of URLs. */
export function isUrl(word: string): boolean {
	return /^[@-]|:/.test(word);
}

/** Throws `bad-request` if there is no such command. */
export function commandOf(word: string): CommandName {
	if (!isCommand(word)) {
		throw refusal(
			`${JSON.stringify(word)} is neither a command nor a URL that begins with http:// or https://`,
			urlMeantBy(word) ?? nearestWord(word, [...Object.keys(commands), 'help', 'version']),
			'downstream-tui --help lists the commands',
		);
	}

	return word;
}

/** Throws `bad-request` for too few or too many. `typed`: the words before lists were expanded. */
export function checkOperands(
	name: CommandName,
	operands: readonly string[],
	typed: readonly string[] = operands,
): void {
	const command: Command = commands[name];
	if (!takes(command, operands)) {
		if (operands.length === 0 && typed.length > 0) {
			const input = typed.includes('-') ? 'standard input' : typed.join(' ');
			throw refusal(`${name}: ${input} contains no URL`);
		}

		const hints = [
			`usage: ${usageOf(name)}`,
			...(operandsOf(command).names.includes('URL') && operands.length === 0
				? ['- reads URLs from standard input']
				: []),
			`see downstream-tui ${name} --help`,
		];
		throw refusal(hints.join('; '));
	}
}

const others = ['--help', '-h', '--version', '-V'];

/** Each way to type a flag. */
export const flagNames: ReadonlyMap<string, FlagName> = new Map(
	allFlags.flatMap(name => {
		const {kind, short}: Flag = flags[name];
		const option = `--${kebabCase(name)}`;
		return [
			[option, name] as const,
			...(kind === 'switch' ? [[`--no-${kebabCase(name)}`, name] as const] : []),
			...(short === undefined ? [] : [[`-${short}`, name] as const]),
		];
	}),
);
const options = allFlags.map(name => optionOf(name));

/** A lone dash is standard input, and a number may be a value. */
function isFlag(word: string): boolean {
	return /^-(?![\d.]|$)/.test(word);
}

/** `--limit` or `--limt` means `--limit-rate`. */
function nearestOption(typed: string, options: readonly string[]): string | undefined {
	const startsAlike = (option: string) =>
		nearestWord(typed, [/^--?[^-]*/.exec(option)?.[0] ?? option]) !== undefined;
	return nearestWord(typed, options) ?? options.find(option => startsAlike(option));
}

function refusal(problem: string, near?: string, otherwise?: string): DownStreamError {
	const hint = near === undefined ? otherwise : `did you mean ${near}?`;
	return new DownStreamError('bad-request', hint === undefined ? problem : `${problem}; ${hint}`);
}
