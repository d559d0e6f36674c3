import assert from 'node:assert/strict';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {Readable} from 'node:stream';
import {test} from 'node:test';
import {parsePastedCommand} from '../source/requests/pasted-command.ts';
import {DownStreamError} from '../source/downstream.ts';
import {addAll} from '../source/requests/add-requests.ts';
import {checkUrls, decodeText, expandUrls, urlsIn} from '../source/requests/url-lists.ts';
import {temporaryFolder} from './support/engines.ts';
import {MemoryDownStream} from './support/memory-downstream.ts';

const text = '# Filme\r\nhttp://a/ä\r\n\r\n http://b/\r\n';
const urls = ['http://a/ä', 'http://b/'];
const bigEndian = (of: string) => Buffer.from(of, 'utf16le').swap16();

for (const [what, bytes] of [
	['UTF-8', Buffer.from(text)],
	['UTF-8 with a byte order mark', Buffer.from(`\uFEFF${text}`)],
	['UTF-16 LE with a byte order mark', Buffer.from(`\uFEFF${text}`, 'utf16le')],
	['UTF-16 BE with a byte order mark', bigEndian(`\uFEFF${text}`)],
	['UTF-16 LE', Buffer.from(text, 'utf16le')],
	['UTF-16 BE', bigEndian(text)],
] as const) {
	test(`a list in ${what}, as a file and on standard input`, async t => {
		const file = path.join(await temporaryFolder(t), 'list');
		await writeFile(file, bytes);
		assert.deepEqual(await expandUrls([`@${file}`]), urls);
		const input = Readable.from([bytes.subarray(0, 3), bytes.subarray(3)]) as NodeJS.ReadStream;
		assert.deepEqual(await expandUrls(['-', '-'], input), urls);
	});
}

test('a list may have any number of lines, up to 64 MiB', async () => {
	const input = (lines: number) => Readable.from([Buffer.from('http://a/\n'.repeat(lines))]);
	assert.equal((await expandUrls(['-'], input(300_000))).length, 300_000);
	await assert.rejects(expandUrls(['-'], input(7_000_000)), {
		code: 'bad-request',
		message: 'Standard input: larger than 64 MiB, so not a list of URLs',
	});
});

test('errors name the lines of a list', async () => {
	const places = new Map<string, string>();
	const list = "# Films\n\nhttp://a/\n  out=x\nftp://b/\ncurl 'c' \\\n  'ftp://d/'\nftp://e/\n";
	const words = await expandUrls(['-'], Readable.from([Buffer.from(list)]), places);
	const errors: string[] = [];
	const requestsOf = async (url: string) => [{url}];
	const engine = new MemoryDownStream();
	engine.add = async ({url}) => {
		throw new DownStreamError('bad-request', `refused ${url.length}`);
	};
	await addAll(engine, words, requestsOf, ({message}) => errors.push(message), places);
	assert.deepEqual(
		errors.map(message => message.replace(/: refused.*/s, '')),
		[3, 5, 6, 8].map((line, index) => {
			const shown = index % 2 === 0 ? '' : `: ${words[index]}`;
			return `Standard input, line ${line}${shown}`;
		}),
	);
	assert.throws(() => checkUrls(['film'], new Map([['film', '@list, line 7']])), {
		message: /^@list, line 7: "film" is not a URL/,
	});
});

test('an empty list is empty', () => {
	assert.deepEqual(urlsIn(decodeText(Buffer.alloc(0))), []);
});

test('indented options belong to the URL above, as in the input files of aria2', () => {
	const [first, second, third] = urlsIn(
		[
			"http://a/it's",
			'  out=a b.mkv',
			'\theader=Cookie: a=b',
			'  header=X: 1',
			'http://b/',
			' http://c/',
		].join('\n'),
	);
	const command = parsePastedCommand(first!);
	assert.deepEqual(command?.urls, ["http://a/it's"]);
	assert.deepEqual(command?.headers, ['Cookie: a=b', 'X: 1']);
	assert.equal(command?.name, 'a b.mkv');
	assert.deepEqual([second, third], ['http://b/', 'http://c/']);
});

test('an unknown option of aria2 refuses its URL', () => {
	const [command] = urlsIn('http://a/\n load-cookies=x\n');
	assert.match(parsePastedCommand(command!)?.problem ?? '', /has --load-cookies/);
});

test('a command may span several lines, and a quote in a URL opens nothing', () => {
	const session = '$s = New-Object Microsoft.PowerShell.Commands.WebRequestSession';
	const powershell = `${session}\nInvoke-WebRequest -Uri "http://c/" \`\n-Headers @{\n"X"="1"\n}`;
	const posix = "curl 'http://b/' \\\n  -H 'X: 1' ;";
	const call = 'fetch("http://d/", {\n"method": "GET"\n});';
	const list = ["http://a/it's", posix, powershell, call, 'http://e/'];
	assert.deepEqual(urlsIn(list.join('\n')), list);
});
