// Collects the request of a pasted command, option by option. Pure.

export type PastedCommand = {
	readonly urls: readonly string[];
	/** `Name: value`, each name once. */
	readonly headers: readonly string[];
	readonly userAgent: string | undefined;
	/** Upstream proxy URL, or `direct`. */
	readonly proxy: string | undefined;
	readonly name: string | undefined;
	readonly connections?: number;
	readonly checksum?: string;
	/** One sentence about why it cannot be added; undefined if nothing would be lost. */
	readonly problem: string | undefined;
};

/** Headers of a single request or connection: the program sends its own. */
const requestHeaders = new Set([
	...['range', 'if-range', 'if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'],
	...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
	...['accept-encoding', 'content-length', 'expect', 'http2-settings'],
]);

export class PastedRequest {
	readonly urls: string[] = [];
	readonly names: string[] = [];
	userAgent: string | undefined;
	proxy: string | undefined;
	connections: number | undefined;
	checksum: string | undefined;
	readonly #label: string;
	/** Keyed by lower-case name. */
	readonly #headers = new Map<string, {readonly name: string; readonly value: string}>();
	readonly #cookies: string[] = [];
	#problem: string | undefined;
	#referer: string | undefined;
	#authorization: string | undefined;

	/** `label`: the command in sentences, such as `this curl command`. */
	constructor(label: string) {
		this.#label = label;
	}

	/** Keeps the first reason. */
	refuse(reason: string): void {
		this.#problem ??= `${this.#label} ${reason}`;
	}

	refuseOption(option: string): void {
		this.refuse(`has ${option}, which is not supported here; remove it if the download works without it`);
	}

	/** Joins the values of a repeated header (RFC 9110 section 5.3). */
	header(name: string, value: string): void {
		const key = name.toLowerCase();
		const before = this.#headers.get(key);
		const separator = key === 'cookie' ? '; ' : ', ';
		this.#headers.set(key, before ? {...before, value: before.value + separator + value} : {name, value});
	}

	/** `Name: value`. `Name:` removes a default header of the other program and is ignored. */
	headerLine(line: string): void {
		const [, name, value] = /^([^:;]+):\s*(.*?)\s*$/s.exec(line) ?? [];
		const [, emptyName] = /^([^:;]+);\s*$/.exec(line) ?? [];
		if (emptyName !== undefined) {
			this.header(emptyName.trim(), '');
		} else if (name === undefined || value === undefined) {
			// A leading colon marks a pseudo-header of HTTP/2.
			if (!line.startsWith(':') && line.trim() !== '') {
				this.refuse("has a header that is not written 'Name: value'");
			}
		} else if (value !== '') {
			this.header(name.trim(), value);
		}
	}

	/** `a=b; c=d`. Several calls add up. */
	cookie(pairs: string): void {
		this.#cookies.push(pairs);
	}

	referer(url: string): void {
		this.#referer = url;
	}

	authorization(value: string): void {
		this.#authorization = value;
	}

	/** `NAME:PASSWORD`. */
	user(pair: string): void {
		if (pair.includes(':')) {
			this.authorization(`Basic ${Buffer.from(pair).toString('base64')}`);
		} else {
			this.refuse('has a user without a password; write it as user:password');
		}
	}

	/** The last part of the path is the name. Standard output and the null device are ignored. */
	output(path: string): void {
		if (!/^(?:-|\/dev\/(?:null|std(?:out|err)|tty)|nul|con|\$null)$/i.test(path)) {
			this.names.push(path.split(/[\\/]/).at(-1)!);
		}
	}

	result(): PastedCommand {
		const defaults = {
			Cookie: this.#cookies.length > 0 ? this.#cookies.join('; ') : undefined,
			Referer: this.#referer,
			Authorization: this.#authorization,
		};
		// An explicit header wins.
		for (const [name, value] of Object.entries(defaults)) {
			if (value !== undefined && !this.#headers.has(name.toLowerCase())) {
				this.header(name, value);
			}
		}

		if (this.urls.length === 0) {
			this.refuse('has no URL');
		}

		if (this.names.length > 1 || (this.names.length > 0 && this.urls.length > 1)) {
			this.refuse('names several files; paste one command for each');
		}

		const {host, 'user-agent': agent, ...others} = Object.fromEntries(this.#headers);
		if (host && !this.urls.every(url => hasHost(url, host.value))) {
			this.refuse('has a Host header that differs from its URL; requests always use the host of the URL');
		}

		return {
			urls: this.urls,
			headers: Object.entries(others)
				.filter(([key]) => !requestHeaders.has(key))
				.map(([, {name, value}]) => `${name}: ${value}`),
			userAgent: (agent?.value ?? this.userAgent) || undefined,
			proxy: this.proxy,
			name: this.names[0],
			...(this.connections !== undefined && {connections: this.connections}),
			...(this.checksum !== undefined && {checksum: this.checksum}),
			problem: this.#problem,
		};
	}
}

function hasHost(url: string, host: string): boolean {
	return URL.canParse(url) && URL.canParse(`http://${host}`)
		? new URL(url).host === new URL(`${new URL(url).protocol}//${host}`).host
		: false;
}
