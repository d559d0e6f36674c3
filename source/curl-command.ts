// What of a pasted `curl` command concerns a download: URLs, headers, user agent, upstream proxy, name.
import {parseArgs} from 'node:util';
import {parse} from 'shell-quote';

export type CurlCommand = {
	readonly urls: readonly string[];
	/** As `Name: value`. */
	readonly headers: readonly string[];
	readonly userAgent: string | undefined;
	readonly proxy: string | undefined;
	readonly name: string | undefined;
	/** What it would have done otherwise, in plain words; undefined if nothing is lost. */
	readonly problem: string | undefined;
};

const short: Record<string, string> = {
	H: 'header',
	A: 'user-agent',
	b: 'cookie',
	e: 'referer',
	u: 'user',
	x: 'proxy',
	U: 'proxy-user',
	o: 'output',
	X: 'request',
	d: 'data',
	F: 'form',
	r: 'range',
	m: 'max-time',
	C: 'continue-at',
	T: 'upload-file',
};
const several = new Set(['header', 'url', 'data', 'form']);
const withValue = [
	...Object.values(short),
	...['url', 'data-raw', 'data-binary', 'data-urlencode', 'json', 'retry', 'connect-timeout', 'limit-rate'],
];
/** Sent by the program itself as it needs them, or of no use for another request. */
const ownHeaders = /^(?:range|if-range|host|connection|accept-encoding|content-length|content-type)$/i;

/** Undefined if the text is no curl command. As browsers copy it for a POSIX shell, and with `^` for cmd. */
export function parseCurlCommand(text: string): CurlCommand | undefined {
	if (!/^\s*(?:\$\s+)?curl(?:\.exe)?\s/.test(text)) {
		return undefined;
	}

	const [, ...args] = shellWords(text.trim().replace(/^\$\s+/, ''));
	const {values, positionals} = parseArgs({
		args,
		allowPositionals: true,
		strict: false,
		options: Object.fromEntries(
			withValue.map(name => [
				name,
				{
					type: 'string' as const,
					multiple: several.has(name),
					...shortOf(name),
				},
			]),
		),
	});
	const value = (name: string) => {
		const found = values[name];
		return typeof found === 'string' ? found : undefined;
	};
	const all = (name: string) =>
		[values[name] ?? []].flat().filter((found): found is string => typeof found === 'string');
	const given = all('header').filter(line => /^[^:;]+:\s*\S/.test(line));
	const agentLine = given.find(line => /^user-agent:/i.test(line));
	const headers = given.filter(line => !ownHeaders.test(line.split(':')[0]!.trim()) && line !== agentLine);
	const cookie = value('cookie');
	if (cookie?.includes('=')) {
		headers.push(`Cookie: ${cookie}`);
	}

	const referer = value('referer');
	if (referer !== undefined) {
		headers.push(`Referer: ${referer}`);
	}

	const user = value('user');
	if (user !== undefined) {
		headers.push(`Authorization: Basic ${Buffer.from(user).toString('base64')}`);
	}

	const method = value('request');
	const sends = ['data', 'data-raw', 'data-binary', 'data-urlencode', 'json', 'form', 'upload-file'];
	const isOther =
		(method !== undefined && !/^(?:get|head)$/i.test(method)) || sends.some(name => name in values);
	return {
		urls: [...positionals, ...all('url')],
		headers,
		userAgent: value('user-agent') ?? agentLine?.slice('user-agent:'.length).trim(),
		proxy: proxyOf(value('proxy'), value('proxy-user')),
		name: value('output')?.split(/[\\/]/).at(-1),
		problem: isOther ? 'this curl command sends data; only GET requests can be downloaded' : undefined,
	};
}

function shortOf(name: string): {short?: string} {
	const letter = Object.keys(short).find(key => short[key] === name);
	return letter === undefined ? {} : {short: letter};
}

/** curl takes a proxy without a scheme for http. */
function proxyOf(proxy: string | undefined, user: string | undefined): string | undefined {
	if (proxy === undefined || proxy === '') {
		return undefined;
	}

	const url = /^[a-z\d]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
	return user === undefined || url.includes('@') ? url : url.replace('://', `://${user}@`);
}

function shellWords(text: string): string[] {
	// cmd escapes with ^, also the quotes and the ends of lines.
	const isCmd = /\^["\r\n]/.test(text);
	const joined = isCmd
		? text.replaceAll(/\^\r?\n/g, ' ').replaceAll(/\^(.)/g, '$1')
		: text
				.replaceAll(/\\\r?\n/g, ' ')
				.replaceAll(/\$'((?:[^'\\]|\\.)*)'/gs, (_, inner: string) => quoted(inner));
	// Variables and operators are text here; nothing is expanded.
	return parse(joined, name => `$${name}`).flatMap(word =>
		typeof word === 'string' ? [word] : 'pattern' in word ? [word.pattern] : 'op' in word ? [word.op] : [],
	);
}

/** `$'…'` of bash: escapes as in C. */
function quoted(inner: string): string {
	const text = inner.replaceAll(
		/\\(?:u([\da-f]{1,4})|x([\da-f]{1,2})|(.))/gis,
		(_, unicode: string | undefined, hex: string | undefined, character: string | undefined) => {
			const code = unicode ?? hex;
			return code === undefined
				? ({n: '\n', r: '\r', t: '\t'}[character!] ?? character!)
				: String.fromCharCode(Number.parseInt(code, 16));
		},
	);
	return `'${text.replaceAll("'", `'\\''`)}'`;
}
