// Reads a pasted `wget` or `aria2c` command. Pure.
import {withScheme} from '../engine/http/proxy-settings.ts';
import {connections} from '../schema.ts';
import type {CommandWord} from './command-options.ts';
import {PastedRequest, type PastedCommand} from './pasted-request.ts';
import {programLine, type ProgramTables} from './program-line.ts';

const sendsData = 'sends data; only GET requests can be downloaded';

export const wgetTables: ProgramTables = {
	wget: {
		values: `header user-agent:U referer user password http-user http-password output-document:O execute:e
			post-data post-file body-data body-file method proxy-user proxy-password`,
		switches: 'no-proxy',
		// The letter n begins pairs such as -nc and -nv.
		harmlessValues: `tries:t timeout:T connect-timeout read-timeout dns-timeout wait:w waitretry limit-rate
			directory-prefix:P output-file:o append-output:a max-redirect retry-on-http-error secure-protocol ciphers
			save-cookies progress quota:Q default-page restrict-file-names prefer-family level:l hsts-file start-pos
			local-encoding remote-encoding report-speed compression dns-cache two-letters:n`,
		harmlessSwitches: `continue:c quiet:q verbose:v debug:d no-verbose no-clobber no-check-certificate
			content-disposition trust-server-names timestamping:N no-use-server-timestamps server-response:S show-progress
			force-directories:x no-directories no-host-directories background:b inet4-only:4 inet6-only:6 no-dns-cache
			no-cache no-cookies keep-session-cookies no-http-keep-alive auth-no-challenge random-wait retry-connrefused
			https-only no-hsts no-netrc no-config no-iri unlink adjust-extension:E no-parent no-glob
			ignore-length content-on-error xattr`,
	},
	aria2c: {
		values: `header user-agent:U referer http-user http-passwd out:o max-connection-per-server:x checksum all-proxy
			http-proxy https-proxy all-proxy-user all-proxy-passwd http-proxy-user http-proxy-passwd https-proxy-user
			https-proxy-passwd`,
		switches: 'force-sequential:Z',
		harmlessValues: `dir:d split:s min-split-size:k max-concurrent-downloads:j max-tries:m retry-wait timeout:t
			connect-timeout max-download-limit max-overall-download-limit lowest-speed-limit file-allocation:a disk-cache
			summary-interval console-log-level log:l log-level piece-length stream-piece-selector uri-selector
			max-file-not-found auto-save-interval save-session save-cookies stop download-result max-resume-failure-tries
			server-stat-of server-stat-if server-stat-timeout proxy-method min-tls-version async-dns-server event-poll
			on-download-complete on-download-start on-download-error max-mmap-limit gid conf-path`,
		harmlessSwitches: `continue:c quiet:q check-certificate allow-overwrite auto-file-renaming always-resume
			remote-time:R content-disposition-default-utf8 enable-color disable-ipv6 async-dns http-accept-gzip
			http-auth-challenge enable-http-pipelining enable-http-keep-alive conditional-get human-readable
			show-console-readout truncate-console-readout no-netrc:n reuse-uri remove-control-file force-save
			allow-piece-length-change check-integrity:V daemon:D deferred-input no-conf optimize-concurrent-downloads
			stderr no-want-digest-header follow-torrent follow-metalink`,
	},
};

/** Undefined if the text is neither command. */
export function parseWgetCommand(text: string): PastedCommand | undefined {
	const line = programLine(text, wgetTables);
	if (!line) {
		return undefined;
	}

	const request = new PastedRequest(`this ${line.program} command`);
	line.applyTo(request);
	const isWget = line.program === 'wget';
	/** Options that are combined later, by name. */
	const given = new Map<string, string>();
	let areSeparate = isWget;
	let isOnOutput = false;
	for (const word of line.words) {
		switch (word.kind) {
			case 'operand':
				request.urls.push(withScheme(word.text));
				break;
			case 'unknown':
				request.refuseOption(word.option);
				break;
			case 'switch':
				areSeparate ||= word.name === 'force-sequential';
				request.proxy = word.name === 'no-proxy' ? 'direct' : request.proxy;
				break;
			case 'value':
				isOnOutput ||= word.name === 'output-document' && /^(?:-|\/dev\/stdout)$/.test(word.value);
				readValue(request, word, given);
		}
	}

	// Otherwise standard output carries messages only.
	if (isOnOutput && line.output !== undefined) {
		request.output(line.output);
	}

	const user = given.get('user') ?? given.get('http-user');
	const password = given.get('password') ?? given.get('http-password') ?? given.get('http-passwd');
	if (user !== undefined) {
		request.user(password === undefined ? user : `${user}:${password}`);
	}

	if (!areSeparate && request.urls.length > 1) {
		request.refuse('has several URLs of one file; keep one of them');
	}

	request.proxy = proxyFor(request.urls[0], given) ?? request.proxy;
	return request.result();
}

function readValue(
	request: PastedRequest,
	{name, option, value}: CommandWord & {kind: 'value'},
	given: Map<string, string>,
): void {
	switch (name) {
		case 'header':
			request.headerLine(value);
			break;
		case 'user-agent':
			request.userAgent = value;
			break;
		case 'referer':
			request.referer(value);
			break;
		case 'output-document':
		case 'out':
			request.output(value);
			break;
		case 'method':
			if (!/^(?:get|head)$/i.test(value)) {
				request.refuse(sendsData);
			}

			break;
		case 'execute': {
			// A line of a wgetrc file.
			const [, setting = '', text = ''] =
				/^\s*(https?_proxy|use_proxy|robots)\s*=\s*(.*?)\s*$/.exec(value) ?? [];
			if (setting === '') {
				request.refuseOption(option);
			} else {
				given.set(setting.replace('_', '-'), text);
			}

			break;
		}

		case 'max-connection-per-server':
			request.connections = Math.min(
				connections.max,
				Math.max(connections.min, Number.parseInt(value, 10) || 1),
			);
			break;
		case 'checksum':
			request.checksum = value.replace(/^sha-/i, 'sha').replace('=', ':');
			break;
		case 'post-data':
		case 'post-file':
		case 'body-data':
		case 'body-file':
			request.refuse(sendsData);
			break;
		default:
			given.set(name, value);
	}
}

/** The proxy for the scheme of the URL, or the one for all schemes, with its credentials. */
function proxyFor(url: string | undefined, given: ReadonlyMap<string, string>): string | undefined {
	const scheme = /^https:/i.test(url ?? '') ? 'https' : 'http';
	const kind = [`${scheme}-proxy`, 'all-proxy'].find(name => given.has(name));
	const address = kind === undefined ? undefined : given.get(kind);
	if (kind === undefined || address === undefined || given.get('use-proxy') === 'off') {
		return undefined;
	}

	const proxy = withScheme(address);
	const user = given.get(`${kind}-user`) ?? given.get('proxy-user');
	const password = given.get(`${kind}-passwd`) ?? given.get('proxy-password') ?? '';
	return user === undefined || proxy.includes('@')
		? proxy
		: proxy.replace('://', `://${encodeURIComponent(user)}:${encodeURIComponent(password)}@`);
}
