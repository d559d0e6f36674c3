// Splits a command line into words and operators as POSIX shells and cmd do. Expands and runs nothing. Pure.

/** `&&`, `|` or a line end; or a redirection with its descriptor, such as `2>`, and its target. */
export type Operator = {readonly operator: string; target?: string};

type ShellLine = {
	/** In order. */
	readonly words: ReadonlyArray<string | Operator>;
	/** The first variable or command substitution outside a URL, as written. */
	readonly expansion: string | undefined;
	/** A quote is unclosed. */
	readonly isOpen: boolean;
};

/** The words of one plain command; undefined for anything more complex. Variables stay as typed. */
export function commandWords(command: string): string[] | undefined {
	const {words, isOpen} = shellLine(command);
	const plain = words.filter(word => typeof word === 'string');
	return plain.length > 0 && plain.length === words.length && !isOpen ? plain : undefined;
}

const piece = new RegExp(
	[
		String.raw`(?<continuation>[\\\x60]\r?\n)`,
		String.raw`(?<blank>\s+)`,
		String.raw`\\(?<escaped>[^]?)`,
		String.raw`\$'(?<ansi>(?:[^'\\]|\\[^])*)'`,
		String.raw`'(?<single>[^']*)'`,
		String.raw`\$?"(?<double>(?:[^"\\]|\\[^])*)"`,
		// A descriptor starts a word: in `f?x=2>out` the 2 belongs to the URL.
		String.raw`(?<redirection>(?:(?<![^\s|&;()<>])(?:\d+|\{\w+\}|\*))?(?:<<<|<<-?|<>|[<>]&|>>|>\||[<>])|&>>?)`,
		String.raw`(?<control>&&|\|\||\|&|[|&;()])`,
		String.raw`(?<open>['"][^]*)`,
		String.raw`(?<plain>\$?[^\s\\'"|&;<>()$]*)`,
	].join('|'),
	'y',
);

/** Whether one of the words before is a URL of the command. */
type HasUrl = (words: readonly string[]) => boolean;

/**
 * Follows the quoting of POSIX shells, and `$'…'` of bash. In an unquoted URL `&`, `;` and parentheses are text: users forget
 * quotes.
 */
export function shellLine(text: string, hasUrl: HasUrl = () => false): ShellLine {
	const words: Array<string | Operator> = [];
	let word: string | undefined;
	let expansion: string | undefined;
	let isOpen = false;
	const endWord = () => {
		if (word !== undefined) {
			addWord(words, word);
		}

		word = undefined;
	};
	const isUrl = (more: string) => /^["']?https?:\/\//i.test((word ?? '') + more);
	for (piece.lastIndex = 0; piece.lastIndex < text.length;) {
		const start = piece.lastIndex;
		if (word === undefined && text[start] === '#') {
			const end = text.indexOf('\n', start);
			piece.lastIndex = end === -1 ? text.length : end;
			continue;
		}

		const match = piece.exec(text)!;
		const {groups: found = {}} = match;
		if (found.blank !== undefined) {
			endWord();
			// A line that ends with an operator continues.
			if (!isControl(words.at(-1)) && endsCommand(text.slice(start), words, hasUrl)) {
				words.push({operator: '\n'});
			}
		} else if (found.redirection !== undefined) {
			endWord();
			words.push({operator: found.redirection});
		} else if (found.control !== undefined) {
			const isText = isUrl('') && !/['"]/.test(text[start - 1]!) && staysInUrl(word!, text.slice(start));
			if (isText) {
				word += found.control;
			} else {
				endWord();
				words.push({operator: found.control});
			}
		} else if (found.continuation === undefined) {
			const [raw] = match;
			const before = words.at(-1);
			// The target of a log does not matter.
			const isIgnored = isOpenRedirection(before) && (!isOfOutput(before) || raw === '$null');
			if ((found.double !== undefined || found.plain !== undefined) && !isUrl(raw) && !isIgnored) {
				expansion ??= /\$(?:[A-Za-z_]\w*|\{[^}]*\}?|\([^)]*\)?)/.exec(raw)?.[0];
			}

			isOpen ||= found.open !== undefined;
			word =
				(word ?? '') +
				(found.escaped ??
					found.single ??
					found.double?.replaceAll(/\\(?:\r?\n|([$\x60"\\]))/g, '$1') ??
					(found.ansi === undefined ? undefined : unescaped(found.ansi)) ??
					found.open ??
					found.plain ??
					'');
		}
	}

	endWord();
	return {words, expansion, isOpen};
}

/**
 * Whether `rest` starts with a line end after which no option and no URL of the command follows. A URL on the next line
 * is not one of a command that has a URL: it must not get the headers of the command.
 */
function endsCommand(rest: string, before: ReadonlyArray<string | Operator>, hasUrl: HasUrl): boolean {
	return /^[^\S\n]*\n\s*['"]?https?:/i.test(rest)
		? hasUrl(before.filter(word => typeof word === 'string'))
		: /^[^\S\n]*\n\s*[^\s'"#-]/.test(rest);
}

/** Whether an unquoted URL continues with these characters: as a query, or as `;name=value` of a path. */
function staysInUrl(url: string, rest: string): boolean {
	return /^[()]/.test(rest) || (url.includes('?') ? /^(?!&&)[&;]+[^\s&;|<>]/ : /^[&;][\w.~%-]+=/).test(rest);
}

function isRedirection({operator}: Operator): boolean {
	return /[<>]/.test(operator);
}

/** Whether it separates commands. */
export function isControl(token: string | Operator | undefined): boolean {
	return typeof token === 'object' && !isRedirection(token);
}

/** Whether it redirects standard output. */
export function isOfOutput({operator, target}: Operator): boolean {
	const isCopy = operator.endsWith('&') && /^(?:\d+|-)$/.test(target ?? '');
	return /^(?:[1*]?>(?:[>|&])?|&>>?)$/.test(operator) && !isCopy;
}

function isOpenRedirection(token: string | Operator | undefined): token is Operator {
	return typeof token === 'object' && token.target === undefined && isRedirection(token);
}

function addWord(tokens: Array<string | Operator>, word: string): void {
	const before = tokens.at(-1);
	if (isOpenRedirection(before)) {
		before.target = word;
	} else {
		tokens.push(word);
	}
}

const ansiCharacters: Readonly<Record<string, string>> = {
	a: '\u0007',
	b: '\b',
	e: '\u001B',
	E: '\u001B',
	f: '\f',
	n: '\n',
	r: '\r',
	t: '\t',
	v: '\v',
};

/** Resolves the escapes of C in `$'…'` of bash. */
function unescaped(inner: string): string {
	return inner.replaceAll(
		/\\(?:u([\da-f]{1,4})|U([\da-f]{1,8})|x([\da-f]{1,2})|([0-7]{1,3})|([^]))/gi,
		(_, unicode?: string, long?: string, hex?: string, octal?: string, character?: string) => {
			const code = unicode ?? long ?? hex;
			if (code === undefined && octal === undefined) {
				return ansiCharacters[character!] ?? character!;
			}

			const point = code === undefined ? Number.parseInt(octal!, 8) : Number.parseInt(code, 16);
			return point > 0x10_ff_ff ? '�' : String.fromCodePoint(point);
		},
	);
}

/**
 * Splits a command line of Windows' cmd: `^` escapes outside its quotes, and programs read `\"` in the rest as a quote.
 * Browsers double every backslash.
 */
export function cmdLine(text: string, hasUrl: HasUrl): ShellLine {
	const words: Array<string | Operator> = [];
	let line = '';
	let isQuoted = false;
	let isOpen = false;
	const endPart = () => {
		const part = argumentsOf(line);
		for (const word of part.words) {
			addWord(words, word);
		}

		isOpen ||= part.isOpen;
		line = '';
	};
	for (let index = 0; index < text.length; index++) {
		const character = text[index]!;
		const rest = text.slice(index);
		const [operator] = isQuoted ? [] : (/^(?:[<>]&|>>|&&|\|\||[<>|&])/.exec(rest) ?? []);
		const [, url] = /(?:^|\s)(https?:\/\/\S*)$/i.exec(line) ?? [];
		const isText = url !== undefined && staysInUrl(url, rest);
		if (character === '^' && !isQuoted) {
			const [newline] = /^\r?\n/.exec(text.slice(index + 1, index + 3)) ?? [''];
			index += newline.length + (newline === '' ? 1 : 0);
			line += newline === '' ? (text[index] ?? '') : ' ';
		} else if (operator !== undefined && !isText) {
			const [descriptor = ''] = /[<>]/.test(operator) ? (/(?<!\S)\d$/.exec(line) ?? []) : [];
			line = line.slice(0, line.length - descriptor.length);
			endPart();
			words.push({operator: descriptor + operator});
			index += operator.length - 1;
		} else if (
			!isQuoted &&
			character === '\n' &&
			endsCommand(rest, [...words, ...argumentsOf(line).words], hasUrl)
		) {
			endPart();
			words.push({operator: '\n'});
		} else {
			isQuoted = character === '"' ? !isQuoted : isQuoted;
			line += character;
		}
	}

	endPart();
	return {words, expansion: undefined, isOpen};
}

/** Splits arguments as the C run-time library of Windows does. */
function argumentsOf(line: string): {words: string[]; isOpen: boolean} {
	const words: string[] = [];
	let word: string | undefined;
	let isInside = false;
	for (const [part] of line.matchAll(/\\[\\"]|""|[^]/g)) {
		if (part === '"' || (part === '""' && !isInside)) {
			isInside = part === '"' ? !isInside : isInside;
			word ??= '';
		} else if (/\s/.test(part) && !isInside) {
			if (word !== undefined) {
				words.push(word);
			}

			word = undefined;
		} else {
			word = (word ?? '') + (part.length === 2 ? part[1]! : part);
		}
	}

	return {words: word === undefined ? words : [...words, word], isOpen: isInside};
}
