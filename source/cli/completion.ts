// The scripts that complete the program's words in bash, zsh and fish, made from the tables of flags and commands. Pure.
import {commands, operandsOf, type Command, type CommandName} from './commands.ts';
import {DownStreamError} from '../downstream.ts';
import {flags, optionOf, type Flag, type FlagName} from './flags.ts';

/** Throws `bad-request` for another shell. */
export function completionScript(shell: string): string {
	switch (shell) {
		case 'bash':
			return bash();
		case 'zsh':
			return zsh();
		case 'fish':
			return fish();
		default:
			throw new DownStreamError(
				'bad-request',
				`completion ${JSON.stringify(shell)}: it must be one of bash, zsh, fish`,
			);
	}
}

/** What stands at a place: one of several words, or something that the shell or `list` knows. */
type Kind = 'ID' | 'URL' | 'file' | 'folder' | readonly string[] | undefined;

type CompletedFlag = {
	readonly long: string;
	readonly short: string | undefined;
	readonly description: string;
	readonly value: string | undefined;
	readonly kind: Kind;
	readonly isList: boolean;
};

const completedFlags: readonly CompletedFlag[] = [
	...Object.entries<Flag>(flags).map(([name, {kind, short, value, description, choices}]) => ({
		long: optionOf(name as FlagName),
		short,
		description: firstLine(description),
		value,
		kind: choices ?? kindOf(value),
		isList: kind === 'list',
	})),
	{long: '--help', short: 'h', description: 'help', value: undefined, kind: undefined, isList: false},
	{
		long: '--version',
		short: undefined,
		description: 'version',
		value: undefined,
		kind: undefined,
		isList: false,
	},
];

function kindOf(value: string | undefined): Kind {
	return value === 'DIR' ? 'folder' : value === 'FILE' || value === 'PATH' ? 'file' : undefined;
}

const commandNames = Object.keys(commands) as CommandName[];

/** The kinds of a command's operands; the last one is that of all further places. */
function operandKinds(name: CommandName): Kind[] {
	const command: Command = commands[name];
	const {names, isEndless} = operandsOf(command);
	const kinds = names.map((operand): Kind => {
		if (operand.includes('|')) {
			return operand.split('|');
		}

		return operand === 'ID' || operand === 'URL' ? operand : kindOf(operand);
	});
	return isEndless ? kinds : [...kinds, undefined];
}

/** A list ends with a comma where its next line goes on. */
function firstLine(text: string): string {
	return text.split('\n')[0]!.replace(/,$/, '');
}

function bash(): string {
	const candidates = (kind: Kind): string => {
		switch (kind) {
			case 'ID':
				return 'compgen -W "$(_downstream_tui_ids)" -- "$word"';
			case 'file':
				return 'compgen -f -- "$word"';
			case 'folder':
				return 'compgen -d -- "$word"';
			default:
				return Array.isArray(kind) ? `compgen -W '${kind.join(' ')}' -- "$word"` : ':';
		}
	};
	const withValue = completedFlags.filter(({value}) => value !== undefined);
	const patternOf = ({long, short}: CompletedFlag) => (short === undefined ? long : `${long}|-${short}`);
	const places = commandNames.flatMap(name => {
		const kinds = operandKinds(name);
		return kinds.map((kind, index) => {
			const isLast = index === kinds.length - 1;
			return `\t\t'${name} '${isLast ? '*' : index}) ${candidates(kind)} ;;`;
		});
	});
	return `
# source <(downstream-tui completion bash)
_downstream_tui_ids() {
	local number id rest
	"\${COMP_WORDS[0]}" list "\${storage[@]}" 2>/dev/null | while read -r number id rest; do echo "$id"; done
}

_downstream_tui_candidates() {
	local word=$1 previous=$2 command= operand=0 storage=() flag i
	# The shell takes --flag=value and @FILE apart.
	case $word,$previous in
		@,* | *,@) compgen -f -P @ -- "\${word#@}"; return ;;
		=,*) word= ;;
		*,=) previous=\${COMP_WORDS[COMP_CWORD - 2]} ;;
	esac
	case $previous in
${withValue
	.filter(({kind}) => kind !== undefined)
	.map(flag => `\t\t${patternOf(flag)}) ${candidates(flag.kind)}; return ;;`)
	.join('\n')}
		${withValue.map(patternOf).join('|')}) return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		flag=\${COMP_WORDS[i]}
		case $flag in
			${withValue.map(patternOf).join('|')})
				[[ \${COMP_WORDS[i + 1]} == = ]] && ((i++))
				((i++))
				[[ $flag == --storage ]] && storage=(--storage "\${COMP_WORDS[i]}")
				;;
			-*) ;;
			*) if [[ -z $command ]]; then command=$flag; else ((operand++)); fi ;;
		esac
	done
	if [[ $word == -* ]]; then
		compgen -W '${completedFlags.map(({long}) => long).join(' ')}' -- "$word"
		return
	fi
	case "$command $operand" in
		' '*) compgen -W '${commandNames.join(' ')}' -- "$word" ;;
${places.join('\n')}
	esac
}

_downstream_tui() {
	local candidate
	COMPREPLY=()
	while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(_downstream_tui_candidates "$2" "$3")
	[[ -e \${COMPREPLY[0]#@} ]] && compopt -o filenames 2>/dev/null
}

complete -F _downstream_tui downstream-tui
`.trim();
}

function zsh(): string {
	const action = (kind: Kind): string => {
		switch (kind) {
			case 'ID':
				return '_downstream_tui_ids';
			case 'URL':
				return 'compset -P @ && _files';
			case 'file':
				return '_files';
			case 'folder':
				return '_files -/';
			default:
				return Array.isArray(kind) ? `compadd ${kind.join(' ')}` : '';
		}
	};
	const specification = ({long, short, description, value, kind, isList}: CompletedFlag) => {
		const names = [long, ...(short === undefined ? [] : [`-${short}`])];
		const once = isList ? "'*'" : `'(${names.join(' ')})'`;
		const forms = value === undefined ? names : names.map(name => `${name}${name === long ? '=' : '+'}`);
		const typed = forms.length > 1 ? `{${forms.join(',')}}` : forms[0]!;
		const text = `[${description.replaceAll(/[\\[\]]/g, '\\$&')}]`;
		const values = Array.isArray(kind) ? `(${kind.join(' ')})` : action(kind);
		const argument = value === undefined ? '' : `:${value.replaceAll(':', String.raw`\:`)}:${values}`;
		return `\t\t${once}${typed}${quoted(text + argument)}`;
	};
	const cases = commandNames.flatMap(name => {
		const kinds = operandKinds(name);
		return kinds.map(
			(kind, index) =>
				`\t\t${quoted(`${name} `)}${index === kinds.length - 1 ? '*' : index}) ${action(kind)} ;;`,
		);
	});
	return `
#compdef downstream-tui
# source <(downstream-tui completion zsh)
_downstream_tui_ids() {
	local -a ids storage
	local number id rest
	(( $+opt_args[--storage] )) && storage=(--storage $opt_args[--storage])
	$program list $storage 2>/dev/null | while read -r number id rest; do ids+=("$id:\${rest//:/ }"); done
	_describe -V download ids
}

_downstream_tui() {
	local program=$words[1] context state state_descr line
	typeset -A opt_args
	local -a commands=(
${commandNames.map(name => `\t\t${quoted(`${name}:${commands[name].description.replaceAll(':', '\\:')}`)}`).join('\n')}
	)
	_arguments -C \\
${completedFlags.map(flag => `${specification(flag)} \\`).join('\n')}
		'1: :->command' '*: :->operand'
	case $state in
		command) _describe command commands; return ;;
		operand) ;;
		*) return ;;
	esac
	case "$line[1] $(($#line - 2))" in
${cases.join('\n')}
	esac
}

if [[ $funcstack[1] == _downstream_tui ]]; then _downstream_tui "$@"; else compdef _downstream_tui downstream-tui; fi
`.trim();
}

function fish(): string {
	const action = (kind: Kind): string => {
		switch (kind) {
			case 'ID':
				return " -a '(__downstream_tui_ids)'";
			case 'URL':
				return " -a '(__downstream_tui_lists)'";
			case 'file':
				return ' -F';
			case 'folder':
				return " -a '(__fish_complete_directories)'";
			default:
				return Array.isArray(kind) ? ` -a ${quoted(kind.join(' '))}` : '';
		}
	};
	const start = 'complete -c downstream-tui';
	const ofCommands = commandNames.flatMap(name => [
		`${start} -n __fish_use_subcommand -a ${name} -d ${quoted(commands[name].description)}`,
		...operandKinds(name)
			.filter(kind => kind !== undefined)
			.map(kind => `${start} -n '__fish_seen_subcommand_from ${name}'${action(kind)}`),
	]);
	const ofFlags = completedFlags.map(({long, short, description, value, kind}) =>
		[
			start,
			...(short === undefined ? [] : [`-s ${short}`]),
			`-l ${long.slice(2)} -d ${quoted(description)}`,
			...(value === undefined ? [] : [`-r${action(kind)}`]),
		].join(' '),
	);
	return `
# downstream-tui completion fish | source
function __downstream_tui_ids
	set -l words (commandline -opc)
	set -l storage
	set -l place (contains -i -- --storage $words)
	and set storage --storage $words[(math $place + 1)]
	$words[1] list $storage 2>/dev/null | while read -l number id rest
		printf '%s\t%s\n' $id $rest
	end
end

function __downstream_tui_lists
	set -l word (commandline -ct)
	string match -q '@*' -- $word
	and printf '@%s\n' (string sub -s 2 -- $word)*
end

${start} -f
${ofCommands.join('\n')}
${ofFlags.join('\n')}
`.trim();
}

/** One word of zsh and fish. */
function quoted(text: string): string {
	return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
