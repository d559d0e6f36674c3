// Reads a pasted `Invoke-WebRequest` with its session, as browsers copy it. Pure.
import {PastedRequest, type PastedCommand} from './pasted-request.ts';

type Token = {readonly kind: 'text' | 'word' | 'sign' | 'redirection' | 'end'; readonly text: string};

const command = /^(?:Invoke-WebRequest|Invoke-RestMethod|iwr|irm)$/i;

function looksLikePowershell(text: string): boolean {
	return /^\s*(?:\$\w+\s*=\s*New-Object\s|\$\w+\.(?:UserAgent|Cookies)\b|(?:Invoke-WebRequest|Invoke-RestMethod|iwr|irm)\s)/i.test(
		text,
	);
}

/** Undefined if the text is not such a command. */
export function parsePowershellCommand(text: string): PastedCommand | undefined {
	if (!looksLikePowershell(text)) {
		return undefined;
	}

	const request = new PastedRequest('this PowerShell command');
	const {tokens, isOpen} = tokensOf(text);
	if (isOpen) {
		request.refuse('has an unclosed quote or bracket');
	}

	let count = 0;
	for (const statement of statementsOf(tokens)) {
		const [first] = statement;
		const start = statement.map(({text: word}) => word).join(' ');
		if (first?.kind === 'word' && command.test(first.text)) {
			count++;
			readCommand(request, statement.slice(1));
		} else if (/^\$\w+\.UserAgent = /i.test(start) && statement.length === 3) {
			request.userAgent = statement[2]!.text;
		} else if (/^\$\w+\.Cookies\.Add \( \( New-Object System\.Net\.Cookie \( /i.test(start)) {
			const [name, value] = statement.filter(({kind}) => kind === 'text');
			request.cookie(`${name?.text}=${value?.text}`);
		} else if (!/^\$\w+ = New-Object \S*WebRequestSession$/i.test(start)) {
			request.refuse('contains more than one plain Invoke-WebRequest; remove the rest');
		}
	}

	if (count > 1) {
		request.refuse('is followed by another command; paste one at a time');
	}

	return request.result();
}

/** Whether more lines must follow: a quote or bracket is open, or the command itself is missing. */
export function isPowershellUnfinished(text: string): boolean {
	const {tokens, isOpen} = tokensOf(text);
	const hasCommand = tokens.some(({kind, text: word}) => kind === 'word' && command.test(word));
	return looksLikePowershell(text) && (isOpen || !hasCommand || /\x60\s*$/.test(text));
}

const pieces = new RegExp(
	[
		String.raw`(?<blank>[ \t]+|\x60\r?\n|#[^\n]*)`,
		String.raw`(?<end>\r?\n|;)`,
		String.raw`"(?<double>(?:[^"\x60]|\x60[^]|"")*)"`,
		String.raw`'(?<single>(?:[^']|'')*)'`,
		String.raw`(?<sign>@?\{|[}()=,])`,
		String.raw`(?<open>['"][^]*)`,
		String.raw`(?<redirection>(?:(?<!\S)[\d*])?(?:>>|>&\d|>))`,
		String.raw`(?<word>https?:[^\s'"<>|]+|[^\s;'"{}()=,<>|]+)`,
		String.raw`(?<other>[^])`,
	].join('|'),
	'gi',
);

/** Line ends are ignored within brackets. */
function tokensOf(text: string): {tokens: Token[]; isOpen: boolean} {
	const tokens: Token[] = [];
	let depth = 0;
	let isOpen = false;
	for (const {groups: found = {}} of text.trim().matchAll(pieces)) {
		if (found.double !== undefined) {
			tokens.push({kind: 'text', text: unescaped(found.double)});
		} else if (found.single !== undefined) {
			tokens.push({kind: 'text', text: found.single.replaceAll("''", "'")});
		} else if (found.sign !== undefined) {
			depth += /[{(]/.test(found.sign) ? 1 : /[})]/.test(found.sign) ? -1 : 0;
			tokens.push({kind: 'sign', text: found.sign});
		} else if (found.end !== undefined) {
			if (depth === 0) {
				tokens.push({kind: 'end', text: ''});
			}
		} else if (found.redirection !== undefined) {
			tokens.push({kind: 'redirection', text: found.redirection});
		} else if (found.blank === undefined) {
			isOpen ||= found.open !== undefined;
			tokens.push({kind: 'word', text: found.word ?? found.open ?? found.other ?? ''});
		}
	}

	return {tokens, isOpen: isOpen || depth > 0};
}

const escapes: Readonly<Record<string, string>> = {n: '\n', r: '\r', t: '\t', 0: '\0'};

/** A backtick escapes; browsers write non-ASCII characters as `$([char]233)`. */
function unescaped(inner: string): string {
	return inner.replaceAll(
		/\x60([^])|""|\$\(\[char\](\d+)\)/gi,
		(_, character: string | undefined, code: string | undefined) =>
			code === undefined
				? character === undefined
					? '"'
					: (escapes[character] ?? character)
				: String.fromCharCode(Number(code)),
	);
}

function* statementsOf(tokens: readonly Token[]): Generator<Token[]> {
	let statement: Token[] = [];
	for (const token of [...tokens, {kind: 'end', text: ''} as const]) {
		if (token.kind !== 'end') {
			statement.push(token);
		} else if (statement.length > 0) {
			yield statement;
			statement = [];
		}
	}
}

/** Parameters that do not affect the download, without and with a value. */
const switches = new Set([
	'usebasicparsing',
	'passthru',
	'resume',
	'skipcertificatecheck',
	'disablekeepalive',
]);
const harmless = new Set([
	...['websession', 'sessionvariable', 'timeoutsec', 'maximumredirection', 'maximumretrycount'],
	...['retryintervalsec', 'httpversion', 'sslprotocol', 'erroraction', 'connectiontimeoutseconds'],
]);
/** Pseudo-headers of HTTP/2, which browsers list among the headers. */
const pseudoHeaders = new Set(['authority', 'method', 'path', 'scheme']);

function readCommand(request: PastedRequest, tokens: readonly Token[]): void {
	let output: string | undefined;
	for (let index = 0; index < tokens.length; index++) {
		const {kind, text} = tokens[index]!;
		if (kind === 'redirection') {
			// Other streams carry messages only.
			const target = /&\d$/.test(text) ? undefined : tokens[++index]?.text;
			output = /^[1*]?>>?$/.test(text) ? target : output;
			continue;
		}

		const receiver = text === '|' ? tokens[index + 1]?.text : undefined;
		if (receiver !== undefined && /^(?:Out-Null|Tee-Object|tee)$/i.test(receiver)) {
			const [target] = tokens
				.slice(index + 2)
				.filter(({text: word}) => !/^-(?:FilePath|Append)$/i.test(word));
			output ??= target?.text;
			break;
		}

		const [, name, inline] = kind === 'word' ? (/^-(\w+)(?::(.*))?$/.exec(text) ?? []) : [];
		if (name === undefined) {
			if (kind === 'sign' || text === '|' || request.urls.length > 0) {
				request.refuse('contains more than one plain Invoke-WebRequest; remove the rest');
			} else {
				request.urls.push(text);
			}
		} else if (switches.has(name.toLowerCase())) {
			continue;
		} else if (name.toLowerCase() === 'headers') {
			index = readHeaders(request, tokens, index + 1);
		} else {
			index += inline === undefined || inline === '' ? 1 : 0;
			readParameter(request, name, inline || tokens[index]?.text || '');
		}
	}

	if (output !== undefined && request.names.length === 0) {
		request.output(output);
	}
}

function readParameter(request: PastedRequest, name: string, value: string): void {
	switch (name.toLowerCase()) {
		case 'uri':
			request.urls.push(value);
			break;
		case 'useragent':
			request.userAgent = value;
			break;
		case 'outfile':
			request.output(value);
			break;
		case 'proxy':
			request.proxy = value;
			break;
		case 'contenttype':
			request.header('Content-Type', value);
			break;
		case 'method':
			if (!/^(?:get|head|default)$/i.test(value)) {
				request.refuse('sends data; only GET requests can be downloaded');
			}

			break;
		case 'body':
		case 'infile':
		case 'form':
			request.refuse('sends data; only GET requests can be downloaded');
			break;
		default:
			if (!harmless.has(name.toLowerCase())) {
				request.refuseOption(`-${name}`);
			}
	}
}

/** Reads `@{"Name"="value"; …}`. Returns the index of its last token. */
function readHeaders(request: PastedRequest, tokens: readonly Token[], start: number): number {
	const end = tokens.findIndex(({text}, index) => index >= start && text === '}');
	if (tokens[start]?.text !== '@{' || end === -1) {
		request.refuse('has headers in a form other than @{"Name"="value"}');
		return tokens.length;
	}

	const given = tokens.slice(start + 1, end);
	const names = given.filter((_, index) => given[index + 1]?.text === '=').map(({text}) => text);
	const isCopied = names.includes('authority') && names.includes('scheme');
	for (let index = 0; index < given.length; index += 3) {
		const [name, sign, value] = given.slice(index, index + 3);
		if (sign?.text !== '=' || !value) {
			request.refuse('has a header in a form other than "Name"="value"');
			return end;
		}

		if (!(isCopied && pseudoHeaders.has(name!.text))) {
			request.header(name!.text, value.text);
		}
	}

	return end;
}
