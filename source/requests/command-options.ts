// Reads the options of another program's command line by a table of known options. Pure.
import {parseArgs} from 'node:util';

/** Names separated by blanks, each with its letter, if any, after a colon: `header:H max-time:m`. */
export type OptionTable = {
	/** Options with a relevant value. */
	readonly values: string;
	readonly switches?: string;
	/** Options that do not affect the download, with and without a value. */
	readonly harmlessValues: string;
	readonly harmlessSwitches: string;
};

export type CommandWord =
	| {readonly kind: 'operand'; readonly text: string}
	| {readonly kind: 'value'; readonly name: string; readonly option: string; readonly value: string}
	| {readonly kind: 'switch'; readonly name: string; readonly option: string}
	/** An option that is not in the table or lacks its value. */
	| {readonly kind: 'unknown'; readonly option: string};

/** In the order of the command line, without harmless options. */
export function readOptions(words: readonly string[], table: OptionTable): CommandWord[] {
	const names = (list = '') => list.split(/\s+/).filter(Boolean);
	const options: Record<string, {type: 'string' | 'boolean'; short?: string}> = {};
	for (const [type, list] of [
		['string', [...names(table.values), ...names(table.harmlessValues)]],
		['boolean', [...names(table.switches), ...names(table.harmlessSwitches)]],
	] as const) {
		for (const each of list) {
			const [name = '', short] = each.split(':');
			options[name] = {type, ...(short !== undefined && {short})};
		}
	}

	const harmless = new Set(
		[...names(table.harmlessValues), ...names(table.harmlessSwitches)].map(each => each.split(':')[0]!),
	);
	const {tokens} = parseArgs({
		args: [...words],
		allowPositionals: true,
		strict: false,
		tokens: true,
		options,
	});
	return tokens.flatMap((token): CommandWord[] => {
		if (token.kind === 'option-terminator') {
			return [];
		}

		if (token.kind === 'positional') {
			return [{kind: 'operand', text: token.value}];
		}

		const {name, rawName: option, value} = token;
		if (harmless.has(name) || harmless.has(name.replace(/^no-/, ''))) {
			return [];
		}

		const known = Object.hasOwn(options, name) ? options[name] : undefined;
		if (known?.type === 'string' && value !== undefined) {
			return [{kind: 'value', name, option, value}];
		}

		return known?.type === 'boolean' ? [{kind: 'switch', name, option}] : [{kind: 'unknown', option}];
	});
}
