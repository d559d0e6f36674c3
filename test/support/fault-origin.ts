// An origin with faults on request. Its file is that of `TestOrigin`; the URL selects the fault and its time:
// `/film.bin?fault=NAME`, with the parameters of the fault and these:
// - `after=N`: the first N requests get regular responses
// - `times=N`: after N faults, responses are regular
// - `every=N`: each Nth request alone, starting with the Nth
// - `from=N`: only requests from byte N on (a request without Range starts at 0)
import type {IncomingMessage, OutgoingHttpHeaders, ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import type {TestContext} from 'node:test';
import {gzipSync} from 'node:zlib';
import type {Range} from '../../source/engine/store/range-set.ts';
import {atEnd} from './cleanup.ts';
import {content} from './content.ts';
import {TestOrigin, type OriginOptions, type OriginRequestRecord} from './origin.ts';

type Exchange = {
	readonly faults: FaultOrigin;
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly record: OriginRequestRecord;
	/** The range of a regular response. */
	readonly range: Range;
	readonly isRanged: boolean;
	/** Number of earlier requests for this URL. */
	readonly asked: number;
	readonly text: (name: string, fallback?: string) => string;
	readonly number: (name: string, fallback: number) => number;
};

type Reply = {
	readonly status?: number;
	/** Replace those of a regular response; undefined omits a header. */
	readonly headers?: OutgoingHttpHeaders;
	readonly body?: Range | Buffer;
	/** The end of the body: regular, a close, a reset, or none. */
	readonly ending?: 'end' | 'close' | 'reset' | 'stall';
	readonly seed?: number;
	readonly bytesPerSecond?: number;
};

/** Responds and returns true; false leaves the request to the regular origin. */
type Fault = (exchange: Exchange) => boolean | Promise<boolean>;

const faultsByName = {
	/** Always the whole file. */
	'no-ranges': (exchange): Promise<true> => {
		const {size} = exchange.faults.origin.options;
		return reply(exchange, {status: 200, headers: lengthOnly(size), body: {start: 0, end: size}});
	},

	/** Content-Range is off by `start`, `end` and `total` bytes; the body is the requested range. */
	'content-range': exchange => {
		const {range, number} = exchange;
		const {size} = exchange.faults.origin.options;
		const start = range.start + number('start', 0);
		const end = range.end + number('end', 0);
		return reply(exchange, {
			headers: {
				'content-range': `bytes ${start}-${end - 1}/${size + number('total', 0)}`,
				...(number('length', 0) === 1 ? {'content-length': end - start} : {}),
			},
		});
	},

	/** A 206 that starts `by` bytes before the requested range and states it. */
	'starts-early': exchange => {
		const start = Math.max(0, exchange.range.start - exchange.number('by', 100));
		return reply(exchange, honest(exchange, {start, end: exchange.range.end}));
	},

	/** A 206 of at most `bytes` that states its range. */
	'shorter-range': exchange => {
		const {start, end} = exchange.range;
		return reply(
			exchange,
			honest(exchange, {start, end: Math.min(end, start + exchange.number('bytes', 1))}),
		);
	},

	'no-content-range': exchange => reply(exchange, {headers: {'content-range': undefined}}),

	/** The requested part with Content-Range, as a 200; `length=none` omits its length. */
	'200-with-content-range': exchange =>
		reply(exchange, {
			status: 200,
			headers: exchange.text('length') === 'none' ? {'content-length': undefined} : {},
		}),

	/** The whole file as a 200, with the Content-Range of the requested part. */
	'whole-with-content-range': exchange => {
		const {size} = exchange.faults.origin.options;
		return reply(exchange, {
			status: 200,
			headers: {'content-length': size},
			body: {start: 0, end: size},
		});
	},

	/** Ends after `bytes`, by `ending`. */
	'short-body': exchange => {
		const {start, end} = exchange.range;
		return reply(exchange, {
			body: {start, end: Math.min(end, start + exchange.number('bytes', 1000))},
			ending: exchange.text('ending', 'close') as Reply['ending'],
		});
	},

	/** A chunked response with a regular end, `by` bytes before the end of its Content-Range. */
	'short-chunks': exchange => {
		const {start, end} = exchange.range;
		return reply(exchange, {
			headers: {'content-length': undefined},
			body: {start, end: Math.max(start, end - exchange.number('by', 1000))},
		});
	},

	/** `by` bytes more than stated by Content-Length, or by Content-Range if the response is `chunked`. */
	'long-body': exchange => {
		const {start, end} = exchange.range;
		return reply(exchange, {
			headers: exchange.text('chunked') === '' ? {} : {'content-length': undefined},
			body: {start, end: end + exchange.number('by', 1000)},
		});
	},

	/** The Content-Length of a part is off by `by`; the body is correct. */
	'wrong-length': exchange => {
		const {start, end} = exchange.range;
		if (!exchange.isRanged) {
			return false;
		}

		return reply(exchange, {
			headers: {'content-length': end - start + exchange.number('by', 1)},
			ending: 'close',
		});
	},

	gzip: exchange => {
		const packed = gzipSync(
			content(exchange.range.start, exchange.range.end, exchange.faults.origin.options.seed),
		);
		return reply(exchange, {
			headers: {'content-encoding': 'gzip', 'content-length': packed.length},
			body: packed,
		});
	},

	/** The headers are sent after `ms`. */
	'slow-headers': async ({number}) => {
		await new Promise(resolve => setTimeout(resolve, number('ms', 500)));
		return false;
	},

	'slow-bytes': exchange => reply(exchange, {bytesPerSecond: exchange.number('rate', 64 * 1024)}),

	/** Another version with its `seed`, `etag` and `date`; an empty value omits the header. */
	version: exchange => {
		const {text, number} = exchange;
		const {seed = 1, etag, lastModified} = exchange.faults.origin.options;
		return reply(exchange, {
			headers: {
				etag: text('etag', etag) || undefined,
				'last-modified': text('date', lastModified) || undefined,
			},
			seed: number('seed', seed),
		});
	},

	/** Like a CDN that sends the whole file for any If-Range. */
	'if-range': (exchange): Promise<boolean> | false =>
		exchange.request.headers['if-range'] !== undefined && faultsByName['no-ranges'](exchange),

	/** A redirect to `to` with the `status`. */
	redirect: exchange =>
		reply(exchange, {
			status: exchange.number('status', 302),
			headers: {...lengthOnly(0), location: exchange.text('to', exchange.request.url)},
			body: Buffer.alloc(0),
		}),

	/** `left` further redirects, then the file. */
	'redirect-chain': exchange => {
		const left = exchange.number('left', 3);
		const to = `/film.bin?fault=redirect-chain&left=${left - 1}`;
		return (
			left > 0 && reply(exchange, {status: 307, headers: {...lengthOnly(0), location: to}, body: nothing})
		);
	},

	/** A redirect to a signed URL valid for `requests` requests; an expired one is replaced. */
	signed: exchange => {
		const to = exchange.faults.sign(exchange.number('requests', 2));
		return reply(exchange, {status: 302, headers: {...lengthOnly(0), location: to}, body: nothing});
	},

	/** The target of `signed`. */
	signature: exchange =>
		exchange.faults.useSignature(exchange.text('token'))
			? false
			: reply(exchange, {status: 403, headers: lengthOnly(0), body: nothing}),

	/** The status `code`, with Retry-After if `wait` is given: seconds, or `date` for one second from now. */
	status: (exchange): Promise<true> => {
		const wait = exchange.text('wait');
		const date = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000).toUTCString();
		return reply(exchange, {
			status: exchange.number('code', 500),
			headers: {...lengthOnly(4), ...(wait === '' ? {} : {'retry-after': wait === 'date' ? date : wait})},
			body: Buffer.from('oops'),
		});
	},

	/** The status `code` for each request with Range. */
	'refuse-ranges': (exchange): Promise<true> | false =>
		exchange.request.headers.range !== undefined && faultsByName.status(exchange),

	'refuse-head': (exchange): Promise<true> | false =>
		exchange.request.method === 'HEAD' && faultsByName.status(exchange),

	/** At most `connections` requests at once: others get the status `code`, or with `code=0` a reset. */
	limit: (exchange): Promise<true> | boolean => {
		if (exchange.faults.openRequests <= exchange.number('connections', 1)) {
			return false;
		}

		if (exchange.number('code', 503) > 0) {
			return faultsByName.status(exchange);
		}

		exchange.request.socket.resetAndDestroy();
		return true;
	},

	/** HTTP/1.0 with a close; `length=none` omits the length of the whole file. */
	'http-1.0': async exchange => {
		const {origin} = exchange.faults;
		const {size} = origin.options;
		const {socket} = exchange.request;
		const whole = exchange.text('ranges') === '';
		const range = whole ? {start: 0, end: size} : exchange.range;
		socket.write(
			[
				`HTTP/1.0 ${whole ? '200 OK' : '206 Partial Content'}`,
				...(exchange.text('length') === 'none' ? [] : [`Content-Length: ${range.end - range.start}`]),
				...(whole ? [] : [`Content-Range: bytes ${range.start}-${range.end - 1}/${size}`]),
				'Content-Type: application/octet-stream',
				'',
				'',
			].join('\r\n'),
		);
		await origin.send(socket, range, exchange.record);
		socket.end();
		return true;
	},

	/** A multipart body for one range; with `content-range`, also as a header. */
	multipart: exchange => {
		const {range} = exchange;
		const {size, seed} = exchange.faults.origin.options;
		const contentRange = `bytes ${range.start}-${range.end - 1}/${size}`;
		const body = Buffer.concat([
			Buffer.from(`\r\n--x\r\nContent-Type: video/mp4\r\nContent-Range: ${contentRange}\r\n\r\n`),
			content(range.start, range.end, seed),
			Buffer.from('\r\n--x--\r\n'),
		]);
		return reply(exchange, {
			headers: {
				'content-type': 'multipart/byteranges; boundary=x',
				'content-range': exchange.text('content-range') === '' ? undefined : contentRange,
				'content-length': undefined,
			},
			body,
		});
	},

	/** `bytes` of meaningless headers. */
	'huge-headers': exchange => {
		const lines = Math.ceil(exchange.number('bytes', 400_000) / 1000);
		return reply(exchange, {
			headers: Object.fromEntries(
				Array.from({length: lines}, (_, index) => [`x-${index}`, 'x'.repeat(1000)]),
			),
		});
	},

	/** Content-Disposition as given. */
	disposition: exchange =>
		reply(exchange, {
			headers: {'content-disposition': Buffer.from(exchange.text('says')).toString('latin1')},
		}),

	/** A reused connection is closed when its next request has arrived. */
	'keep-alive': exchange => {
		if (!exchange.faults.isUsedAgain(exchange.request.socket)) {
			return false;
		}

		exchange.request.socket.destroy();
		return true;
	},

	/** Each connection closes after `least` to `most` bytes of a body. */
	dies: exchange => {
		const {range, number, asked} = exchange;
		const least = number('least', 1);
		const spread = number('most', 100_000) - least;
		const end = range.start + least + ((asked * 7919 * 104_729) % (spread + 1));
		return reply(exchange, {
			body: {start: range.start, end: Math.min(range.end, end)},
			ending: end < range.end ? 'close' : 'end',
		});
	},
} satisfies Record<string, Fault>;

export type FaultName = keyof typeof faultsByName;

const nothing = Buffer.alloc(0);

export class FaultOrigin {
	readonly origin: TestOrigin;
	readonly #open = new Set<IncomingMessage>();
	/** The most requests open at once. */
	maxOpenRequests = 0;
	/** The number of signed URLs. */
	signatures = 0;
	#signatureUses = 0;
	readonly #asked = new Map<string, number>();
	readonly #faulty = new Map<string, number>();
	readonly #usedSockets = new WeakSet<Socket>();

	static async start(options: OriginOptions): Promise<FaultOrigin> {
		const origin = await TestOrigin.start(options);
		return new FaultOrigin(origin);
	}

	private constructor(origin: TestOrigin) {
		this.origin = origin;
		origin.options.intercept = (request, response, record) => this.#answer(request, response, record);
	}

	/** Requests with an unfinished response. */
	get openRequests(): number {
		return [...this.#open].filter(({socket}) => !socket.destroyed).length;
	}

	urlOf(fault: FaultName | undefined, parameters: Readonly<Record<string, string | number>> = {}): string {
		const query = new URLSearchParams({
			...(fault === undefined ? {} : {fault}),
			...Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, String(value)])),
		});
		return this.origin.urlOf(`/film.bin?${query.toString()}`);
	}

	/** The occurrences of this fault. */
	shown(fault: FaultName): number {
		return this.#faulty.get(fault) ?? 0;
	}

	sign(requests: number): string {
		if (this.#signatureUses === 0) {
			this.signatures++;
			this.#signatureUses = requests;
		}

		return `/signed.bin?fault=signature&token=${this.signatures}`;
	}

	useSignature(token: string): boolean {
		const isGood = Number(token) === this.signatures && this.#signatureUses > 0;
		this.#signatureUses -= isGood ? 1 : 0;
		return isGood;
	}

	isUsedAgain(socket: Socket): boolean {
		const isUsed = this.#usedSockets.has(socket);
		this.#usedSockets.add(socket);
		return isUsed;
	}

	async #answer(
		request: IncomingMessage,
		response: ServerResponse,
		record: OriginRequestRecord,
	): Promise<boolean> {
		this.#open.add(request);
		this.maxOpenRequests = Math.max(this.maxOpenRequests, this.openRequests);
		response.once('close', () => this.#open.delete(request));
		const {searchParams} = new URL(request.url ?? '', 'http://origin');
		const name = searchParams.get('fault');
		const fault: Fault | undefined = (faultsByName as Partial<Record<string, Fault>>)[name ?? ''];
		if (name === null || !fault) {
			return false;
		}

		const text = (parameter: string, fallback = '') => searchParams.get(parameter) ?? fallback;
		const number = (parameter: string, fallback: number) => Number(searchParams.get(parameter) ?? fallback);
		const {url = ''} = request;
		const {size} = this.origin.options;
		const asked = this.#asked.get(url) ?? 0;
		this.#asked.set(url, asked + 1);
		const {range = {start: 0, end: size}} = record;
		const isDue =
			asked >= number('after', 0) &&
			(asked + 1) % number('every', 1) === 0 &&
			this.shown(name as FaultName) < number('times', Infinity) &&
			range.start >= number('from', 0);
		if (!isDue || range.start >= range.end) {
			return false;
		}

		const isFaulty = await fault({
			faults: this,
			request,
			response,
			record,
			range,
			isRanged: record.range !== undefined,
			asked,
			text,
			number,
		});
		this.#faulty.set(name, this.shown(name as FaultName) + (isFaulty ? 1 : 0));
		return isFaulty;
	}
}

function lengthOnly(length: number): OutgoingHttpHeaders {
	return {'content-length': length, 'content-range': undefined};
}

/** A 206 of other bytes than requested. */
function honest({faults, isRanged}: Exchange, range: Range): Reply {
	return isRanged
		? {
				headers: {
					'content-length': range.end - range.start,
					'content-range': `bytes ${range.start}-${range.end - 1}/${faults.origin.options.size}`,
				},
				body: range,
			}
		: {};
}

async function reply(
	{faults: {origin}, request, response, record, range, isRanged}: Exchange,
	{headers, body = range, ending = 'end', seed, bytesPerSecond, ...more}: Reply,
): Promise<true> {
	const {size, etag, lastModified} = origin.options;
	const {status = isRanged ? 206 : 200} = more;
	const all = {
		'content-type': 'application/octet-stream',
		'accept-ranges': 'bytes',
		etag,
		'last-modified': lastModified,
		'content-length': range.end - range.start,
		...(isRanged ? {'content-range': `bytes ${range.start}-${range.end - 1}/${size}`} : {}),
		...origin.options.headers,
		...headers,
	};
	response.writeHead(
		status,
		Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)),
	);
	if (request.method === 'HEAD') {
		response.end();
		return true;
	}

	if (Buffer.isBuffer(body)) {
		response.write(body);
	} else {
		await origin.send(response, body, record, {seed, bytesPerSecond});
	}

	if (ending === 'end') {
		response.end();
	} else if (ending === 'close') {
		response.flushHeaders();
		request.socket.end();
	} else if (ending === 'reset') {
		// Written bytes reach the client first.
		response.flushHeaders();
		request.socket.write('', () => request.socket.resetAndDestroy());
	} else {
		response.flushHeaders();
	}

	return true;
}

export async function startFaultOrigin(t: TestContext, options: OriginOptions): Promise<FaultOrigin> {
	const faults = await FaultOrigin.start(options);
	atEnd(t, () => faults.origin.close());
	return faults;
}
