// Origins as found in practice: odd, strict, careless or busy. A user expects the file from most of them, and a clear error
// from the rest. `test/delivery.test.ts` checks the program, and `npm run bench -- delivery` compares it with others.
import {createHash} from 'node:crypto';
import type {Socket} from 'node:net';
import path from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync} from 'node:zlib';
import {content} from './content.ts';
import {answer, askedPart, honest, send, type Answer, type Answerer, type Exchange} from './raw-origin.ts';

const MiB = 1024 * 1024;

export type OddOrigin = {
	/** Behavior of the origin; unique. */
	readonly words: string;
	/** Creates the origin in its initial state. */
	readonly start: () => Answerer;
	/** Request target; default `/film.mkv`. */
	readonly target?: string;
	/** Host name, instead of the address. */
	readonly host?: string;
	/** Default: the film. */
	readonly file?: Uint8Array;
	readonly expects: Expected;
	/** Other contents that a program may save, by their name in the table. */
	readonly mistakes?: Readonly<Record<string, Uint8Array>>;
	readonly login?: {readonly user: string; readonly password: string; readonly scheme: 'basic' | 'digest'};
	/** Milliseconds during which connections are refused. */
	readonly opensAfter?: number;
	/** Options that shorten the program's timeouts for a test. */
	readonly hurry?: readonly string[];
};

export type Expected =
	/** Exit code 0, these bytes, and this name if one is given. */
	| {readonly kind: 'file'; readonly name?: string}
	/** Another exit code, this sentence, and no file. */
	| {readonly kind: 'refusal'; readonly says: RegExp}
	/** Exit code 0, and this sentence about the saved file. */
	| {readonly kind: 'told'; readonly says: RegExp};

const film = content(0, 2 * MiB + 17);
/** Large enough for several connections at once. */
const longFilm = content(0, 5 * MiB + 17);
const otherFilm = content(0, longFilm.length, 2);
const smallFile = content(0, 1000);
/** Random bytes do not compress, so effort is wasted. */
const quick = {params: {[constants.BROTLI_PARAM_QUALITY]: 1}};
const date = 'Last-Modified: Mon, 02 Nov 2026 00:00:00 GMT';
const etag = 'ETag: "v1"';
const page = Buffer.from(
	'<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to go on.</body></html>',
);
const json = Buffer.from('{"error":"link expired","code":403}');
const toPage = {headers: ['Content-Type: text/html; charset=utf-8'], body: page};
const toJson = {headers: ['Content-Type: application/json'], body: json};
const delivered: Expected = {kind: 'file'};
const soon = ['--timeout', '2s'];
const givesUpSoon = ['--give-up-after', '3s'];

type More = Partial<Omit<OddOrigin, 'words' | 'start'>>;

/** A stateless origin. */
function steady(words: string, answerer: Answerer, more: More = {}): OddOrigin {
	return {words, start: () => answerer, expects: delivered, ...more};
}

/** An origin whose responses depend on earlier requests. */
function changing(words: string, start: () => Answerer, more: More = {}): OddOrigin {
	return {words, start, expects: delivered, ...more};
}

function refuses(says: RegExp): Pick<OddOrigin, 'expects'> {
	return {expects: {kind: 'refusal', says}};
}

function tells(says: RegExp): Pick<OddOrigin, 'expects'> {
	return {expects: {kind: 'told', says}};
}

/** Adds header lines to a correct response. */
function withHeaders(words: string, headers: readonly string[], more: More & Pick<Answer, 'encoding'> = {}) {
	const {file = film, encoding} = more;
	return steady(words, exchange => honest(exchange, file, {headers, encoding}), more);
}

/** Sends these bytes for every request, then ends the connection. */
function verbatim(words: string, head: string, body: Uint8Array, more: More = {}): OddOrigin {
	return steady(
		words,
		async ({socket}) => {
			socket.write(Buffer.from(head, 'latin1'));
			await send(socket, body);
			socket.end();
		},
		more,
	);
}

/** The whole file in chunked coding. */
function chunked(
	bytes: Uint8Array,
	{line = (size: number) => size.toString(16), last = '0\r\n\r\n'} = {},
): Buffer {
	const parts: Uint8Array[] = [];
	for (let start = 0; start < bytes.length; start += 256 * 1024) {
		const part = bytes.subarray(start, start + 256 * 1024);
		parts.push(Buffer.from(`${line(part.length)}\r\n`), part, Buffer.from('\r\n'));
	}

	return Buffer.concat([...parts, Buffer.from(last)]);
}

/** Sends these responses first, one per request, then correct ones. */
function atFirst(
	words: string,
	answers: ReadonlyArray<Answer | Answerer>,
	more: More & {after?: number} = {},
): OddOrigin {
	const {after = 0, ...rest} = more;
	return steady(
		words,
		async exchange => {
			const first = answers[exchange.count - after];
			if (typeof first === 'function') {
				await first(exchange);
			} else if (first) {
				await answer(exchange, first);
			} else if (exchange.count < after) {
				// It is cut, so that there is more to ask for.
				await cutOff(exchange, 300_000);
			} else {
				await honest(exchange, rest.file ?? film, {headers: [etag]});
			}
		},
		rest,
	);
}

/** Sends the head of a correct response; returns the range of its body. */
function begin(
	exchange: Exchange,
	file: Uint8Array,
	labels: readonly string[] = [etag],
): {start: number; end: number} {
	const {start, end, isPart} = askedPart(exchange, file);
	exchange.socket.write(
		[
			isPart ? 'HTTP/1.1 206 Partial Content' : 'HTTP/1.1 200 OK',
			`Content-Length: ${end - start}`,
			...(isPart ? [`Content-Range: bytes ${start}-${end - 1}/${file.length}`] : []),
			'Accept-Ranges: bytes',
			'Content-Type: video/x-matroska',
			...labels,
			'\r\n',
		].join('\r\n'),
	);
	return {start, end};
}

/** A correct response that ends after a number of body bytes. */
async function cutOff(exchange: Exchange, bytes: number, ending: 'reset' | 'close' = 'reset'): Promise<void> {
	const {start, end} = begin(exchange, film);
	await send(exchange.socket, film.subarray(start, Math.min(end, start + bytes)));
	if (end - start > bytes && ending === 'close') {
		exchange.socket.end();
	} else if (end - start > bytes) {
		// What was written reaches the other side first.
		await sleep(50);
		exchange.socket.resetAndDestroy();
	}
}

const plain: OddOrigin[] = [
	withHeaders('a correct origin', [etag]),
	withHeaders('no validator at all', []),
	withHeaders('an empty file', [etag], {file: new Uint8Array()}),
	withHeaders('a file of one byte', [etag], {file: content(0, 1)}),
	withHeaders('a host name with two addresses, one of them dead', [etag], {host: 'localhost'}),
];

const contentEncodings: OddOrigin[] = [
	...[
		'none',
		'identity',
		'',
		'identity, identity',
		'aws-chunked',
		'utf-8',
		'binary',
		'UTF-8',
		'x-unknown',
	].map(coding =>
		withHeaders(`\`Content-Encoding: ${coding}\` on plain bytes`, [`Content-Encoding: ${coding}`, etag]),
	),
	...(
		[
			['gzip', 'film.tgz', gzipSync(film)],
			['x-gzip', 'film.tar.gz', gzipSync(film)],
			['br', 'film.tar.br', brotliCompressSync(smallFile)],
			['gzip', 'film.svgz', gzipSync(film)],
		] as const
	).map(([coding, name, file]) =>
		withHeaders(
			`\`Content-Encoding: ${coding}\` on ${name}, a compressed format itself`,
			[`Content-Encoding: ${coding}`, etag],
			{
				file,
				target: `/${name}`,
			},
		),
	),
	withHeaders(
		'`Content-Encoding: gzip` on application/gzip',
		['Content-Encoding: gzip', 'Content-Type: application/gzip'],
		{
			file: gzipSync(film),
			target: '/download?id=1',
		},
	),
	withHeaders('`Content-Encoding: gzip` on uncompressed bytes', ['Content-Encoding: gzip', etag]),
	...(
		[
			['gzip', gzipSync(film)],
			['x-gzip', gzipSync(film)],
			['deflate', deflateSync(film)],
			['deflate', deflateRawSync(film), 'no zlib header'],
			['br', brotliCompressSync(film, quick)],
		] as const
	).map(([coding, coded, words = '']) =>
		steady(
			`compressed (${coding}${words && ` ${words}`}), whole file, no ranges`,
			exchange => answer(exchange, {headers: [`Content-Encoding: ${coding}`, etag], body: coded}),
			{mistakes: {'the compressed bytes': coded}},
		),
	),
	steady(
		'compressed (gzip) and chunked',
		exchange =>
			answer(exchange, {
				headers: ['Content-Encoding: gzip', 'Transfer-Encoding: chunked'],
				length: false,
				body: chunked(gzipSync(film)),
			}),
		{mistakes: {'the compressed bytes': gzipSync(film)}},
	),
];

/** A 206 with this Content-Range; the body is the requested part. */
function contentRange(
	words: string,
	lines: (start: number, end: number, size: number) => readonly string[],
	more: More = {},
): OddOrigin {
	return steady(
		words,
		async exchange => {
			const {start, end, isPart} = askedPart(exchange, film);
			await answer(exchange, {
				status: isPart ? '206 Partial Content' : '200 OK',
				headers: [...(isPart ? lines(start, end, film.length) : []), etag, 'Content-Type: video/x-matroska'],
				body: film.subarray(start, end),
			});
		},
		more,
	);
}

const contentRanges: OddOrigin[] = [
	...(
		[
			['bytes=0-99/1000', (s, e, n) => `bytes=${s}-${e - 1}/${n}`],
			['0-99/1000', (s, e, n) => `${s}-${e - 1}/${n}`],
			['bytes 0-/1000', (s, _, n) => `bytes ${s}-/${n}`],
			['bytes: 0-99/1000', (s, e, n) => `bytes: ${s}-${e - 1}/${n}`],
			['bytes 0-99 / 1000', (s, e, n) => `bytes ${s}-${e - 1} / ${n}`],
			['bytes 0 - 99/1000', (s, e, n) => `bytes ${s} - ${e - 1}/${n}`],
			['bytes   0-99/1000', (s, e, n) => `bytes   ${s}-${e - 1}/${n}`],
			['Bytes 0-99/1000', (s, e, n) => `Bytes ${s}-${e - 1}/${n}`],
			['bytes 0-99/*', (s, e) => `bytes ${s}-${e - 1}/*`],
			['bytes 0-99', (s, e) => `bytes ${s}-${e - 1}`],
			['bytes */1000', (_s, _e, n) => `bytes */${n}`],
			['bytes 0-100/1000 (end off by one)', (s, e, n) => `bytes ${s}-${e}/${n}`],
			['bytes 0-99/0', (s, e) => `bytes ${s}-${e - 1}/0`],
			['bytes 0-99/-1', (s, e) => `bytes ${s}-${e - 1}/-1`],
			['nonsense', () => 'some of it'],
		] as ReadonlyArray<[string, (start: number, end: number, size: number) => string]>
	).map(([words, form]) =>
		contentRange(`206 with \`Content-Range: ${words}\``, (start, end, size) => [
			`Content-Range: ${form(start, end, size)}`,
		]),
	),
	contentRange('206 without Content-Range', () => []),
	contentRange('206 with the same Content-Range twice', (start, end, size) => [
		`Content-Range: bytes ${start}-${end - 1}/${size}`,
		`Content-Range: bytes ${start}-${end - 1}/${size}`,
	]),
	steady('206 with the whole file for every request', exchange =>
		answer(exchange, {
			status: '206 Partial Content',
			headers: [`Content-Range: bytes 0-${film.length - 1}/${film.length}`, etag],
			body: film,
		}),
	),
	steady('206 also without Range', exchange => {
		const {start, end} = askedPart(exchange, film);
		return answer(exchange, {
			status: '206 Partial Content',
			headers: [`Content-Range: bytes ${start}-${end - 1}/${film.length}`, etag],
			body: film.subarray(start, end),
		});
	}),
	steady('200 with a correct Content-Range', async exchange => {
		const {start, end, isPart} = askedPart(exchange, film);
		await answer(exchange, {
			headers: [...(isPart ? [`Content-Range: bytes ${start}-${end - 1}/${film.length}`] : []), etag],
			body: film.subarray(start, end),
		});
	}),
	steady('sends at most 500,000 bytes of a range', exchange => {
		const {start, end, isPart} = askedPart(exchange, film);
		const shorter = {start, end: Math.min(end, start + 500_000)};
		return honest({...exchange, range: isPart ? shorter : undefined}, film, {headers: [etag]});
	}),
	steady('aligns the start of a range to 64 KiB', exchange => {
		const {start, end, isPart} = askedPart(exchange, film);
		return honest({...exchange, range: isPart ? {start: start - (start % 65_536), end} : undefined}, film, {
			headers: [etag],
		});
	}),
];

/** Refuses Range requests, with a response or a reset. */
function refusesRanges(
	words: string,
	refusal: Answer | 'reset',
	isRefused: (exchange: Exchange) => boolean = ({range}) => range !== undefined,
): OddOrigin {
	return steady(words, async exchange => {
		if (!isRefused(exchange)) {
			await honest(exchange, film, {headers: [etag]});
		} else if (refusal === 'reset') {
			exchange.socket.resetAndDestroy();
		} else {
			await answer(exchange, refusal);
		}
	});
}

const isInTheMiddle = ({range}: Exchange) => range !== undefined && range.start > 0;
const whole: Answerer = exchange =>
	answer(exchange, {headers: ['Accept-Ranges: bytes', etag, 'Content-Type: video/x-matroska'], body: film});

const rangeRefusals: OddOrigin[] = [
	steady('200 with the whole file for every request', exchange =>
		answer(exchange, {headers: [etag], body: film}),
	),
	...[
		'416 Range Not Satisfiable',
		'403 Forbidden',
		'406 Not Acceptable',
		'400 Bad Request',
		'501 Not Implemented',
	].map(status => refusesRanges(`${status.slice(0, 3)} for every request with Range`, {status})),
	refusesRanges('a reset for every request with Range', 'reset'),
	refusesRanges('416 for ranges that start after 0', {status: '416 Range Not Satisfiable'}, isInTheMiddle),
	refusesRanges('403 for ranges that start after 0', {status: '403 Forbidden'}, isInTheMiddle),
	refusesRanges('a page for ranges that start after 0', toPage, isInTheMiddle),
	steady('honors only ranges with an end', exchange =>
		honest({...exchange, range: exchange.range?.end === undefined ? undefined : exchange.range}, film, {
			headers: [etag],
		}),
	),
	atFirst('a cache miss: first the whole file, then ranges', [whole]),
	steady('two cache nodes, one without ranges', exchange =>
		exchange.count % 2 === 1 ? whole(exchange) : honest(exchange, film, {headers: [etag]}),
	),
	withHeaders('`Accept-Ranges: none` although ranges work', ['Accept-Ranges: none', etag]),
];

const headerSyntax: OddOrigin[] = [
	withHeaders(
		'a folded Content-Disposition',
		['Content-Disposition: attachment;', ' filename="folded.mkv"', etag],
		{
			expects: {kind: 'file', name: 'folded.mkv'},
		},
	),
	withHeaders('another folded header', ['X-Policy: a;', '\tb', etag]),
	withHeaders('a header line with only a colon', [' : ', etag]),
	withHeaders('a header line that starts with a colon', [': x', etag]),
	withHeaders('a header line without a colon', ['nonsense', etag]),
	withHeaders('a space before the colon of a header', ['Server : x', etag]),
	withHeaders('a control character in a header value', ['X-Note: a\u0001b', etag]),
	withHeaders('Latin-1 in a header value', ['Server: Gerät', etag], {encoding: 'latin1'}),
	withHeaders(
		'control sequences in header values',
		['Server: \u009b2J', 'X-Note: \u009d0;title\u009c', etag],
		{
			encoding: 'latin1',
		},
	),
	withHeaders('a space in a header name', ['X Note: a', etag]),
	withHeaders('a header of 20,000 bytes', [`X-Policy: ${'x'.repeat(20_000)}`, etag]),
	withHeaders('200 header lines', [...Array.from({length: 200}, (_, index) => `X-Line-${index}: x`), etag]),
	verbatim(
		'header lines end with LF only',
		`HTTP/1.1 200 OK\nContent-Length: ${film.length}\nContent-Type: video/x-matroska\n\n`,
		film,
	),
	...(
		[
			['a status line without a reason phrase', 'HTTP/1.1 200'],
			['a status line that ends with a space', 'HTTP/1.1 200 '],
			['a reason phrase in UTF-8', 'HTTP/1.1 200 d\u00c3\u00a9j\u00c3\u00a0 vu'],
			['HTTP/1.0', 'HTTP/1.0 200 OK'],
			['two spaces in the status line', 'HTTP/1.1  200 OK'],
			['203', 'HTTP/1.1 203 Non-Authoritative Information'],
		] as const
	).map(([words, line]) => verbatim(words, `${line}\r\nContent-Length: ${film.length}\r\n\r\n`, film)),
	steady('a head sent byte by byte', async exchange => {
		const {start, end, isPart} = askedPart(exchange, film);
		const head = `HTTP/1.1 ${isPart ? '206 Partial' : '200 OK'}\r\nContent-Length: ${end - start}\r\n${isPart ? `Content-Range: bytes ${start}-${end - 1}/${film.length}\r\n` : ''}${etag}\r\n\r\n`;
		for (const byte of head) {
			exchange.socket.write(byte);
			await sleep(1);
		}

		await send(exchange.socket, film.subarray(start, end));
	}),
	steady('treats header names as case-sensitive', exchange => {
		const isUsual = ['Host', 'User-Agent'].every(name =>
			exchange.lines.some(line => line.startsWith(`${name}:`)),
		);
		const range = exchange.lines.some(line => line.startsWith('Range:')) ? exchange.range : undefined;
		return isUsual
			? honest({...exchange, range}, film, {headers: [etag]})
			: answer(exchange, {status: '400 Bad Request'});
	}),
	...(
		[
			['100 Continue', 'HTTP/1.1 100 Continue\r\n\r\n'],
			['103 Early Hints', 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'],
			['three interim responses', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(3)],
		] as const
	).map(([words, interim]) =>
		steady(`${words} before the response`, exchange => {
			exchange.socket.write(interim);
			return honest(exchange, film, {headers: [etag]});
		}),
	),
];

const ok = 'HTTP/1.1 200 OK\r\n';
const lengths: OddOrigin[] = [
	verbatim('no length; the connection ends the body', `${ok}Content-Type: video/x-matroska\r\n\r\n`, film),
	verbatim('the same in HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\n', film),
	verbatim(
		'the same Content-Length twice',
		`${ok}${`Content-Length: ${film.length}\r\n`.repeat(2)}\r\n`,
		film,
	),
	verbatim(
		'the same Content-Length twice in one line',
		`${ok}Content-Length: ${film.length}, ${film.length}\r\n\r\n`,
		film,
	),
	verbatim('Content-Length with leading zeros', `${ok}Content-Length: 000${film.length}\r\n\r\n`, film),
	verbatim(
		'two Content-Lengths, the first right',
		`${ok}Content-Length: ${film.length}\r\nContent-Length: ${film.length - 7}\r\n\r\n`,
		film,
	),
	verbatim(
		'two Content-Lengths, the second right',
		`${ok}Content-Length: ${film.length - 7}\r\nContent-Length: ${film.length}\r\n\r\n`,
		film,
	),
	verbatim(
		'Content-Length and chunks, both right',
		`${ok}Content-Length: ${film.length}\r\nTransfer-Encoding: chunked\r\n\r\n`,
		chunked(film),
	),
	verbatim(
		'wrong Content-Length, right chunks',
		`${ok}Content-Length: ${film.length - 7}\r\nTransfer-Encoding: chunked\r\n\r\n`,
		chunked(film),
	),
	verbatim(
		'`Transfer-Encoding: identity`',
		`${ok}Content-Length: ${film.length}\r\nTransfer-Encoding: identity\r\n\r\n`,
		film,
	),
	verbatim('chunks', `${ok}Transfer-Encoding: chunked\r\n\r\n`, chunked(film)),
	verbatim('`Transfer-Encoding: Chunked`', `${ok}Transfer-Encoding: Chunked\r\n\r\n`, chunked(film)),
	verbatim('chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', chunked(film)),
	...(
		[
			['trailing spaces', size => `${size.toString(16)}  `],
			['uppercase digits and leading zeros', size => `00${size.toString(16).toUpperCase()}`],
			['an extension', size => `${size.toString(16)};name="a;b"`],
		] as ReadonlyArray<[string, (size: number) => string]>
	).map(([words, line]) =>
		verbatim(`chunk sizes with ${words}`, `${ok}Transfer-Encoding: chunked\r\n\r\n`, chunked(film, {line})),
	),
	verbatim(
		'chunks with a trailer',
		`${ok}Transfer-Encoding: chunked\r\n\r\n`,
		chunked(film, {last: '0\r\nX-Sum: 1\r\n\r\n'}),
	),
	steady('bytes after the body', async exchange => {
		await honest(exchange, film, {headers: [etag]});
		exchange.socket.end('\r\n<!-- served in 3 ms -->');
	}),
	steady('a reset after the body', async exchange => {
		await honest(exchange, film, {headers: [etag]});
		// All of it has been read by then.
		await sleep(300);
		exchange.socket.resetAndDestroy();
	}),
	steady('closes after each response, unannounced', async exchange => {
		await honest(exchange, film, {headers: [etag], close: true});
	}),
	steady(
		'Content-Length of a petabyte, one megabyte sent',
		async exchange => {
			const {start} = askedPart(exchange, film);
			const size = 2 ** 50;
			exchange.socket.write(
				`HTTP/1.1 206 Partial Content\r\nContent-Range: bytes ${start}-${size - 1}/${size}\r\nContent-Length: ${size - start}\r\n${etag}\r\n\r\n`,
			);
			await send(exchange.socket, film.subarray(0, MiB));
			exchange.socket.end();
		},
		{...refuses(/./), hurry: givesUpSoon},
	),
	verbatim(
		'Content-Length of 20 digits for 1000 bytes',
		`${ok}Content-Length: 99999999999999999999\r\n\r\n`,
		smallFile,
		{file: smallFile},
	),
	...(
		[
			['without a length', undefined],
			['in chunks', 'Transfer-Encoding: chunked'],
		] as const
	).map(([words, framing]) =>
		steady(`206 ${words}`, async exchange => {
			const {start, end, isPart} = askedPart(exchange, film);
			const part = film.subarray(start, end);
			await answer(exchange, {
				status: isPart ? '206 Partial Content' : '200 OK',
				headers: [
					...(isPart ? [`Content-Range: bytes ${start}-${end - 1}/${film.length}`] : []),
					...(framing === undefined ? [] : [framing]),
					etag,
				],
				length: false,
				body: framing === undefined ? part : chunked(part),
				close: framing === undefined,
			});
		}),
	),
];

/** Sets the validator of each response by its number; the bytes never change. */
function labelled(words: string, label: (count: number) => readonly string[]): OddOrigin {
	return steady(
		words,
		exchange => honest(exchange, longFilm, {headers: label(exchange.count), close: true}),
		{
			file: longFilm,
		},
	);
}

function secondsLater(count: number): string {
	return new Date(Date.UTC(2026, 10, 2) + count * 1000).toUTCString();
}

/**
 * The file becomes another one of the same size when a part of it has been sent, and connections that were open are cut.
 */
function changes(words: string, label: (version: 1 | 2) => readonly string[]): OddOrigin {
	return changing(
		words,
		() => {
			let sent = 0;
			return async exchange => {
				const version = sent > 2 * MiB ? 2 : 1;
				const file = version === 1 ? longFilm : otherFilm;
				const {start, end} = begin(exchange, file, label(version));
				for (let at = start; at < end && !exchange.socket.destroyed; at += 65_536) {
					await send(exchange.socket, file.subarray(at, Math.min(end, at + 65_536)));
					sent += version === 1 ? 65_536 : 0;
					await sleep(10);
					if (version === 1 && sent > 2 * MiB) {
						exchange.socket.resetAndDestroy();
					}
				}
			};
		},
		{file: longFilm, mistakes: {'the new file': otherFilm}, ...refuses(/changed/)},
	);
}

const versions: OddOrigin[] = [
	labelled('two nodes, two ETags', count => [`ETag: "node${count % 2}"`]),
	labelled('two nodes, two weak ETags', count => [`ETag: W/"node${count % 2}"`]),
	labelled('two nodes, one ETag, weak from one of them', count => [
		`ETag: ${count % 2 === 0 ? 'W/' : ''}"v1"`,
	]),
	labelled('two nodes, an ETag from one of them', count => (count % 2 === 0 ? [etag] : [])),
	labelled('a new ETag in each response', count => [`ETag: "r${count}"`]),
	labelled('a new weak ETag in each response', count => [`ETag: W/"r${count}"`]),
	labelled('a Last-Modified that is always now', count => [`Last-Modified: ${secondsLater(count)}`]),
	labelled('two nodes, two Last-Modified dates', count => [
		`Last-Modified: ${secondsLater((count % 2) * 60)}`,
	]),
	labelled('three nodes, three ETags and Last-Modified dates', count => [
		`ETag: "${count % 3}"`,
		`Last-Modified: ${secondsLater(count % 3)}`,
	]),
	labelled('an ETag without quotes', () => ['ETag: v1']),
	labelled('an empty ETag', () => ['ETag:']),
	labelled('an invalid Last-Modified', () => ['Last-Modified: yesterday']),
	labelled('control sequences in the ETag', () => [
		'ETag: "\u009b31m\u009d0;title\u009c"',
		'Server: \u009b2J',
	]),
	changes('the file and its ETag change', version => [`ETag: "v${version}"`]),
	changes('the file and its weak ETag change', version => [`ETag: W/"v${version}"`]),
	changes('the file and its Last-Modified change', version => [`Last-Modified: ${secondsLater(version)}`]),
	changes('the file changes, without a validator', () => []),
	changes('the file changes, its Last-Modified stays', () => [date]),
];

/** Redirects to `/film.mkv`. */
function redirect(words: string, location: string, more: More & Answer = {}): OddOrigin {
	const {status = '302 Found', encoding, headers = [], body, ...rest} = more;
	return steady(
		words,
		exchange =>
			exchange.target === (rest.target ?? '/go')
				? answer(exchange, {status, encoding, headers: [`Location: ${location}`, ...headers], body})
				: /^\/(?:films\/)?film\.mkv(?:\?token=1)?$/.test(exchange.target)
					? honest(exchange, film, {headers: [etag]})
					: answer(exchange, {status: '404 Not Found'}),
		{target: '/go', ...rest},
	);
}

/** Redirects to the same origin by an absolute URL. */
function redirectTo(words: string, location: (host: string) => string, more: More = {}): OddOrigin {
	return steady(
		words,
		exchange =>
			exchange.target === '/go'
				? answer(exchange, {
						status: '302 Found',
						headers: [`Location: ${location(exchange.headers.host ?? '')}`],
					})
				: exchange.target === '/film.mkv'
					? honest(exchange, film, {headers: [etag]})
					: answer(exchange, {status: '404 Not Found'}),
		{target: '/go', ...more},
	);
}

/** Until the client disconnects. */
async function trickle(socket: Socket, bytes: string, pauseMs = 200): Promise<void> {
	while (!socket.destroyed) {
		socket.write(bytes);
		await sleep(pauseMs);
	}
}

/** A redirect with an endless body. */
function endlessRedirect(words: string, framing: string, drip: string): OddOrigin {
	return steady(
		words,
		async exchange => {
			const {socket, target} = exchange;
			if (target !== '/go') {
				await honest(exchange, film, {headers: [etag]});
				return;
			}

			socket.write(`HTTP/1.1 302 Found\r\nLocation: /film.mkv\r\n${framing}\r\n\r\n`);
			await trickle(socket, drip);
		},
		{target: '/go'},
	);
}

const unicodePath = encodeURI('/Amélie – ファイル.mkv');

const redirects: OddOrigin[] = [
	...['301 Moved Permanently', '303 See Other', '307 Temporary Redirect', '308 Permanent Redirect'].map(
		status => redirect(`a redirect by ${status.slice(0, 3)}`, '/film.mkv', {status}),
	),
	redirect('a relative Location', 'film.mkv', {target: '/films/go'}),
	redirect('a relative Location with dots', '../x/../film.mkv', {target: '/films/go'}),
	redirect('a Location with only a query', '?token=1', {target: '/film.mkv'}),
	redirect('a Location with a fragment', '/film.mkv#t=10'),
	redirect('spaces around a Location', '  /film.mkv  '),
	redirectTo('a Location without a scheme', host => `//${host}/film.mkv`),
	redirectTo('a Location with an uppercase scheme', host => `HTTP://${host}/film.mkv`),
	redirectTo(
		'the same Location twice',
		host => `http://${host}/film.mkv\r\nLocation: http://${host}/film.mkv`,
	),
	steady(
		'a Location in raw UTF-8',
		exchange =>
			exchange.target === '/go'
				? answer(exchange, {status: '302 Found', headers: ['Location: /Amélie – ファイル.mkv']})
				: exchange.target === unicodePath
					? honest(exchange, film)
					: answer(exchange, {status: '404 Not Found'}),
		{target: '/go', expects: {kind: 'file', name: 'Amélie – ファイル.mkv'}},
	),
	steady(
		'a Location with a raw space',
		exchange =>
			exchange.target === '/go'
				? answer(exchange, {status: '302 Found', headers: ['Location: /my film.mkv']})
				: exchange.target === '/my%20film.mkv'
					? honest(exchange, film)
					: answer(exchange, {status: '404 Not Found'}),
		{target: '/go', expects: {kind: 'file', name: 'my film.mkv'}},
	),
	steady(
		'ten redirects in a row',
		exchange => {
			const step = Number(exchange.target.slice(1));
			return step < 10
				? answer(exchange, {status: '302 Found', headers: [`Location: /${step + 1}`]})
				: honest(exchange, film, {headers: [etag]});
		},
		{target: '/0'},
	),
	steady('a redirect sets a cookie that the first URL requires', exchange =>
		/(?:^|; ?)ok=1/.test(exchange.headers.cookie ?? '')
			? honest(exchange, film, {headers: [etag]})
			: exchange.target === '/film.mkv'
				? answer(exchange, {status: '302 Found', headers: ['Location: /consent']})
				: answer(exchange, {
						status: '302 Found',
						headers: ['Set-Cookie: ok=1; Path=/; HttpOnly', 'Location: /film.mkv'],
					}),
	),
	steady(
		'a redirect sets a cookie for a path',
		exchange =>
			exchange.target === '/start'
				? answer(exchange, {
						status: '302 Found',
						headers: ['Set-Cookie: token=abc; Path=/file', 'Location: /file/film.mkv'],
					})
				: exchange.headers.cookie === 'token=abc'
					? honest(exchange, film, {headers: [etag]})
					: answer(exchange, {status: '403 Forbidden'}),
		{target: '/start'},
	),
	steady(
		'two redirects set a cookie each',
		exchange => {
			const {cookie = ''} = exchange.headers;
			return exchange.target === '/go'
				? answer(exchange, {status: '302 Found', headers: ['Set-Cookie: a=1', 'Location: /second']})
				: exchange.target === '/second'
					? answer(exchange, {
							status: '302 Found',
							headers: ['Set-Cookie: b="2 3"; Max-Age=60', 'Location: /film.mkv'],
						})
					: cookie.includes('a=1') && cookie.includes('b="2 3"')
						? honest(exchange, film, {headers: [etag]})
						: answer(exchange, {status: '403 Forbidden'});
		},
		{target: '/go'},
	),
	changing('signed links valid for one request each', () => {
		let signed = 0;
		const open = new Set<string>();
		return exchange => {
			if (exchange.target === '/film.mkv') {
				const path = `/signed/${signed++}/film.mkv`;
				open.add(path);
				return answer(exchange, {status: '302 Found', headers: [`Location: ${path}`]});
			}

			return open.delete(exchange.target)
				? honest(exchange, film, {headers: [etag]})
				: answer(exchange, {status: '403 Forbidden'});
		};
	}),
	endlessRedirect('a redirect with an endless trickling body', 'Content-Length: 60000', 'x'),
	endlessRedirect('a redirect whose body never arrives', 'Content-Length: 60000', ''),
	endlessRedirect('a redirect with endless chunks', 'Transfer-Encoding: chunked', '1\r\nx\r\n'),
	redirect('a redirect to `http:///film.mkv`', 'http:///film.mkv', refuses(/./)),
	redirect('a redirect to `\\\\host\\film.mkv`', '\\\\no-such-host.invalid\\film.mkv', refuses(/./)),
	redirect('a redirect to `http://`', 'http://', refuses(/./)),
	redirect('a redirect to `file:///etc/hostname`', 'file:///etc/hostname', refuses(/./)),
	redirect('a redirect to itself', '/go', refuses(/redirect/i)),
	steady(
		'a redirect without Location',
		exchange => answer(exchange, {status: '302 Found'}),
		refuses(/redirect|Location/i),
	),
];

const unavailable = '503 Service Unavailable';

const failures: ReadonlyArray<readonly [words: string, failure: Answer | Answerer]> = [
	['503', {status: unavailable}],
	['a reset instead of a response', ({socket}) => socket.resetAndDestroy()],
	['a close instead of a response', ({socket}) => socket.end()],
];

const outages: OddOrigin[] = [
	steady('each response starts after 3 s', async exchange => {
		await sleep(3000);
		await honest(exchange, film, {headers: [etag]});
	}),
	atFirst('503 twice, with `Retry-After: 1`', [
		{status: unavailable, headers: ['Retry-After: 1']},
		{status: unavailable, headers: ['Retry-After: 1']},
	]),
	atFirst('429 twice, with `Retry-After: 1`', [
		{status: '429 Too Many Requests', headers: ['Retry-After: 1']},
		{status: '429 Too Many Requests', headers: ['Retry-After: 1']},
	]),
	atFirst('503 with a date in Retry-After', [
		exchange =>
			answer(exchange, {
				status: unavailable,
				headers: [`Retry-After: ${new Date(Date.now() + 1000).toUTCString()}`],
			}),
	]),
	...[
		'408 Request Timeout',
		'425 Too Early',
		'500 Internal Server Error',
		'502 Bad Gateway',
		'504 Gateway Timeout',
	].map(status => atFirst(`${status.slice(0, 3)} at first`, [{status}])),
	...failures.flatMap(([words, failure]) => [
		atFirst(`${words}, twice at first`, [failure, failure]),
		atFirst(`${words}, twice in the middle`, [failure, failure], {after: 1}),
	]),
	steady('a reset every 400,000 bytes', exchange => cutOff(exchange, 400_000)),
	steady('a close every 400,000 bytes', exchange => cutOff(exchange, 400_000, 'close')),
	{
		...withHeaders('connections refused for the first 3 s', [etag]),
		opensAfter: 3000,
	},
	steady('503 forever', exchange => answer(exchange, {status: unavailable}), {
		...refuses(/503/),
		hurry: givesUpSoon,
	}),
	steady(
		'503 forever, with `Retry-After: 3600`',
		exchange => answer(exchange, {status: unavailable, headers: ['Retry-After: 3600']}),
		{...refuses(/503/), hurry: givesUpSoon},
	),
	steady('404', exchange => answer(exchange, {status: '404 Not Found', body: page}), refuses(/404/)),
	steady('410', exchange => answer(exchange, {status: '410 Gone'}), refuses(/410/)),
	steady(
		'404 with an endless trickling page',
		async ({socket}) => {
			socket.write('HTTP/1.1 404 Not Found\r\nContent-Length: 60000\r\n\r\n');
			await trickle(socket, 'x');
		},
		refuses(/404/),
	),
	atFirst('503 with an endless page, once', [
		async ({socket}) => {
			socket.write(`HTTP/1.1 ${unavailable}\r\n\r\n`);
			await trickle(socket, '<p>'.repeat(20_000), 10);
		},
	]),
	atFirst('503 with an endless trickling page, once', [
		async ({socket}) => {
			socket.write(`HTTP/1.1 ${unavailable}\r\nContent-Length: 60000\r\n\r\n`);
			await trickle(socket, 'x');
		},
	]),
];

const refuse503: Answerer = exchange => answer(exchange, {status: unavailable});

const oneConnectionRefusals: ReadonlyArray<[words: string, refuse: Answerer, hurry?: readonly string[]]> = [
	['403', exchange => answer(exchange, {status: '403 Forbidden'})],
	['404', exchange => answer(exchange, {status: '404 Not Found'})],
	['429', exchange => answer(exchange, {status: '429 Too Many Requests'})],
	['503', refuse503],
	['a reset', ({socket}) => socket.resetAndDestroy()],
	['a close', ({socket}) => socket.end()],
	['a page with 200', exchange => answer(exchange, toPage)],
	['JSON with 200', exchange => answer(exchange, toJson)],
	[
		'plain text with 200',
		exchange =>
			answer(exchange, {headers: ['Content-Type: text/plain'], body: Buffer.from('too many connections')}),
	],
	[
		'a redirect to a page',
		exchange => answer(exchange, {status: '302 Found', headers: ['Location: /limit.html']}),
	],
	['silence', () => undefined, soon],
];

type Pace = {readonly bytes: number; readonly everyMs: number};

/** Paced as by nginx's `limit_rate`. */
const inBursts: Pace = {bytes: 400_000, everyMs: 150};
const smoothly: Pace = {bytes: 65_536, everyMs: 20};

/** Serves a number of concurrent requests at this pace and refuses others. */
function limited(
	words: string,
	refuse: Answerer,
	{most = 1, pace = inBursts, ...more}: More & {most?: number; pace?: Pace} = {},
): OddOrigin {
	return changing(
		words,
		() => {
			let busy = 0;
			return async exchange => {
				if (exchange.target === '/limit.html') {
					await answer(exchange, toPage);
					return;
				}

				if (busy >= most) {
					// A refusal takes a round trip.
					await sleep(20);
					await refuse(exchange);
					return;
				}

				busy++;
				let isOver = false;
				const leave = () => {
					busy -= isOver ? 0 : 1;
					isOver = true;
				};
				exchange.socket.once('close', leave);
				const {start, end} = begin(exchange, longFilm);
				for (let at = start; at < end && !exchange.socket.destroyed; at += pace.bytes) {
					if (at + pace.bytes >= end) {
						leave();
					}

					exchange.socket.write(longFilm.subarray(at, Math.min(end, at + pace.bytes)));
					await sleep(pace.everyMs);
				}
			};
		},
		{file: longFilm, mistakes: {'the page': page}, ...more},
	);
}

const connectionLimits: OddOrigin[] = [
	...oneConnectionRefusals.flatMap(([words, refuse, hurry]) => [
		limited(`one connection at a time; others get ${words}`, refuse, {hurry}),
		limited(`one connection at a time, evenly paced; others get ${words}`, refuse, {hurry, pace: smoothly}),
	]),
	limited('two connections at a time; others get 503', refuse503, {most: 2}),
	changing('one request at a time; others are queued', () => {
		let turn = Promise.resolve();
		return exchange => {
			turn = turn.then(() => honest(exchange, film, {headers: [etag], close: true}));
			return turn;
		};
	}),
];

const m3u8 = Buffer.from('#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\npart1.ts\n');
const mpd = Buffer.from('<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>');
const filmPage: More = {mistakes: {'the page': page, 'the JSON': json}};

const pages: OddOrigin[] = [
	steady('a page in place of the film', exchange => answer(exchange, toPage), {
		...filmPage,
		...refuses(/web page/i),
	}),
	steady(
		'a page in place of the film, after a redirect',
		exchange =>
			exchange.target === '/film.mkv'
				? answer(exchange, {status: '302 Found', headers: ['Location: /login']})
				: answer(exchange, toPage),
		{...filmPage, ...refuses(/web page/i)},
	),
	steady(
		'a page in place of the film, typed as video',
		exchange => answer(exchange, {headers: ['Content-Type: video/x-matroska'], body: page}),
		{...filmPage, ...refuses(/web page/i)},
	),
	steady('JSON in place of the film', exchange => answer(exchange, toJson), {
		...filmPage,
		...refuses(/JSON/i),
	}),
	steady('a requested page', exchange => answer(exchange, toPage), {
		file: page,
		target: '/index.html',
	}),
	withHeaders('a film typed as a page', ['Content-Type: text/html', etag]),
	atFirst('a page, twice in the middle', [toPage, toPage], {after: 1, ...filmPage}),
	atFirst(
		'a redirect to a page, in the middle',
		[{status: '302 Found', headers: ['Location: /login']}, toPage],
		{after: 1, ...filmPage},
	),
	atFirst('JSON, twice in the middle', [toJson, toJson], {after: 1, ...filmPage}),
	...(
		[
			['an m3u8 playlist in place of the film', '/film.mkv', 'application/vnd.apple.mpegurl', m3u8],
			['a requested m3u8 playlist', '/film.m3u8', 'application/octet-stream', m3u8],
			['an mpd playlist in place of the film', '/film.mkv', 'application/dash+xml', mpd],
		] as const
	).map(([words, target, type, body]) =>
		steady(words, exchange => answer(exchange, {headers: [`Content-Type: ${type}`], body}), {
			...tells(/playlist/i),
			target,
			mistakes: {'the playlist': body},
		}),
	),
];

const account = {user: 'jo', password: 'open: sesame'};

/** The file for requests with the right login, a challenge for others. */
function digest(
	words: string,
	{
		algorithm,
		qop,
		more = [],
	}: {algorithm?: 'MD5' | 'SHA-256' | 'MD5-sess'; qop?: string; more?: readonly string[]},
	isOnce = false,
): OddOrigin {
	const hash = (text: string) =>
		createHash(algorithm === 'SHA-256' ? 'sha256' : 'md5')
			.update(text)
			.digest('hex');
	return changing(
		words,
		() => {
			const nonces = new Set<string>();
			let issued = 0;
			return exchange => {
				const given = new Map(
					[...(exchange.headers.authorization ?? '').matchAll(/(\w+)=(?:"([^"]*)"|([^\s,]+))/g)].map(
						([, name = '', quoted, token]) => [name, quoted ?? token ?? ''] as const,
					),
				);
				const nonce = given.get('nonce') ?? '';
				const login = hash(`${account.user}:films:${account.password}`);
				const secret = algorithm === 'MD5-sess' ? hash(`${login}:${nonce}:${given.get('cnonce')}`) : login;
				const request = hash(`GET:${given.get('uri')}`);
				const middle =
					given.get('qop') === undefined
						? nonce
						: `${nonce}:${given.get('nc')}:${given.get('cnonce')}:${given.get('qop')}`;
				const isKnown = nonces.has(nonce);
				const isRight =
					given.get('uri') === exchange.target &&
					given.get('response') === hash(`${secret}:${middle}:${request}`);
				if (isKnown && isRight) {
					if (isOnce) {
						nonces.delete(nonce);
					}

					return honest(exchange, film, {headers: [etag]});
				}

				const fresh = `n${issued++}`;
				nonces.add(fresh);
				return answer(exchange, {
					status: '401 Unauthorized',
					headers: [
						...more,
						[
							`WWW-Authenticate: Digest realm="films", nonce="${fresh}"`,
							...(qop === undefined ? [] : [`qop="${qop}"`]),
							...(algorithm === undefined ? [] : [`algorithm=${algorithm}`]),
							...(isRight ? ['stale=true'] : []),
						].join(', '),
					],
				});
			};
		},
		{login: {...account, scheme: 'digest'}},
	);
}

function wants(words: string, challenge: string, says: RegExp): OddOrigin {
	return steady(
		words,
		exchange => answer(exchange, {status: '401 Unauthorized', headers: [`WWW-Authenticate: ${challenge}`]}),
		refuses(says),
	);
}

const logins: OddOrigin[] = [
	steady(
		'Basic',
		exchange =>
			exchange.headers.authorization ===
			`Basic ${Buffer.from(`${account.user}:${account.password}`).toString('base64')}`
				? honest(exchange, film, {headers: [etag]})
				: answer(exchange, {status: '401 Unauthorized', headers: ['WWW-Authenticate: Basic realm="films"']}),
		{login: {...account, scheme: 'basic'}},
	),
	digest('Digest (MD5, qop auth)', {algorithm: 'MD5', qop: 'auth'}),
	digest('Digest (SHA-256, qop auth)', {algorithm: 'SHA-256', qop: 'auth'}),
	digest('Digest without algorithm and qop', {}),
	digest('Digest (qop auth or auth-int)', {algorithm: 'MD5', qop: 'auth,auth-int'}),
	digest('Digest (MD5-sess)', {algorithm: 'MD5-sess', qop: 'auth'}),
	digest('Digest with single-use nonces', {algorithm: 'MD5', qop: 'auth'}, true),
	digest('Digest and Basic offered', {
		algorithm: 'MD5',
		qop: 'auth',
		more: ['WWW-Authenticate: Basic realm="films"'],
	}),
	digest('Digest and Negotiate offered', {
		algorithm: 'MD5',
		qop: 'auth',
		more: ['WWW-Authenticate: Negotiate'],
	}),
	digest('Digest with an unknown algorithm offered too', {
		algorithm: 'MD5',
		qop: 'auth',
		more: ['WWW-Authenticate: Digest realm="films", nonce="x", qop="auth", algorithm=SHA-3'],
	}),
	wants('requires Basic, no password given', 'Basic realm="films"', /401.*Basic/),
	wants('requires Digest, no password given', 'Digest realm="films", nonce="1"', /401.*Digest/),
	wants('requires a Bearer token', 'Bearer realm="films"', /401.*Bearer/),
	wants('requires Negotiate', 'Negotiate', /401.*Negotiate/),
];

/** Expects the name that browsers choose; undefined if they differ. */
function named(header: string, name: string | undefined, more: Pick<Answer, 'encoding'> = {}): OddOrigin {
	return withHeaders(`\`Content-Disposition: ${header}\``, [`Content-Disposition: ${header}`, etag], {
		file: smallFile,
		target: '/download.php?id=1',
		expects: {kind: 'file', name},
		...more,
	});
}

const names: OddOrigin[] = [
	named('attachment; filename=film.mkv', 'film.mkv'),
	named('attachment; filename=My Movie (2020).mkv', 'My Movie (2020).mkv'),
	named('attachment; filename=%E4%B8%AD%E6%96%87.mkv', '中文.mkv'),
	named('attachment; filename="%E4%B8%AD%E6%96%87.mkv"', '中文.mkv'),
	named('attachment; filename="=?UTF-8?B?5Lit5paHLm1rdg==?="', '中文.mkv'),
	named('attachment; filename="=?utf-8?q?caf=C3=A9_film.mkv?="', 'café film.mkv'),
	named('attachment; filename="film.mkv";', 'film.mkv'),
	named('attachment; filename*=UTF-8\'\'film.7z; filename="film.7z"', 'film.7z'),
	named("attachment; filename*=UTF-8''caf%C3%A9.mkv", 'café.mkv'),
	named("attachment; filename*=ISO-8859-1'en'caf%E9.mkv", 'café.mkv'),
	named('attachment; filename*=utf-8"\'\'film.mkv"', undefined),
	named("attachment; filename='film.mkv'", undefined),
	named('attachment;filename="film.mkv', 'film.mkv'),
	named('filename="film.mkv"', 'film.mkv'),
	named('attachment; filename=film.mkv; size=123', 'film.mkv'),
	named('attachment; filename=a;b.mkv', undefined),
	named('attachment; filename="film.mkv"; filename="film.mkv"', 'film.mkv'),
	named('attachment; filename*="UTF-8\'\'%E4%B8%AD.mkv"', '中.mkv'),
	named('attachment; filename="film.mkv"; filename*=\'\'film.mkv', 'film.mkv'),
	named('attachment; filename=中文.mkv', '中文.mkv'),
	named('attachment; filename="café.mkv"', 'café.mkv', {encoding: 'latin1'}),
	named('ATTACHMENT; FILENAME="film.mkv"', 'film.mkv'),
	named('attachment; filename = "film.mkv"', 'film.mkv'),
	named('attachment; filename="a\\"b.mkv"', undefined),
	named('attachment; filename="../../film.mkv"', undefined),
	named('attachment; filename="C:\\films\\film.mkv"', undefined),
	withHeaders('a name of 300 bytes', [`Content-Disposition: attachment; filename="${'x'.repeat(296)}.mkv"`], {
		file: smallFile,
	}),
	withHeaders(
		'control sequences in the name',
		['Content-Disposition: attachment; filename="a\u009b31mb.mkv"'],
		{
			file: smallFile,
		},
	),
	withHeaders('a name in the URL, percent-encoded', [etag], {
		file: smallFile,
		target: '/My%20caf%C3%A9%20film.mkv',
		expects: {kind: 'file', name: 'My café film.mkv'},
	}),
];

/** All origins, by the heading of their group in the table. */
export const oddOrigins: ReadonlyMap<string, readonly OddOrigin[]> = new Map([
	['Plain', plain],
	['Content-Encoding', contentEncodings],
	['Content-Range', contentRanges],
	['No ranges, or not all', rangeRefusals],
	['Heads', headerSyntax],
	['Lengths and ends', lengths],
	['Versions', versions],
	['Redirects', redirects],
	['Outages', outages],
	['Few connections', connectionLimits],
	['Pages', pages],
	['Logins', logins],
	['Names', names],
]);

/** The file that the origin is expected to deliver. */
export function fileOf({file = film}: OddOrigin): Uint8Array {
	return file;
}

/** `origin`: its address, as a URL without a path. */
export function urlOf({target = '/film.mkv', host}: OddOrigin, origin: string): string {
	const url = origin + target;
	return host === undefined ? url : url.replace(new URL(origin).hostname, host);
}

/** Arguments of `get`: folders, and the URL with the login. */
export function getArguments(
	odd: OddOrigin,
	origin: string,
	{output, storage}: {readonly output: string; readonly storage: string},
): string[] {
	const url = urlOf(odd, origin);
	const {user, password} = odd.login ?? {};
	const login = odd.login ? `//${encodeURIComponent(user!)}:${encodeURIComponent(password!)}@` : '//';
	return [
		...['get', url.replace('//', login), '--output', `${output}${path.sep}`],
		...['--storage', storage, '--port', '0'],
	];
}
