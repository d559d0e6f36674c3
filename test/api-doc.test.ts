// The control API's document: each documented request is sent to a running instance, and the response must match.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import http, {type IncomingMessage} from 'node:http';
import path from 'node:path';
import {test} from 'node:test';
import {text} from 'node:stream/consumers';
import {routes, type SnapshotChanges} from '../source/proxy/control-api.ts';
import {addRequest, downloadChange, exportRequest} from '../source/schema.ts';
import {CliProcess} from './support/cli.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';

const document = readFileSync(path.join(import.meta.dirname, '../docs/api.md'), 'utf8');

/** Requires the documented types, with any values. */
const varying = new Set(['version', 'freeBytes', 'addedAt', 'queueRank', 'folder']);

type Block = {
	readonly first: string;
	readonly headers: Array<[name: string, value: string]>;
	readonly body: string;
};

/** The document's HTTP blocks in order, with the places to wait. */
const blocks = Array.from(
	document.matchAll(/```http\n(.*?)```|<!-- (until complete) -->/gs),
	([, block, wait]) => (block === undefined ? wait! : block),
);

function parseBlock(block: string): Block {
	const [head = '', ...body] = block.split('\n\n');
	const [first = '', ...lines] = head.trim().split('\n');
	const headers = lines.map(line => /^([^:]+): (.*)$/.exec(line)!.slice(1) as [string, string]);
	return {first, headers, body: body.join('\n\n').trim()};
}

/** JSON in which `…` stands for further fields. */
function assertJson(actual: unknown, shown: string): void {
	compare(actual, JSON.parse(shown.replaceAll(/,\s*…\s*}/g, ', "…": true}')), 'the answer');
}

function compare(actual: unknown, shown: unknown, where: string): void {
	if (Array.isArray(shown)) {
		assert.ok(Array.isArray(actual) && actual.length === shown.length, `${where}: ${JSON.stringify(actual)}`);
		for (const [index, each] of shown.entries()) {
			compare(actual[index], each, `${where}[${index}]`);
		}
	} else if (typeof shown === 'object' && shown !== null) {
		const {'…': isPart, ...fields} = shown as Record<string, unknown>;
		const found = actual as Record<string, unknown>;
		if (!isPart) {
			assert.deepEqual(Object.keys(found).toSorted(), Object.keys(fields).toSorted(), where);
		}

		for (const [name, value] of Object.entries(fields)) {
			if (varying.has(name)) {
				assert.equal(typeof found[name], typeof value, `${where}.${name}`);
			} else {
				compare(found[name], value, `${where}.${name}`);
			}
		}
	} else {
		assert.equal(actual, shown, where);
	}
}

function parseEvent(event: string): {name: string; data: string} {
	const [, name = '', data = ''] = /^event: (.*)\ndata: (.*)$/s.exec(event.trim()) ?? [];
	return {name, data};
}

async function* eventsOf(response: IncomingMessage): AsyncGenerator<string, undefined> {
	let rest = '';
	for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
		const events = (rest + chunk).split('\n\n');
		rest = events.pop() ?? '';
		yield* events;
	}

	return undefined;
}

test('each documented request gets the documented response', async t => {
	const origin = await startOrigin(t, {
		size: 1_000_000,
		etag: '"5f3a"',
		headers: {'content-type': 'video/x-matroska'},
	});
	const films = await temporaryFolder(t);
	const storage = path.join(await temporaryFolder(t), 'storage');
	const flags = ['--json', '--port', '0', '--storage', storage, '--proxy', 'direct'];
	const copy = await CliProcess.start(t, ['serve', ...flags]);
	const {url: proxy, key} = (await copy.event('ready')) as unknown as {url: string; key: string};
	let id = 'ID';
	let events: AsyncGenerator<string, undefined> | undefined;
	/** The document's placeholder names map to these. */
	const real = (shown: string) =>
		shown
			.replaceAll('http://127.0.0.1:8080', proxy)
			.replaceAll('https://example.com', origin.urlOf(''))
			.replaceAll(encodeURIComponent('https://example.com'), encodeURIComponent(origin.urlOf('')))
			.replaceAll('/home/me/Films', films)
			.replaceAll(/\bKEY\b/g, key)
			.replaceAll(/\bID\b/g, id);
	const send = async ({first, headers, body}: Block): Promise<IncomingMessage> => {
		const [method, target] = first.split(' ');
		const request = http.request(proxy + target, {method, headers: Object.fromEntries(headers)});
		request.end(body === '' ? undefined : body);
		const [response] = (await once(request, 'response')) as [IncomingMessage];
		return response;
	};

	for (let index = 0; index < blocks.length; index++) {
		const block = blocks[index]!;
		if (block === 'until complete') {
			await copy.event('exported');
			continue;
		}

		if (block.startsWith('event:')) {
			// It arrives with the next documented change.
			const request = parseBlock(real(blocks[index + 1]!));
			(await send(request)).resume();
			let {name, data} = parseEvent((await events!.next()).value!);
			while ((JSON.parse(data) as SnapshotChanges).changed.length === 0) {
				// Another program has written to the disk.
				({name, data} = parseEvent((await events!.next()).value!));
			}

			assert.equal(name, parseEvent(block).name);
			assertJson(JSON.parse(data), real(parseEvent(block).data));
			continue;
		}

		const request = parseBlock(real(block));
		const response = await send(request);
		const shown = blocks[++index]!;
		const isEvents = response.headers['content-type'] === 'text/event-stream';
		events = isEvents ? eventsOf(response) : events;
		const body = isEvents ? (await events!.next()).value! : await text(response);
		if (response.statusCode === 201) {
			({id} = JSON.parse(body) as {id: string});
		}

		const expected = parseBlock(real(shown));
		const what = `${request.first}: ${body}`;
		assert.equal(`${response.statusCode} ${response.statusMessage}`, expected.first, what);
		for (const [name, value] of expected.headers) {
			const actual = response.headers[name.toLowerCase()];
			const isVersion = name === 'Downstream-Version';
			assert.equal(isVersion ? /^\d+$/.test(String(actual)) : actual, isVersion || value, what);
		}

		if (isEvents) {
			assert.equal(parseEvent(body).name, parseEvent(expected.body).name);
			assertJson(JSON.parse(parseEvent(body).data), parseEvent(expected.body).data);
		} else if (response.headers['content-type']?.endsWith('json')) {
			assertJson(JSON.parse(body), expected.body);
		} else if (request.first.includes('playlist')) {
			assert.equal(body.trim(), expected.body);
		}
	}
});

test('the document covers every route, and every field of their bodies', () => {
	for (const [route, methods] of routes) {
		for (const method of Object.keys(methods)) {
			const line = `\n${method} /api${route.replace('*', 'ID')}`;
			assert.ok(
				blocks.some(block => `\n${block}`.startsWith(line)),
				`${line.trim()} is not documented`,
			);
		}
	}

	for (const field of [addRequest, downloadChange, exportRequest].flatMap(({fields}) =>
		Object.keys(fields),
	)) {
		assert.ok(document.includes(`\`${field}\``), `${field} is not documented`);
	}
});
