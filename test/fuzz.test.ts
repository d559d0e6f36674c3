// The pure parsers keep their invariants for any input. A failure prints its seed and path;
// `FUZZ_SEED=… npm test` tries another one.
import assert from 'node:assert/strict';
import process from 'node:process';
import {test} from 'node:test';
import * as fc from 'fast-check';
import type {DownloadError} from '../source/downstream.ts';
import {contentRange, parseContentRange} from '../source/engine/origin/content-range.ts';
import {checkRecord, InvalidRecord, type DownloadRecord} from '../source/engine/store/record.ts';
import {fileName, typeOf} from '../source/engine/origin/file-info.ts';
import {safeFileName} from '../source/engine/store/file-name.ts';
import {retryAfter} from '../source/engine/origin/origin-errors.ts';
import type {Range} from '../source/engine/store/range-set.ts';
import {maskUrl} from '../source/text/mask-url.ts';
import {evaluatePreconditions, ifRangeHolds, requestedRanges} from '../source/proxy/range-header.ts';

const seed = Number(process.env.FUZZ_SEED ?? 20_261_102);

function holds<T extends [unknown, ...unknown[]]>(
	sentence: string,
	arbitraries: {[K in keyof T]: fc.Arbitrary<T[K]>},
	property: (...values: T) => void,
): void {
	test(sentence, () => {
		fc.assert(fc.property<T>(...arbitraries, property), {
			seed,
			numRuns: 2000,
			interruptAfterTimeLimit: 4000,
			markInterruptAsFailure: false,
		});
	});
}

/** A header value as Node delivers it: Latin-1, without line breaks. */
const latin1 = fc.string({
	unit: fc.integer({min: 0x20, max: 0xff}).map(code => String.fromCharCode(code)),
	maxLength: 300,
});
const anyText = fc.oneof(fc.string(), fc.string({unit: 'binary', maxLength: 400}), latin1);
/** Text composed of the tokens of a parser. */
function madeOf(...parts: readonly string[]): fc.Arbitrary<string> {
	return fc
		.array(fc.oneof(fc.constantFrom(...parts), fc.nat().map(String)), {maxLength: 12})
		.map(all => all.join(''));
}

const size = fc.oneof(fc.nat(100), fc.integer({min: 0, max: Number.MAX_SAFE_INTEGER}), fc.constant(Infinity));

holds(
	'Range: the selected ranges lie in the file without overlaps, 16 at most',
	[fc.oneof(madeOf('bytes=', '-', ',', ' ', '\t', '0', '99999999999999999999', 'e5', '0x1'), latin1), size],
	(header, fileSize) => {
		const ranges = requestedRanges(header, fileSize);
		if (ranges === undefined) {
			return;
		}

		assert.ok(ranges.length <= 16);
		let last: Range = {start: 0, end: 0};
		for (const range of ranges.toSorted((one, other) => one.start - other.start)) {
			assert.ok(Number.isSafeInteger(range.start) && Number.isSafeInteger(range.end), header);
			assert.ok(range.start >= last.end && range.start < range.end && range.end <= fileSize, header);
			last = range;
		}
	},
);

holds(
	'Content-Range: the engine reads what the proxy writes',
	[fc.nat(1_000_000_000_000), fc.integer({min: 1, max: 1_000_000_000}), fc.nat(1_000_000_000)],
	(start, length, rest) => {
		const range = {start, end: start + length};
		assert.deepEqual(parseContentRange(contentRange(range, range.end + rest)), {
			range,
			size: range.end + rest,
		});
	},
);

holds(
	'Content-Range: whatever is read of it holds together',
	[
		fc.oneof(
			madeOf('bytes ', 'bytes', '-', '/', '*', ' ', '0', '999999999999999', '9007199254740993'),
			latin1,
		),
	],
	header => {
		const proof = parseContentRange(header);
		if (proof) {
			const {range, size: total} = proof;
			assert.ok(Number.isSafeInteger(range.start) && Number.isSafeInteger(range.end), header);
			assert.ok(range.start >= 0 && range.start < range.end && range.end <= total, header);
			assert.ok(total === Infinity || Number.isSafeInteger(total), header);
		}
	},
);

holds(
	'Retry-After: a time to wait is a finite number that is not negative',
	[
		fc.oneof(
			madeOf('-', '+', '.', 'e', ' ', '1', '999999999', '0x10'),
			fc.date({noInvalidDate: true}).map(date => date.toUTCString()),
			latin1,
		),
	],
	header => {
		const wait = retryAfter(header, Date.UTC(2026, 10, 2));
		assert.ok(wait === undefined || (Number.isFinite(wait) && wait >= 0), `${header}: ${wait}`);
	},
);

holds('Retry-After: an HTTP date is read to the second', [fc.nat(10_000_000)], seconds => {
	const now = Date.UTC(2026, 10, 2);
	assert.equal(retryAfter(new Date(now + seconds * 1000).toUTCString(), now), seconds * 1000);
});

const dates = fc.oneof(
	fc
		.date({noInvalidDate: true, min: new Date(0), max: new Date('9999-01-01')})
		.map(date => date.toUTCString()),
	latin1,
);
const tags = fc.oneof(madeOf('W/', '"', 'a', ',', ' ', '*'), latin1);

holds(
	'conditional headers: every one of them has an outcome, and a Range with another If-Range is ignored',
	[tags, tags, dates, dates, tags, dates, fc.boolean()],
	(ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince, etag, lastModified, hasStrongDate) => {
		const version = {etag: `"${etag.replaceAll('"', '')}"`, lastModified, hasStrongDate};
		const outcome = evaluatePreconditions(
			{
				'if-match': ifMatch,
				'if-none-match': ifNoneMatch,
				'if-modified-since': ifModifiedSince,
				'if-unmodified-since': ifUnmodifiedSince,
			},
			version,
		);
		assert.ok(['passed', 'failed', 'not-modified'].includes(outcome));
		assert.equal(
			ifRangeHolds({'if-range': ifMatch}, version),
			ifMatch === version.etag || (hasStrongDate && ifMatch === lastModified),
		);
		assert.equal(
			ifRangeHolds({'if-range': `W/${version.etag}`}, version),
			hasStrongDate && `W/${version.etag}` === lastModified,
		);
	},
);

const nasty = madeOf(
	'/',
	'\\',
	'..',
	'.',
	'\0',
	'con',
	'NUL',
	'aux.',
	'COM1',
	'lpt9.txt',
	':',
	'*',
	'"',
	'\u202e',
	'\u200b',
	'\ufeff',
	'\u0007',
	'\u009b31m',
	' ',
	'~',
	'線',
	'👨‍👩‍👧',
	'\ud800',
	'é'.repeat(100),
	'.mkv',
	'.tar.gz',
);
const names = fc.oneof(nasty, anyText, fc.string({unit: 'grapheme', maxLength: 600}));

const wellFormed = (text: string) => text.replaceAll(/\p{Cs}/gu, '\uFFFD');

/** Characters that file systems, terminals and shells forbid. */
function isSafe(name: string): void {
	assert.ok(name.length > 0);
	assert.ok(Buffer.byteLength(name) <= 255, `${Buffer.byteLength(name)} bytes`);
	// oxlint-disable-next-line no-control-regex
	assert.doesNotMatch(name, /[/\\:*?"<>|\u0000-\u001f\u007f-\u009f]/);
	assert.doesNotMatch(name, /[\p{Cc}\p{Cf}\u2028\u2029]/u);
	assert.doesNotMatch(name, /^[.\s]|[.\s]$/);
	assert.doesNotMatch(name, /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i);
	assert.doesNotThrow(() => encodeURIComponent(name));
}

holds('a safe name is safe and stays what it is', [names], name => {
	const safe = safeFileName(name);
	isSafe(safe);
	assert.equal(safeFileName(safe), safe);
});

holds(
	'a name from any Content-Disposition and any URL is safe',
	[
		fc.oneof(
			madeOf(
				'attachment',
				';',
				' ',
				'filename',
				'*',
				'=',
				'"',
				"UTF-8''",
				"ISO-8859-1''",
				'%',
				'%2F',
				'%00',
				'..',
				'/',
				'\\',
				'%E7%B7%9A',
			),
			names.map(name => `attachment; filename="${name}"`),
			names.map(name => `attachment; filename*=UTF-8''${encodeURIComponent(wellFormed(name))}`),
			latin1,
		),
		fc.oneof(
			fc.webPath(),
			names.map(name => `/${encodeURIComponent(wellFormed(name))}`),
			nasty.map(path => `/${path}`),
		),
		fc.option(latin1, {nil: undefined}),
	],
	(contentDisposition, path, type) => {
		const url = new URL('http://origin/');
		url.pathname = path;
		isSafe(fileName({contentDisposition, url, type}));
	},
);

holds('a type is a type, or none', [latin1, names], (contentType, name) => {
	assert.match(typeOf({contentType, name}) ?? 'none/none', /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/);
});

const id = '0123456789abcdef0123456789abcdef';
const goodEntry: DownloadRecord = {
	version: 1,
	id,
	url: 'http://origin/film.mkv',
	headers: {cookie: 'a=b'},
	info: {name: 'film.mkv', type: 'video/x-matroska', size: 1000},
	validator: {etag: '"v1"'},
	ranges: [
		[0, 100],
		[200, 300],
	],
	intent: 'run',
	onDemand: false,
	addedAt: 1,
	error: {code: 'origin-busy', message: 'busy', at: 1, tries: 1, maxTries: 8} satisfies DownloadError,
};

function readsEntry(stored: object): void {
	let entry: DownloadRecord;
	try {
		entry = checkRecord(stored, id);
	} catch (error) {
		assert.ok(error instanceof InvalidRecord, String(error));
		return;
	}

	assert.equal(entry.id, id);
	assert.equal(Object.getPrototypeOf(entry), Object.prototype);
	assert.match(entry.url, /^\s*https?:/i);
	for (const [start, end] of entry.ranges) {
		assert.ok(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end);
	}

	for (const value of Object.values(entry.headers)) {
		assert.equal(typeof value, 'string');
	}

	assert.ok(['run', 'pause', 'cancel'].includes(entry.intent));
	assert.equal((entry as {isAdmin?: unknown}).isAdmin, undefined);
}

holds('a record of any JSON is an entry or is refused', [fc.jsonValue({maxDepth: 4})], value => {
	if (typeof value === 'object' && value !== null) {
		readsEntry(value);
	}
});

/** The place of a mutation: a field of the record or of an object in it. */
const places = ['', 'info', 'validator', 'headers', 'error', 'exportWhenComplete'] as const;

holds(
	'a record with any field changed is an entry or is refused, and pollutes nothing',
	[
		fc.constantFrom(...places),
		fc.oneof(
			fc.constantFrom(
				...Object.keys(goodEntry),
				'size',
				'name',
				'etag',
				'path',
				'code',
				'__proto__',
				'constructor',
				'toString',
			),
			fc.string(),
		),
		fc.oneof(
			fc.jsonValue({maxDepth: 3}),
			fc.constantFrom<unknown>(
				-1,
				1.5,
				1e300,
				'NaN',
				'',
				[[5, 1]],
				[[0]],
				{isAdmin: true},
				'javascript:alert(1)',
				'file:///etc/passwd',
			),
		),
	],
	(place, key, value) => {
		const stored = JSON.parse(JSON.stringify({exportWhenComplete: {path: '/tmp/x'}, ...goodEntry})) as Record<
			string,
			object
		>;
		const target = place === '' ? stored : stored[place]!;
		// Like JSON.parse: an own property of any name.
		Object.defineProperty(target, key, {value, enumerable: true, configurable: true, writable: true});
		readsEntry(stored);
		assert.equal(({} as {isAdmin?: unknown}).isAdmin, undefined);
	},
);

test('a record that tries to change the prototype of all objects changes none', () => {
	for (const text of [
		`{"__proto__": {"isAdmin": true, "id": "${id}"}}`,
		JSON.stringify(goodEntry).replace('"headers":{', '"headers":{"__proto__":{"isAdmin":"yes"},'),
		JSON.stringify(goodEntry).replace(
			'"info":{',
			'"info":{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}},',
		),
		JSON.stringify(goodEntry).replace('"headers":{', '"headers":{"__proto__":"isAdmin",'),
	]) {
		readsEntry(JSON.parse(text) as object);
		assert.equal(({} as {isAdmin?: unknown}).isAdmin, undefined);
	}
});

/** Letters that occur in no mask and no parameter name. */
const secret = fc.stringMatching(/^[QXZ]{6,20}$/);
const secretName = fc.constantFrom(
	'token',
	'access_token',
	'X-Amz-Signature',
	'sig',
	'api_key',
	'PASSWORD',
	'auth',
	'client_secret',
	'to%6ben',
	'pwd',
);

holds(
	'a masked URL shows no password and no secret of its query or fragment',
	[
		secret,
		secret,
		secretName,
		fc.constantFrom('?', '?a=b&', '#', '?a=b;', '?x#y&', '/a/b?'),
		fc.constantFrom('http', 'https', 'socks5h', 'HTTP'),
		fc.constantFrom('', '&c=d', '#end'),
	],
	(user, password, name, before, scheme, after) => {
		const masked = maskUrl(
			`${scheme}://${user}:${password}@host.example/film${before}${name}=${password}${after}`,
		);
		assert.ok(!masked.includes(user) && !masked.includes(password), masked);
		assert.match(masked, /host\.example\/film/);
		assert.equal(maskUrl(masked), masked);
	},
);

holds('masking any text throws nothing and leaves no password', [anyText, secret], (text, password) => {
	assert.equal(typeof maskUrl(text), 'string');
	const host = text.replaceAll(/[\s/?#@\\]/g, '');
	assert.ok(!maskUrl(`http://${host}:${password}@host/`).includes(password));
});
