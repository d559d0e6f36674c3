import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {AnswerParser} from '../source/engine/answer-parser.ts';

const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n\r\n`;

/** What comes of an answer that arrives in these pieces and ends by closing. */
function parse(pieces: Iterable<string | Uint8Array>) {
	const parser = new AnswerParser();
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

	const {head, isDone, leavesConnectionUsable} = parser;
	return {
		status: head?.status,
		headers: [...(head?.headers ?? [])],
		body: Buffer.concat(body).toString('latin1'),
		isDone,
		leavesConnectionUsable,
		error,
	};
}

const answers: Array<[words: string, answer: string, status: number, body: string, usable: boolean]> = [
	['a length', `${head('HTTP/1.1 200 OK', 'Content-Length: 3')}abc`, 200, 'abc', true],
	['a length that is said twice', `${head('HTTP/1.1 200 OK', 'Content-Length: 3, 3')}abc`, 200, 'abc', true],
	['no body', head('HTTP/1.1 204 No Content'), 204, '', true],
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
			[parsed.error, parsed.status, parsed.body, parsed.leavesConnectionUsable],
			[undefined, status, body, usable],
		);
	});
}

const ok = 'HTTP/1.1 200 OK';
const chunked = head(ok, 'Transfer-Encoding: chunked');
const refused: Array<[words: string, answer: string, says: RegExp]> = [
	['another protocol', 'SSH-2.0-OpenSSH\r\n', /no status line/],
	['HTTP/2', head('HTTP/2 200 OK'), /no status line/],
	['a status of two digits', head('HTTP/1.1 20 OK'), /no status line/],
	['101', head('HTTP/1.1 101 Switching Protocols'), /another protocol/],
	['a line without its carriage return', 'HTTP/1.1 200 OK\n', /carriage return/],
	['a carriage return in a line', head(ok, 'X: a\rb'), /no field/],
	['a folded line', head(ok, 'X: a', ' b'), /no field/],
	['white space before the colon', head(ok, 'Content-Length : 3'), /no field/],
	['NUL in a value', head(ok, 'X: \0'), /no field/],
	['two different lengths', head(ok, 'Content-Length: 3', 'Content-Length: 4'), /length that is none/],
	['a length with a sign', head(ok, 'Content-Length: +3'), /length that is none/],
	['a length in hex', head(ok, 'Content-Length: 0x3'), /length that is none/],
	['length and chunks', head(ok, 'Content-Length: 3', 'Transfer-Encoding: chunked'), /not clear/],
	['chunks in HTTP/1.0', head('HTTP/1.0 200 OK', 'Transfer-Encoding: chunked'), /not clear/],
	['chunks twice', head(ok, 'Transfer-Encoding: chunked, chunked'), /not clear/],
	['another coding', head(ok, 'Transfer-Encoding: gzip'), /not clear/],
	['a chunk without a size', `${chunked}\r\n`, /chunk without a size/],
	['a chunk with a negative size', `${chunked}-1\r\n`, /chunk without a size/],
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
	['an end in the trailers', `${chunked}0\r\n`, /closed in the middle/],
];

for (const [words, answer, says] of refused) {
	test(`an answer with ${words} is refused`, () => {
		const {error, isDone} = parse([answer]);
		assert.match(error ?? 'not refused', says);
		assert.equal(isDone, false);
	});
}

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
		fc.constantFrom(...answers.map(([, text]) => text), ...refused.map(([, text]) => text)),
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
