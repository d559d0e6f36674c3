// A pasted command line of one program: its words, and reasons why it is not one plain command. Pure.
import {cmdLine, shellLine, isControl, isOfOutput, type Operator} from './shell-words.ts';
import type {PastedRequest} from './pasted-request.ts';

export type ProgramLine = {
	readonly program: string;
	/** The words after the program's name. */
	readonly words: readonly string[];
	/** The file to which the shell redirects standard output. */
	readonly output: string | undefined;
	/** A quote is unclosed, or the line continues on the next one. */
	readonly isOpen: boolean;
	/** Refuses the request if the line is more than one plain command or depends on the shell. */
	readonly applyTo: (request: PastedRequest) => void;
};

/** Undefined if the text is not a command line of one of the programs. */
export function programLine(text: string, programs: readonly string[]): ProgramLine | undefined {
	const trimmed = text.trim();
	const name = `(?:[\\w.~/-]*/)?(${programs.join('|')})(?:\\.exe)?`;
	const [start, program] = new RegExp(`^(?:[$%]\\s+)?${name}(?:\\s|$)`, 'i').exec(trimmed) ?? [];
	if (start === undefined || program === undefined) {
		return undefined;
	}

	const rest = trimmed.slice(start.length);
	// cmd escapes with ^, also the quotes and the ends of lines.
	const isCmd = /\^(?:["\r\n]|$)/.test(rest);
	const {words, expansion, isOpen} = isCmd ? cmdLine(rest) : shellLine(rest);
	const {own, output, operator} = streamsOf(words);
	return {
		program: program.toLowerCase(),
		words: own,
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
