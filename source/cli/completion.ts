// Shell completion: the candidates for an unfinished command line, and the script with which each shell asks for them.
// Pure.
import {commands, flagsOf, isCommand, operandsOf, type CommandName} from './commands.ts';
import {DownStreamError} from '../downstream.ts';
import {flags, optionOf, type Flag, type FlagName} from './flags.ts';
import {flagNames} from './arguments.ts';
import {shellLine} from '../requests/shell-words.ts';

export type Candidate = {readonly word: string; readonly description: string};

export type Completion = {
	/** The start of the current word that no candidate repeats: `--color=` or `@`. */
	readonly prefix: string;
	/** `ID`, `file` and `folder` stand for candidates that are not in the tables. */
	readonly expects: 'word' | 'ID' | 'file' | 'folder';
	readonly candidates: readonly Candidate[];
	/** The flags that decide where downloads are looked up. */
	readonly lookup: {readonly storage?: string; readonly config?: string};
};

type Expected = Pick<Completion, 'expects' | 'candidates'>;

/** `line`: the command line up to the cursor, as typed, with the name of the program. */
export function completionFor(line: string): Completion {
	const {words, current} = wordsOf(line);
	const given = new Map<FlagName, string>();
	const operands: string[] = [];
	let open: FlagName | undefined;
	let endsFlags = false;
	for (const word of words) {
		if (open !== undefined) {
			given.set(open, word);
			open = undefined;
		} else if (endsFlags || !/^-./.test(word)) {
			operands.push(word);
		} else if (word === '--') {
			endsFlags = true;
		} else {
			const [, option = '', value] = /^([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
			const name = flagNames.get(option);
			if (name !== undefined) {
				given.set(name, value ?? '');
				open = takesValue(name) && value === undefined ? name : undefined;
			}
		}
	}

	const lookup = {storage: given.get('storage'), config: given.get('config')};
	const [first, ...rest] = operands;
	const name = first !== undefined && isCommand(first) ? first : undefined;
	const [, option = '', value] = /^(--[^=]+)=(.*)$/s.exec(current) ?? [];
	const inline = value === undefined || endsFlags ? undefined : flagNames.get(option);
	if (open !== undefined || (inline !== undefined && takesValue(inline))) {
		return {lookup, prefix: open === undefined ? `${option}=` : '', ...valuesOf((open ?? inline)!)};
	}

	if (current.startsWith('-') && !endsFlags) {
		const open = flagsOf(name).filter(flag => flags[flag].kind === 'list' || !given.has(flag));
		return {lookup, prefix: '', expects: 'word', candidates: [...open.map(flagCandidate), helpFlag]};
	}

	const takesLists = name === undefined || commands[name].operands.includes('URL');
	if (takesLists && current.startsWith('@')) {
		return {lookup, prefix: '@', ...nothing, expects: 'file'};
	}

	if (first === undefined) {
		return {lookup, prefix: '', expects: 'word', candidates: commandCandidates};
	}

	return {lookup, prefix: '', ...(name === undefined ? nothing : operandOf(name, rest.length))};
}

/** The response to a script: the kind of paths it must add, then one candidate per line. */
export function completionLines(shell: string, {prefix, expects, candidates}: Completion): string[] {
	return [
		expects,
		...candidates.map(({word, description}) => {
			switch (shell) {
				case 'zsh':
					return `${word.replaceAll(':', String.raw`\:`)}:${description}`;
				case 'fish':
					return `${prefix}${word}\t${description}`;
				default:
					return word;
			}
		}),
	];
}

/** The script for a shell to source. Throws `bad-request` for an unknown shell. */
export function completionScript(shell: string): string {
	const script = Object.hasOwn(scripts, shell) ? scripts[shell as keyof typeof scripts] : undefined;
	if (script === undefined) {
		const shells = Object.keys(scripts).join(', ');
		throw new DownStreamError(
			'bad-request',
			`completion ${JSON.stringify(shell)}: it must be one of ${shells}`,
		);
	}

	return script.trim();
}

/** Each script passes the line up to the cursor to the program, and adds files and folders itself. */
const scripts = {
	// Bash ends words at = and @, but replaces an @ with the word after it.
	bash: String.raw`
# source <(downstream-tui completion bash)
_downstream_tui() {
	local IFS=$'\n' word=${'$'}{2#[=@]} at=
	[[ $2 == @* || $3 == @ ]] && at=@
	local answer=($("$1" __complete bash "${'$'}{COMP_LINE:0:COMP_POINT}" 2>/dev/null))
	case ${'$'}{answer[0]} in
		file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -P "$at" -- "$word")) ;;
		folder) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$word")) ;;
		*) COMPREPLY=($(compgen -W "${'$'}{answer[*]:1}" -- "$word")) ;;
	esac
}
complete -F _downstream_tui downstream-tui
`,
	zsh: String.raw`
#compdef downstream-tui
# source <(downstream-tui completion zsh)
_downstream_tui() {
	local line="${'$'}{(j: :)words[1,CURRENT-1]} $PREFIX"
	local -a answer=("${'$'}{(@f)$($words[1] __complete zsh "$line" 2>/dev/null)}")
	local expects=$answer[1]
	shift answer
	compset -P '(--*=|@)'
	case $expects in
		file) _files ;;
		folder) _files -/ ;;
		*) _describe -V downstream-tui answer ;;
	esac
}
if [[ $funcstack[1] == _downstream_tui ]]; then _downstream_tui "$@"; else compdef _downstream_tui downstream-tui; fi
`,
	fish: String.raw`
# downstream-tui completion fish | source
function __downstream_tui
	set -l words (commandline -opc)
	set -l answer ($words[1] __complete fish (commandline -cp | string collect) 2>/dev/null)
	set -l prefix (string match -r -- '^(?:--[^=]*=|@)' (commandline -ct); or echo)
	set -l path (string sub -s (math (string length -- $prefix) + 1) -- (commandline -ct))
	switch "$answer[1]"
		case file
			printf '%s\n' $prefix(__fish_complete_path "$path")
		case folder
			printf '%s\n' $prefix(__fish_complete_directories "$path")
	end
	printf '%s\n' $answer[2..]
end
complete -c downstream-tui -f -a '(__downstream_tui)'
`,
} as const;

const nothing: Expected = {expects: 'word', candidates: []};

const helpFlag: Candidate = {word: '--help', description: 'help'};

const commandCandidates: readonly Candidate[] = Object.entries(commands).map(([word, {description}]) => ({
	word,
	description,
}));

/** The words before the current one, unquoted and without the program's name, and the current one up to the cursor. */
function wordsOf(line: string): {words: string[]; current: string} {
	// Marks the end of the current word, also after a blank or in an open quote.
	const cursor = '\0';
	const words = shellLine(line + cursor).words.filter(word => typeof word === 'string');
	const current = words.pop() ?? '';
	return {words: words.slice(1), current: current.replace(/^['"]/, '').replace(cursor, '')};
}

function takesValue(name: FlagName): boolean {
	return flags[name].kind !== 'switch';
}

/** Its description up to the end of the line. */
function flagCandidate(name: FlagName): Candidate {
	const [description = ''] = flags[name].description.split('\n');
	return {word: optionOf(name), description: description.replace(/,$/, '')};
}

function valuesOf(name: FlagName): Expected {
	const {choices, value}: Flag = flags[name];
	return choices ? {expects: 'word', candidates: asCandidates(choices)} : expectedFor(value);
}

/** The last operand of a list such as `ID…` stands for all further ones. */
function operandOf(name: CommandName, index: number): Expected {
	const {names, isEndless} = operandsOf(commands[name]);
	return expectedFor(isEndless ? (names[index] ?? names.at(-1)) : names[index]);
}

/** By the placeholder in the help: `DIR`, `bash|zsh|fish`. */
function expectedFor(placeholder = ''): Expected {
	switch (placeholder) {
		case 'ID':
			return {...nothing, expects: 'ID'};
		case 'DIR':
			return {...nothing, expects: 'folder'};
		case 'FILE':
		case 'PATH':
			return {...nothing, expects: 'file'};
		default:
			return placeholder.includes('|')
				? {expects: 'word', candidates: asCandidates(placeholder.split('|'))}
				: nothing;
	}
}

function asCandidates(words: readonly string[]): Candidate[] {
	return words.map(word => ({word, description: ''}));
}
