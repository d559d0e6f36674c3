// The package's suite for data sources: it accepts correct sources and names the violations of others.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {DataSource, OriginRequest, OriginResponse} from '../source/index.ts';
import {checkDataSource, dataSourceChecks} from '../source/testing.ts';
import {content} from './support/content.ts';

const bytes = content(0, 10_000);
const pieceSize = 1000;

/** The shortest correct source. */
class MemorySource implements DataSource {
	readonly url: string = 'memory:notes.bin';
	isDisposed = false;

	async open({range, ranged, signal}: OriginRequest): Promise<OriginResponse> {
		signal.throwIfAborted();
		const {length} = bytes;
		const start = ranged ? Math.min(range.start, length) : 0;
		const end = ranged ? Math.min(range.end, length) : length;
		return {
			info: {name: 'notes.bin', type: 'text/plain', size: length},
			range: {start, end},
			validator: {etag: '"1"'},
			acceptsRanges: true,
			body: piecesOf(start, end),
		};
	}

	async dispose(): Promise<void> {
		this.isDisposed = true;
	}
}

async function* piecesOf(start: number, end: number, wrongAt = -1): AsyncGenerator<Uint8Array, void> {
	for (let at = start; at < end; at += pieceSize) {
		const piece = Uint8Array.from(bytes.subarray(at, Math.min(at + pieceSize, end)));
		if (wrongAt >= at && wrongAt < at + piece.length) {
			piece[wrongAt - at]!++;
		}

		yield piece;
	}
}

/** A source whose responses are changed. */
function changed(
	change: (response: OriginResponse, request: OriginRequest) => Partial<OriginResponse>,
): DataSource {
	const source = new MemorySource();
	return {
		url: source.url,
		async open(request) {
			const response = await source.open(request);
			return {...response, ...change(response, request)};
		},
		dispose: () => source.dispose(),
	};
}

const whole = {start: 0, end: bytes.length};

const good: Record<string, () => DataSource> = {
	'in memory': () => new MemorySource(),
	'without ranges': () =>
		changed(() => ({range: whole, acceptsRanges: false, body: piecesOf(0, bytes.length)})),
	'of unknown size': () =>
		changed(({info}) => ({
			info: {...info, size: Infinity},
			range: {start: 0, end: Infinity},
			acceptsRanges: false,
			endIsProven: true,
			body: piecesOf(0, bytes.length),
		})),
	'without a type or a validator': () =>
		changed(({info}) => ({info: {...info, type: undefined}, validator: {}})),
};

for (const [kind, create] of Object.entries(good)) {
	test(`a source ${kind} fulfils the contract`, async () => {
		await checkDataSource({create, bytes});
	});
}

test('a source of an empty file fulfils the contract', async () => {
	const create = () =>
		changed(({info}) => ({info: {...info, size: 0}, range: {start: 0, end: 0}, body: piecesOf(0, 0)}));
	await checkDataSource({create, bytes: new Uint8Array()});
});

test('each check creates and disposes of one source', async () => {
	for (const {run} of dataSourceChecks) {
		const created: MemorySource[] = [];
		const create = async () => {
			created.push(new MemorySource());
			return created.at(-1)!;
		};
		await run({create, bytes});
		assert.deepEqual(
			created.map(({isDisposed}) => isDisposed),
			[true],
		);
	}
});

let versions = 0;

/** Sources that break the contract, with the check that fails and its message. */
const broken: Array<[check: string, message: RegExp, create: () => DataSource]> = [
	[
		'has an absolute URL',
		/^url is "notes.bin", which is not an absolute URL$/,
		() => ({...changed(() => ({})), url: 'notes.bin'}),
	],
	[
		'has an absolute URL',
		/^url has a user or a password/,
		() => ({...changed(() => ({})), url: 'ftp://me:secret@a/'}),
	],
	[
		'serves a range with',
		/^byte 5000 of the body is wrong$/,
		() => changed(({range}) => ({body: piecesOf(range.start, range.end, 5000)})),
	],
	[
		'serves a range with',
		/^the body ends at byte 0, before the end of \[0, 1\)$/,
		() => changed(() => ({body: piecesOf(0, 0)})),
	],
	[
		'serves a range with',
		/^the body continues after byte 1, /,
		() => changed(({range}) => ({body: piecesOf(range.start, bytes.length)})),
	],
	[
		'serves a range with',
		/^\[5000, 5001\) was answered with \[0, 10000\), the whole file, but acceptsRanges is true$/,
		() => changed(({range}) => (range.start > 0 ? {range: whole, body: piecesOf(0, bytes.length)} : {})),
	],
	[
		'serves a range with',
		/^\[5000, 5001\) was answered with \[0, 5000\), without its first byte$/,
		() =>
			changed(({range}) => (range.start > 0 ? {range: {start: 0, end: 5000}, body: piecesOf(0, 5000)} : {})),
	],
	['serves a range with', /but acceptsRanges is false$/, () => changed(() => ({acceptsRanges: false}))],
	[
		'serves a range with',
		/^info.size is NaN, but the file has 10000 bytes; an unknown size is Infinity$/,
		() => changed(({info}) => ({info: {...info, size: NaN}})),
	],
	[
		'serves a range with',
		/^info.name is "a\/b", which is not a file name$/,
		() => changed(({info}) => ({info: {...info, name: 'a/b'}})),
	],
	[
		'serves a range with',
		/^info.type is "text\/plain; charset=utf-8", which is not a lower-case media type/,
		() => changed(({info}) => ({info: {...info, type: 'text/plain; charset=utf-8'}})),
	],
	[
		'serves a range with',
		/^the body yields a piece that is empty or not a byte array$/,
		() =>
			changed(() => ({
				body: (async function* () {
					yield new Uint8Array();
				})(),
			})),
	],
	[
		'serves the whole file',
		/^\[5000, 10000\), unranged, was answered with \[5000, 10000\) instead of the whole file$/,
		() =>
			changed((_response, {range}) => ({
				range: {...range, end: bytes.length},
				body: piecesOf(range.start, bytes.length),
			})),
	],
	[
		'serves an empty range',
		/^\[10000, 10100\) was answered with \[10000, 10100\), which is not a range/,
		() => changed((_response, {range}) => ({range})),
	],
	[
		'returns the same validator',
		/^the validator's etag was "1" and is "2" for the same file$/,
		() => {
			versions = 0;
			return changed(() => ({validator: {etag: `"${++versions}"`}}));
		},
	],
	[
		'rejects an aborted',
		/^open with an aborted signal must reject with its reason, but it resolves$/,
		() => {
			const source = new MemorySource();
			return {
				url: source.url,
				open: given => source.open({...given, signal: new AbortController().signal}),
				dispose: () => source.dispose(),
			};
		},
	],
	[
		'ends a body after',
		/^the body must throw the reason of an abort, but throws Error: cut$/,
		() =>
			changed((_response, {signal}) => ({
				body: (async function* () {
					yield* piecesOf(0, pieceSize);
					if (signal.aborted) {
						throw new Error('cut');
					}
				})(),
			})),
	],
	[
		'accepts hints',
		/^not now$/,
		() => ({
			...changed(() => ({})),
			preconnect() {
				throw new Error('not now');
			},
		}),
	],
];

for (const [name, message, create] of broken) {
	test(`the suite reports a broken source: ${message.source}`, async () => {
		const check = dataSourceChecks.find(candidate => candidate.name.startsWith(name));
		await assert.rejects(check!.run({create, bytes}), {name: 'Error', message});
	});
}

test('the suite reports a source that refuses a second request', async () => {
	const check = dataSourceChecks.find(({name}) => name.startsWith('serves several'))!;
	const source = new MemorySource();
	let isBusy = false;
	const create = (): DataSource => ({
		url: source.url,
		async open(request) {
			assert.ok(!isBusy, 'one at a time');
			isBusy = true;
			return source.open(request);
		},
		dispose: () => source.dispose(),
	});
	await assert.rejects(check.run({create, bytes}), {message: 'one at a time'});
});

test('the suite does not wait for a source that hangs', async t => {
	t.mock.timers.enable({apis: ['setTimeout']});
	const check = dataSourceChecks.find(({name}) => name.startsWith('serves several'))!;
	const opened: OriginRequest[] = [];
	const create = (): DataSource => ({
		...changed(() => ({})),
		open(request) {
			opened.push(request);
			return new Promise<never>(() => {});
		},
	});
	const rejected = assert.rejects(check.run({create, bytes}), {
		message: 'open of [0, 2500) has not settled in 30 s',
	});
	while (opened.length < 4) {
		await new Promise(resolve => setImmediate(resolve));
	}

	t.mock.timers.tick(30_000);
	await rejected;
});

test('the suite reports bodies that block others, and a source that fails to dispose', async () => {
	const left = dataSourceChecks.find(({name}) => name.startsWith('serves further requests'))!;
	let opened = 0;
	const create = () =>
		changed(() => {
			opened++;
			return opened > 2 ? {body: piecesOf(0, pieceSize)} : {};
		});
	await assert.rejects(left.run({create, bytes}), {message: /^the body ends at byte 1000, before the end/});
	const undisposable = {
		...changed(() => ({})),
		dispose: async () => Promise.reject(new Error('still open')),
	};
	await assert.rejects(left.run({create: () => undisposable, bytes}), {message: 'still open'});
	// The first error counts.
	const both = {...undisposable, url: ''};
	await assert.rejects(dataSourceChecks[0]!.run({create: () => both, bytes}), {message: /^url is ""/});
});
