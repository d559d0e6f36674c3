// The words of a command line, as a POSIX shell splits it. Nothing is expanded or run. Pure.

export type ShellLine = {
	/** Words and operators, in order. */
	readonly words: ReadonlyArray<string | {readonly operator: string}>;
	/** The first variable or command substitution outside a URL, as written. */
	readonly expansion: string | undefined;
	/** A quote is not closed. */
	readonly isOpen: boolean;
};

/** The words of one plain command; undefined for anything more. Variables stay as typed. */
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
		String.raw`(?<operator>[|&;<>()]+)`,
		String.raw`(?<open>['"][^]*)`,
		String.raw`(?<plain>\$?[^\s\\'"|&;<>()$]*)`,
	].join('|'),
	'y',
);

/** Quoting of POSIX shells and `$'…'` of bash. In an unquoted URL `&`, `;` and parentheses are text: users forget quotes. */
export function shellLine(text: string): ShellLine {
	const words: Array<string | {operator: string}> = [];
	let word: string | undefined;
	let expansion: string | undefined;
	let isOpen = false;
	const endWord = () => {
		if (word !== undefined) {
			words.push(word);
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
		} else if (found.operator !== undefined) {
			const isText = isUrl('') && /^[&;()]+[^\s]/.test(text.slice(start));
			if (isText) {
				word += found.operator;
			} else {
				endWord();
				words.push({operator: found.operator});
			}
		} else if (found.continuation === undefined) {
			const [raw] = match;
			if ((found.double !== undefined || found.plain !== undefined) && !isUrl(raw)) {
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

/** `$'…'` of bash: escapes as in C. */
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
 * The words of a command line of Windows' cmd: `^` escapes outside its quotes, and programs read what is left with `\"`
 * for a quote. Browsers double every backslash.
 */
export function cmdWords(text: string): {words: string[]; isOpen: boolean} {
	let line = '';
	let isQuoted = false;
	for (let index = 0; index < text.length; index++) {
		const character = text[index]!;
		if (character === '^' && !isQuoted) {
			const [newline] = /^\r?\n/.exec(text.slice(index + 1, index + 3)) ?? [''];
			index += newline.length + (newline === '' ? 1 : 0);
			line += newline === '' ? (text[index] ?? '') : ' ';
		} else {
			isQuoted = character === '"' ? !isQuoted : isQuoted;
			line += character;
		}
	}

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
