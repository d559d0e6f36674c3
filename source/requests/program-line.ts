// A pasted command line of one program: its words, and what keeps it from being one plain command. Pure.
import {cmdWords, shellLine} from './shell-words.ts';
import type {PastedRequest} from './pasted-request.ts';

export type ProgramLine = {
	readonly program: string;
	/** Without the program's name. */
	readonly words: readonly string[];
	/** A quote is not closed, or the line goes on after its end. */
	readonly isOpen: boolean;
	/** Tells the request what the shell does, or that the line is more than one plain command. */
	readonly applyTo: (request: PastedRequest) => void;
};

/** Undefined if the text is no command line of one of the programs. */
export function programLine(text: string, programs: readonly string[]): ProgramLine | undefined {
	// Copies of several commands are separated by ; or &.
	const trimmed = text.trim().replace(/\s+[;&]$/, '');
	const name = `(?:[\\w.~/-]*/)?(${programs.join('|')})(?:\\.exe)?`;
	const [start, program] = new RegExp(`^(?:[$%]\\s+)?${name}(?:\\s|$)`, 'i').exec(trimmed) ?? [];
	if (start === undefined || program === undefined) {
		return undefined;
	}

	const rest = trimmed.slice(start.length);
	// cmd escapes with ^, also the quotes and the ends of lines.
	const isCmd = /\^(?:["\r\n]|$)/.test(rest);
	const {words, expansion, isOpen} = isCmd ? {...cmdWords(rest), expansion: undefined} : shellLine(rest);
	const plain: string[] = [];
	let output: string | undefined;
	let operator: string | undefined;
	for (const [index, word] of words.entries()) {
		const before = words[index - 1];
		if (typeof word !== 'string') {
			operator ??= word.operator === '>' ? undefined : word.operator;
		} else if (typeof before === 'object' && before.operator === '>') {
			output = word;
		} else {
			plain.push(word);
		}
	}

	return {
		program: program.toLowerCase(),
		words: plain,
		isOpen: isOpen || /[\\^\x60]$/.test(trimmed),
		applyTo(request) {
			if (isOpen) {
				request.refuse('has a quote that is not closed');
			} else if (new RegExp(`\\n\\s*(?:[$%]\\s+)?${name}\\s`, 'i').test(rest)) {
				request.refuse('is followed by another one; paste them one after the other');
			} else if (operator !== undefined) {
				request.refuse(`goes on after ${operator}; leave that part out`);
			} else if (expansion !== undefined) {
				request.refuse(`has ${expansion}, which only your shell knows; write its value`);
			}

			if (output !== undefined) {
				request.output(output);
			}
		},
	};
}
