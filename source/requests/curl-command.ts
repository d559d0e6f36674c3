// Reads a pasted `curl` command. Pure.
import {withScheme} from '../engine/http/proxy-settings.ts';
import {PastedRequest, type PastedCommand} from './pasted-request.ts';
import {programLine, type ProgramTables} from './program-line.ts';

export const curlTables: ProgramTables = {
	curl: {
		values: `header:H user-agent:A cookie:b referer:e user:u oauth2-bearer url url-query request:X
			data:d data-ascii data-raw data-binary data-urlencode json form:F form-string upload-file:T
			proxy:x proxy-user:U socks5 socks5-hostname noproxy output:o range:r`,
		switches: 'get:G globoff:g remote-name:O remote-name-all',
		harmlessValues: `connect-timeout continue-at:C cookie-jar:c create-file-mode dump-header:D etag-compare etag-save
			expect100-timeout happy-eyeballs-timeout-ms hsts alt-svc keepalive-cnt keepalive-time libcurl limit-rate
			max-filesize max-redirs max-time:m output-dir parallel-max proto proto-default proto-redir rate retry retry-delay
			retry-max-time speed-limit:Y speed-time:y stderr tls-max tls13-ciphers ciphers curves trace trace-ascii
			trace-config write-out:w doh-url dns-servers ip-tos time-cond:z`,
		// The error about an untrusted certificate names the option of this program in place of --insecure.
		harmlessSwitches: `insecure:k silent:s show-error:S verbose:v location:L fail:f fail-with-body fail-early compressed
			remote-header-name:J remote-time:R progress-bar:# progress-meter head:I include:i
			show-headers http0.9 http1.0:0 http1.1 http2 http2-prior-knowledge http3 http3-only tlsv1:1 tlsv1.0 tlsv1.1
			tlsv1.2 tlsv1.3 sslv2:2 sslv3:3 ssl ssl-reqd ssl-no-revoke ssl-revoke-best-effort ssl-auto-client-cert ipv4:4
			ipv6:6 buffer no-buffer:N create-dirs parallel:Z parallel-immediate styled-output clobber keepalive tcp-nodelay
			tcp-fastopen mptcp basic anyauth digest path-as-is raw tr-encoding disable:q junk-session-cookies:j
			retry-all-errors retry-connrefused proxytunnel:p proxy-basic proxy-anyauth suppress-connect-headers xattr
			remove-on-error skip-existing ca-native proxy-insecure doh-insecure sessionid alpn npn trace-time trace-ids
			post301 post302 post303`,
	},
};

const body = new Set(['data', 'data-ascii', 'data-raw', 'data-binary', 'data-urlencode']);
const sendsData = 'sends data; only GET requests can be downloaded';

/** Undefined if the text is not a curl command. Reads the forms that browsers copy for POSIX shells and cmd, and typed ones. */
export function parseCurlCommand(text: string): PastedCommand | undefined {
	const line = programLine(text, curlTables);
	if (!line) {
		return undefined;
	}

	const request = new PastedRequest('this curl command');
	const urls: string[] = [];
	const query: string[] = [];
	const data: string[] = [];
	let isGet = false;
	let expandsGlobs = true;
	let isNamedByUrl = false;
	let proxyUser: string | undefined;
	line.applyTo(request);
	const readValue = ({name, option, value}: {name: string; option: string; value: string}) => {
		switch (name) {
			case 'header':
				if (value.startsWith('@')) {
					request.refuse('reads headers from a file; write them as -H options');
				} else {
					request.headerLine(value);
				}

				break;
			case 'user-agent':
				request.userAgent = value;
				break;
			case 'cookie':
				if (value.includes('=')) {
					request.cookie(value);
				} else if (value !== '') {
					request.refuse("reads cookies from a file; write them as -b 'name=value'");
				}

				break;
			case 'referer':
				if (value.replace(/;auto$/, '') !== '') {
					request.referer(value.replace(/;auto$/, ''));
				}

				break;
			case 'user':
				request.user(value);
				break;
			case 'oauth2-bearer':
				request.authorization(`Bearer ${value}`);
				break;
			case 'url':
				urls.push(value);
				break;
			case 'url-query': {
				const field = value.startsWith('+') ? value.slice(1) : encodedField(value);
				if (field === undefined) {
					request.refuse('reads a part of the query from a file; write it into the command');
				} else {
					query.push(field);
				}

				break;
			}

			case 'request':
				if (!/^(?:get|head)$/i.test(value)) {
					request.refuse(sendsData);
				}

				break;
			case 'proxy':
				request.proxy = value === '' ? 'direct' : withScheme(value);
				break;
			case 'proxy-user':
				proxyUser = value;
				break;
			case 'socks5':
			case 'socks5-hostname':
				request.proxy = `${name === 'socks5' ? 'socks5' : 'socks5h'}://${value}`;
				break;
			case 'noproxy':
				if (value === '*') {
					request.proxy = 'direct';
				} else if (value !== '') {
					request.refuseOption(option);
				}

				break;
			case 'output':
				request.output(value);
				break;
			case 'range':
				request.refuse(
					`requests a part of the file with ${option}; remove that option to download all of it`,
				);
				break;
			default:
				request.refuse(sendsData);
		}
	};

	for (const word of line.words) {
		if (word.kind === 'operand') {
			urls.push(word.text);
		} else if (word.kind === 'switch') {
			isGet ||= word.name === 'get';
			expandsGlobs &&= word.name !== 'globoff';
			isNamedByUrl ||= word.name.startsWith('remote-name');
		} else if (word.kind === 'unknown') {
			request.refuseOption(word.option);
		} else if (body.has(word.name)) {
			const field = word.name === 'data-urlencode' ? encodedField(word.value) : plainField(word);
			if (field === undefined) {
				request.refuse(`reads the data of ${word.option} from a file; write it into the command`);
			} else {
				data.push(field);
			}
		} else {
			readValue(word);
		}
	}

	if (data.length > 0 && !isGet) {
		request.refuse(sendsData);
	}

	if (line.output !== undefined && !isNamedByUrl && request.names.length === 0) {
		request.output(line.output);
	}

	for (const url of urls) {
		const plain = expandsGlobs ? withoutGlobs(url) : url;
		if (plain === undefined) {
			request.refuse('has a URL with {…} or […] for several URLs; write each URL');
		}

		request.urls.push(withQuery(withScheme(plain ?? url), [...(isGet ? data : []), ...query]));
	}

	if (proxyUser !== undefined && request.proxy !== undefined && !request.proxy.includes('@')) {
		request.proxy = request.proxy.replace('://', `://${proxyUser}@`);
	}

	return request.result();
}

/** Undefined for data from a file. */
function plainField({name, value}: {name: string; value: string}): string | undefined {
	return name !== 'data-raw' && value.startsWith('@') ? undefined : value;
}

/** `content`, `=content` or `name=content`. Undefined for data from a file: `@file` or `name@file`. */
function encodedField(value: string): string | undefined {
	const [, name = '', separator = '', content = ''] = /^([^=@]*)([=@]?)(.*)$/s.exec(value) ?? [];
	if (separator === '@') {
		return undefined;
	}

	const [before, text] = separator === '' ? ['', name] : [name && `${name}=`, content];
	return before + encodeURIComponent(text).replaceAll(/[!'()*]/g, found => `%${hex(found)}`);
}

function hex(character: string): string {
	return character.charCodeAt(0).toString(16).toUpperCase();
}

function withQuery(url: string, fields: readonly string[]): string {
	if (fields.length === 0) {
		return url;
	}

	const [, start = '', fragment = ''] = /^([^#]*)(.*)$/s.exec(url) ?? [];
	const separator = start.includes('?') ? (/[?&]$/.test(start) ? '' : '&') : '?';
	return start + separator + fields.join('&') + fragment;
}

/** Unescaped brackets and braces stand for several URLs: undefined then. An IPv6 address is not a range. */
function withoutGlobs(url: string): string | undefined {
	const isSeveral = /(?<!\\)(?:\{|\[[a-z\d]+-[a-z\d]+(?::\d+)?\])/i.test(url);
	return isSeveral ? undefined : url.replaceAll(/\\([[\]{}])/g, '$1');
}
