// A pasted command line of one program: its words, and reasons why it is not one plain command. Pure.
import {readOptions, type CommandWord, type OptionTable} from './command-options.ts';
import {cmdLine, shellLine, isControl, isOfOutput, type Operator} from './shell-words.ts';
import type {PastedRequest} from './pasted-request.ts';

type ProgramLine = {
	readonly program: string;
	/** The words after the program's name. */
	readonly words: readonly CommandWord[];
	/** The file to which the shell redirects standard output. */
	readonly output: string | undefined;
	/** A quote is unclosed, or the line continues on the next one. */
	readonly isOpen: boolean;
	/** Refuses the request if the line is more than one plain command or depends on the shell. */
	readonly applyTo: (request: PastedRequest) => void;
};

/** The options of each program, keyed by its name. */
export type ProgramTables = Readonly<Record<string, OptionTable>>;

/** Undefined if the text is not a command line of one of the programs. */
export function programLine(text: string, tables: ProgramTables): ProgramLine | undefined {
	const trimmed = text.trim();
	const name = `(?:[\\w.~/-]*/)?(${Object.keys(tables).join('|')})(?:\\.exe)?`;
	const [start, spelled] = new RegExp(`^(?:[$%]\\s+)?${name}(?:\\s|$)`, 'i').exec(trimmed) ?? [];
	const program = spelled?.toLowerCase();
	const table = tables[program ?? ''];
	if (start === undefined || program === undefined || !table) {
		return undefined;
	}

	const rest = trimmed.slice(start.length);
	// cmd escapes with ^, also the quotes and the ends of lines. Elsewhere it may stand before an operator within quotes.
	const isCmd = /\^(?:["\r\n]|$)/.test(rest) || /\^[&|<>^%]/.test(rest.replaceAll(/'[^']*'|"[^"]*"/g, ''));
	const {words, expansion, isOpen} = (isCmd ? cmdLine : shellLine)(rest, words =>
		hasUrl(readOptions(words, table)),
	);
	const {own, output, operator} = streamsOf(words);
	return {
		program,
		words: readOptions(own, table),
		output,
		isOpen: isOpen || /(?:[\\^\x60|]|&&)$/.test(trimmed),
		applyTo(request) {
			if (isOpen) {
				request.refuse('has an unclosed quote');
			} else if (new RegExp(`\\n\\s*(?:[$%]\\s+)?${name}\\s`, 'i').test(rest)) {
				request.refuse('is followed by another command; paste one at a time');
			} else if (operator !== undefined) {
				request.refuse(`continues after ${operator === '\n' ? 'its line' : operator}; remove that part`);
			} else if (expansion !== undefined) {
				request.refuse(`has ${expansion}, which only your shell can expand; replace it with its value`);
			}
		},
	};
}

/** The value of an unknown option may look like a URL; such an option is refused anyway. */
function hasUrl(words: readonly CommandWord[]): boolean {
	return (
		words.every(({kind}) => kind !== 'unknown') &&
		words.some(word => word.kind === 'operand' || (word.kind === 'value' && word.name === 'url'))
	);
}

type Streams = {
	readonly own: readonly string[];
	readonly output: string | undefined;
	/** The operator that starts another command. */
	readonly operator: string | undefined;
};

/** Redirections of input and errors do not affect the download; `tee` redirects the output. */
function streamsOf(line: ReadonlyArray<string | Operator>): Streams {
	const last = line.at(-1);
	// Browsers end each of several copied commands with ; or &.
	const isSeparated = typeof last === 'object' && /^[;&]$/.test(last.operator);
	const tokens = isSeparated ? line.slice(0, -1) : line;
	const end = tokens.findIndex(token => isControl(token));
	const own = end === -1 ? tokens : tokens.slice(0, end);
	const next = end === -1 ? [] : tokens.slice(end);
	const redirections = own.filter(token => typeof token === 'object');
	const isPiped = /^\|&?$/.test(operatorOf(next[0]) ?? '');
	const [program, ...operands] = next.filter(
		token => typeof token === 'string' && !token.startsWith('-'),
	) as string[];
	const isTee =
		isPiped && /^(?:[\w./-]*\/)?tee$/.test(program ?? '') && !next.slice(1).some(token => isControl(token));
	return {
		own: own.filter(token => typeof token === 'string'),
		output: redirections.findLast(isOfOutput)?.target ?? (isTee ? operands[0] : undefined),
		operator:
			redirections.find(({operator}) => operator.includes('<<') && !operator.endsWith('<<<'))?.operator ??
			(isTee ? undefined : operatorOf(next[0])),
	};
}

function operatorOf(token: string | Operator | undefined): string | undefined {
	return typeof token === 'object' ? token.operator : undefined;
}
