// A pasted command line of one program: its words, and what keeps it from being one plain command. Pure.
import {cmdLine, shellLine, isControl, isOfOutput, type Operator} from './shell-words.ts';
import type {PastedRequest} from './pasted-request.ts';

export type ProgramLine = {
	readonly program: string;
	/** Without the program's name. */
	readonly words: readonly string[];
	/** The file that the shell writes standard output to. */
	readonly output: string | undefined;
	/** A quote is not closed, or the line goes on after its end. */
	readonly isOpen: boolean;
	/** Tells the request what the shell does, or that the line is more than one plain command. */
	readonly applyTo: (request: PastedRequest) => void;
};

/** Undefined if the text is no command line of one of the programs. */
export function programLine(text: string, programs: readonly string[]): ProgramLine | undefined {
	const trimmed = text.trim();
	const name = `(?:[\\w.~/-]*/)?(${programs.join('|')})(?:\\.exe)?`;
	const [start, program] = new RegExp(`^(?:[$%]\\s+)?${name}(?:\\s|$)`, 'i').exec(trimmed) ?? [];
	if (start === undefined || program === undefined) {
		return undefined;
	}

	const rest = trimmed.slice(start.length);
	// cmd escapes with ^, also the quotes and the ends of lines. Elsewhere it may stand before an operator within quotes.
	const isCmd = /\^(?:["\r\n]|$)/.test(rest) || /\^[&|<>^%]/.test(rest.replaceAll(/'[^']*'|"[^"]*"/g, ''));
	const {words, expansion, isOpen} = isCmd ? cmdLine(rest) : shellLine(rest);
	const {own, output, operator} = streamsOf(words);
	return {
		program: program.toLowerCase(),
		words: own,
		output,
		isOpen: isOpen || /(?:[\\^\x60|]|&&)$/.test(trimmed),
		applyTo(request) {
			if (isOpen) {
				request.refuse('has a quote that is not closed');
			} else if (new RegExp(`\\n\\s*(?:[$%]\\s+)?${name}\\s`, 'i').test(rest)) {
				request.refuse('is followed by another one; paste them one after the other');
			} else if (operator !== undefined) {
				request.refuse(`goes on after ${operator === '\n' ? 'its line' : operator}; leave that part out`);
			} else if (expansion !== undefined) {
				request.refuse(`has ${expansion}, which only your shell knows; write its value`);
			}
		},
	};
}

type Streams = {
	readonly own: readonly string[];
	readonly output: string | undefined;
	/** What makes it more than one plain command. */
	readonly operator: string | undefined;
};

/** Redirections of input and errors change nothing of the download; `tee` is another way to write the output. */
function streamsOf(line: ReadonlyArray<string | Operator>): Streams {
	const last = line.at(-1);
	// Copies of several commands are separated by ; or &.
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
