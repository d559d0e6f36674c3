import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {ResponseParser} from '../source/engine/http/response-parser.ts';

const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`;

/** What comes of an answer that arrives in these pieces and ends by closing. */
function parse(pieces: Iterable<string | Uint8Array>) {
	const parser = new ResponseParser();
	const body: Buffer[] = [];
	let error: string | undefined;
	try {
		for (const piece of pieces) {
			// The parser may change what it is given.
			body.push(Buffer.from(parser.push(Buffer.from(piece as string, 'latin1'))));
		}

		parser.end();
	} catch (caught) {
		error = (caught as Error).message;
	}

	const {head, isDone, endIsProven, isKeepAlive} = parser;
	return {
		status: head?.status,
		headers: [...(head?.headers ?? [])],
		body: Buffer.concat(body).toString('latin1'),
		isDone,
		endIsProven,
		isKeepAlive,
		error,
	};
}

const twice = (line: string) => head('HTTP/1.1 200 OK', line, line);

const answers: Array<[words: string, answer: string, status: number, body: string, usable: boolean]> = [
	['a length', `${head('HTTP/1.1 200 OK', 'Content-Length: 3')}abc`, 200, 'abc', true],
	['a length that is said twice', `${head('HTTP/1.1 200 OK', 'Content-Length: 3, 3')}abc`, 200, 'abc', true],
	['no body', head('HTTP/1.1 204 No Content'), 204, '', true],
	['a length that is said in two lines', `${twice('Content-Length: 3')}abc`, 200, 'abc', true],
	['a length with zeros before it', `${head('HTTP/1.1 200 OK', 'Content-Length: 003')}abc`, 200, 'abc', true],
	['chunked in two lines', `${twice('Transfer-Encoding: chunked')}3\r\nabc\r\n0\r\n\r\n`, 200, 'abc', true],
	['a status of another kind', `${head('HTTP/1.1 999 No', 'Content-Length: 1')}a`, 999, 'a', true],
	['a length and no body', head('HTTP/1.1 204 No Content', 'Content-Length: 3'), 204, '', false],
	['no reason', `${head('HTTP/1.1 200', 'Content-Length: 1')}a`, 200, 'a', true],
	['HTTP/1.0', `${head('HTTP/1.0 200 OK', 'Content-Length: 1')}a`, 200, 'a', false],
	[
		'Connection: close',
		`${head('HTTP/1.1 200 OK', 'Content-Length: 1', 'Connection: x, Close')}a`,
		200,
		'a',
		false,
	],
	['a body that ends by closing', `${head('HTTP/1.1 200 OK')}abc`, 200, 'abc', false],
	['more than its length', `${head('HTTP/1.1 200 OK', 'Content-Length: 2')}abc`, 200, 'ab', false],
	[
		'chunks, extensions and trailers',
		`${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n`,
		200,
		'abc0123456789',
		true,
	],
	[
		'interim answers',
		`${head('HTTP/1.1 103 Early Hints', 'Link: x')}${head('HTTP/1.1 206 Partial', 'Content-Length: 1')}a`,
		206,
		'a',
		true,
	],
];

for (const [words, answer, status, body, usable] of answers) {
	test(`an answer with ${words} is read`, () => {
		const parsed = parse([answer]);
		assert.deepEqual(
			[parsed.error, parsed.status, parsed.body, parsed.isKeepAlive],
			[undefined, status, body, usable],
		);
	});
}

const ok = 'HTTP/1.1 200 OK';
const chunked = head(ok, 'Transfer-Encoding: chunked');
const refused: Array<[words: string, answer: string, says: RegExp]> = [
	['another protocol', 'SSH-2.0-OpenSSH\r\n', /no status line/],
	['a status of four digits', head('HTTP/1.1 2000 OK'), /no status line/],
	['NUL in its reason', head('HTTP/1.1 200 \0'), /no status line/],
	['a status of two digits', head('HTTP/1.1 20 OK'), /no status line/],
	['101', head('HTTP/1.1 101 Switching Protocols'), /another protocol/],
	['NUL in a value', head(ok, 'X: \0'), /no field/],
	['another coding', head(ok, 'Transfer-Encoding: gzip'), /transfer coding/],
	['another coding before chunks', head(ok, 'Transfer-Encoding: gzip, chunked'), /transfer coding/],
	['a coding that looks like chunks', head(ok, 'Transfer-Encoding: "chunked"'), /transfer coding/],
	['a coding and a length', head(ok, 'Content-Length: 3', 'Transfer-Encoding: br'), /transfer coding/],
	['a chunk without a size', `${chunked}\r\n`, /chunk without a size/],
	['a chunk with a negative size', `${chunked}-1\r\n`, /chunk without a size/],
	['a chunk whose size is hex as in C', `${chunked}0x3\r\nabc\r\n0\r\n\r\n`, /chunk without a size/],
	['a chunk with a size beyond all files', `${chunked}${'f'.repeat(13)}\r\n`, /chunk without a size/],
	['a chunk that goes on after its size', `${chunked}1\r\nab\r\n`, /longer than it says/],
	['an endless extension', `${chunked}1;${'x'.repeat(2000)}`, /too large/],
	['endless trailers', `${chunked}0\r\n${'X: y\r\n'.repeat(4000)}`, /too large/],
	['an endless status line', `HTTP/1.1 200 ${'x'.repeat(70_000)}`, /too large/],
	['endless headers', `${ok}\r\n${'X: y\r\n'.repeat(20_000)}`, /too large/],
	['endless interim answers', head('HTTP/1.1 100 Continue').repeat(20), /without end/],
	['an end in the middle of the head', `${ok}\r\nX: `, /closed in the middle/],
	['an end in the middle of the length', `${head(ok, 'Content-Length: 3')}ab`, /closed in the middle/],
	['an end in the middle of a chunk', `${chunked}3\r\nab`, /closed in the middle/],
	['an end before the last chunk', `${chunked}3\r\nabc\r\n`, /closed in the middle/],
	['an end before a length of 2^53', `${head(ok, `Content-Length: ${2 ** 53}`)}abc`, /closed in the middle/],
	[
		'an end before a length of 10^18',
		`${head(ok, `Content-Length: 1${'0'.repeat(18)}`)}abc`,
		/closed in the middle/,
	],
	['an end in the last chunk', `${chunked}3\r\nabc\r\n0`, /closed in the middle/],
];

for (const [words, answer, says] of refused) {
	test(`an answer with ${words} is refused`, () => {
		const {error, isDone} = parse([answer]);
		assert.match(error ?? 'not refused', says);
		assert.equal(isDone, false);
	});
}

/** What curl reads as well. No other request follows on the connection: another reader may see another end. */
const irregular: Array<
	[words: string, start: string, lineEnd: string, header?: [name: string, value: string]]
> = [
	['lines that end with LF alone', 'HTTP/1.1 200 OK\nX: a\n', '\n', ['x', 'a']],
	['lines that end with two carriage returns', `${ok}\r\r\nX: a\r\r\n`, '\r\r\n', ['x', 'a']],
	['a folded line', `${ok}\r\nX: a;\r\n\t b\r\n`, '\r\n', ['x', 'a; b']],
	['several folded lines', `${ok}\r\nX:\r\n a\r\n \r\n  b \r\n`, '\r\n', ['x', 'a b']],
	['a folded line before all fields', `${ok}\r\n a\r\nX: b\r\n`, '\r\n', ['x', 'b']],
	['a line of a colon alone', `${ok}\r\nX: a\r\n : \r\n`, '\r\n', ['x', 'a']],
	['a field without a name', `${ok}\r\nX: a\r\n: b\r\n`, '\r\n', ['x', 'a']],
	['a line without a colon', `${ok}\r\nX: a\r\nnonsense\r\n b\r\n`, '\r\n', ['x', 'a']],
	['white space before a colon', `${ok}\r\nX \t: a\r\n`, '\r\n', ['x', 'a']],
	['white space in a name', `${ok}\r\nX: a\r\nX Y: b\r\n`, '\r\n', ['x', 'a']],
	['control characters in a value', `${ok}\r\nX: \x01a\x1Bb\x7F\r\n`, '\r\n', ['x', 'a b']],
	['a carriage return in a value', `${ok}\r\nX: a\rY: b\r\n`, '\r\n', ['x', 'a Y: b']],
	['an empty line before it', `\r\n${ok}\r\n`, '\r\n'],
	['HTTP/1.0', 'HTTP/1.0 200 OK\r\n', '\r\n'],
	['HTTP/2', 'HTTP/2 200 OK\r\n', '\r\n'],
	['a version in lower case', 'http/1.0 200 OK\r\n', '\r\n'],
	['white space in its status line', 'HTTP/1.0 \t 200  OK\x01\r\n', '\r\n'],
	['no space before its reason', 'HTTP/1.0 200OK\r\n', '\r\n'],
	['ICY in place of HTTP', 'ICY 200 OK\r\n', '\r\n'],
];

for (const [words, start, lineEnd, header] of irregular) {
	test(`an answer with ${words} is read, and its connection not used again`, () => {
		for (const [framing, body] of [
			['Content-Length: 3', 'abc'],
			['Transfer-Encoding: chunked', '3\r\nabc\r\n0\r\n\r\n'],
		]) {
			const parsed = parse([`${start}${framing}${lineEnd}${lineEnd}${body}`]);
			assert.deepEqual(
				[parsed.error, parsed.status, parsed.body, parsed.endIsProven, parsed.isKeepAlive],
				[undefined, 200, 'abc', true, false],
			);
			if (header) {
				assert.deepEqual(parsed.headers[0], header);
			}
		}
	});
}

for (const [words, chunks] of [
	['white space after a size', '3  \r\nabc\r\n0 \r\n\r\n'],
	['white space before a size', ' 3\r\nabc\r\n0\r\n\r\n'],
	['zeros before a size', `${'0'.repeat(40)}3\r\nabc\r\n000\r\n\r\n`],
	['words after a size', '3 x\r\nabc\r\n0 ;y\x01\r\n\r\n'],
	['lines that end with LF alone', '3\nabc\n0\n\n'],
	['trailers that are missing', '3\r\nabc\r\n0\r\n'],
	['trailers that are cut', '3\r\nabc\r\n0\r\nX: y'],
	['trailers that are no fields', '3\r\nabc\r\n0\r\nnonsense\r\n x\r\n\r\n'],
] as const) {
	test(`chunks with ${words} are read`, () => {
		const {error, body, endIsProven} = parse([chunked + chunks]);
		assert.deepEqual([error, body, endIsProven], [undefined, 'abc', true]);
	});
}

for (const coding of ['identity', 'none', 'binary', '', 'Identity, ']) {
	test(`Transfer-Encoding: ${coding} is none`, () => {
		const parsed = parse([`${head(ok, `Transfer-Encoding: ${coding}`, 'Content-Length: 3')}abc`]);
		assert.deepEqual(
			[parsed.error, parsed.body, parsed.headers],
			[undefined, 'abc', [['content-length', '3']]],
		);
	});
}

for (const coding of ['chunked, chunked', 'identity, chunked', 'chunked, identity', 'Chunked;q=1']) {
	test(`Transfer-Encoding: ${coding} is chunked`, () => {
		const parsed = parse([`${head(ok, `Transfer-Encoding: ${coding}`)}3\r\nabc\r\n0\r\n\r\n`]);
		assert.deepEqual(
			[parsed.error, parsed.body, parsed.headers],
			[undefined, 'abc', [['transfer-encoding', 'chunked']]],
		);
	});
}

for (const length of [2 ** 50, Number.MAX_SAFE_INTEGER]) {
	test(`Content-Length: ${length} is a length, also after zeros`, () => {
		for (const text of [`${length}`, `00000${length}, ${length}`]) {
			const {headers} = parse([head(ok, `Content-Length: ${text}`)]);
			assert.deepEqual(headers, [['content-length', `${length}`]]);
		}
	});
}

for (const lines of [
	['Content-Length: 2', 'Content-Length: 3'],
	['Content-Length: 3', 'Content-Length: 2'],
	['Content-Length: 3, 4'],
	['Content-Length: +3'],
	['Content-Length: -3'],
	['Content-Length: 0x3'],
	['Content-Length: 1.000'],
	['Content-Length: 3 bytes'],
	['Content-Length: "3"'],
	['Content-Length:'],
	['Content-Length: 2', ' 3'],
	[`Content-Length: ${'9'.repeat(20)}`],
]) {
	test(`${lines.join(' | ')} is no length: the body goes on to the end of the connection, which proves nothing`, () => {
		const parsed = parse([`${head(ok, ...lines)}abc`]);
		assert.deepEqual(
			[parsed.error, parsed.body, parsed.endIsProven, parsed.isKeepAlive, parsed.headers],
			[undefined, 'abc', false, false, []],
		);
	});
}

for (const [length, endIsProven] of [
	['3', true],
	['03, 3', true],
	['2', false],
	['4', false],
	['2, 3', false],
	['three', false],
] as const) {
	test(`chunks of 3 bytes beside Content-Length: ${length} are read, and ${endIsProven ? 'proven' : 'not believed'}`, () => {
		const start = head(ok, `Content-Length: ${length}`, 'Transfer-Encoding: chunked');
		const parser = new ResponseParser();
		parser.push(Buffer.from(`${start}3\r\nabc\r\n`));
		assert.equal(parser.endIsProven, false);
		parser.push(Buffer.from('0\r\n\r\n'));
		assert.deepEqual([parser.isDone, parser.endIsProven, parser.isKeepAlive], [true, endIsProven, false]);
		assert.deepEqual([...parser.head!.headers], [['transfer-encoding', 'chunked']]);
	});
}

test('fields that come several times with one value have it once', () => {
	const {headers} = parse([head(ok, 'ETag: "a"', 'X: 1', 'etag: "a"', 'X: 2', 'Content-Length: 0')]);
	assert.deepEqual(headers, [
		['etag', '"a"'],
		['x', '1, 2'],
		['content-length', '0'],
	]);
});

test('a value that ends with a byte of UTF-8 that Latin-1 takes for a space keeps it', () => {
	const {headers} = parse([
		head(ok, `X: ${Buffer.from('voilà').toString('latin1')} \t`, 'Content-Length: 0'),
	]);
	assert.equal(Buffer.from(headers[0]![1], 'latin1').toString(), 'voilà');
});

test('a value of white space without end takes no time', () => {
	const {headers} = parse([head(ok, `X: a${' '.repeat(60_000)}b`, `Y : ${'\t'.repeat(2000)}`)]);
	assert.deepEqual(headers[1], ['y', '']);
});

test('however an answer comes in pieces, the same is read of it', () => {
	const snippet = fc.constantFrom(
		...['HTTP/1.1 200 OK\r\n', 'HTTP/1.0 206 x\r\n', 'HTTP/1.1 100 \r\n', 'Content-Length: 5\r\n', '\r\n'],
		...[
			'Transfer-Encoding: chunked\r\n',
			'X: y\r\n',
			' folded\r\n',
			'Connection: close\r\n',
			'\n',
			'\r',
			'\0',
		],
		...['5\r\nhello\r\n', '3;a=b\r\nabc\r\n', '0\r\n\r\n', '0\r\nX: y\r\n\r\n', 'hello', 'x'.repeat(300)],
	);
	const made = fc.array(snippet, {maxLength: 12}).map(parts => parts.join(''));
	const wellMade = fc
		.array(fc.string({minLength: 1, maxLength: 40}).map(text => Buffer.from(text).toString('latin1')))
		.map(chunks => {
			const body = chunks.map(chunk => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
			return `${chunked}${body}0\r\n\r\n`;
		});
	const answer = fc.oneof(
		made,
		wellMade,
		fc.constantFrom(
			...answers.map(([, text]) => text),
			...refused.map(([, text]) => text),
			...irregular.map(([, start, lineEnd]) => `${start}Content-Length: 3${lineEnd}${lineEnd}abc`),
		),
	);
	const cuts = fc.array(fc.nat(400), {maxLength: 30});
	fc.assert(
		fc.property(answer, cuts, (text, places) => {
			const ends = [...places.filter(place => place < text.length), text.length].toSorted((a, b) => a - b);
			const pieces = ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end));
			const [whole, inPieces] = [parse([text]), parse(pieces)];
			// Of an answer that is refused, what came before the fault may have been taken or not.
			assert.deepEqual({...inPieces, body: ''}, {...whole, body: ''});
			assert.ok(inPieces.body.startsWith(whole.body));
			if (whole.error === undefined) {
				assert.equal(inPieces.body, whole.body);
			}
		}),
		{numRuns: 3000, interruptAfterTimeLimit: 4000, markInterruptAsFailure: false},
	);
});
