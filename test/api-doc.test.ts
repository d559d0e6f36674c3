// The control API's document: each documented request is sent to a running instance, and the response must match.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import http, {type IncomingMessage} from 'node:http';
import path from 'node:path';
import {test} from 'node:test';
import {text} from 'node:stream/consumers';
import {promisify} from 'node:util';
import {routes} from '../source/proxy/control-api.ts';
import type {SnapshotChanges} from '../source/proxy/snapshot-changes.ts';
import {openApi} from '../source/proxy/openapi.ts';
import {Problem} from '../source/proxy/problem.ts';
import {
	addRequest,
	downloadChange,
	exportRequest,
	playerCommand,
	safeRequest,
	type JsonSchema,
} from '../source/schema.ts';
import {EventLines, readyLine} from '../source/cli/output/event-lines.ts';
import {DownStreamError, errorKinds, type Download, type ErrorCode} from '../source/downstream.ts';
import {blankDownload} from './support/blank-download.ts';
import {missing} from './support/programs.ts';
import {CliProcess, cleanEnvironment, type CliEvent} from './support/cli.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {assertFits, resolved} from './support/json-schema.ts';
import {open, startProxy} from './support/proxy-client.ts';

const document = readFileSync(path.join(import.meta.dirname, '../docs/api.md'), 'utf8');

/** Requires the documented types, with any values. */
const varying = new Set(['version', 'freeBytes', 'addedAt', 'queueRank', 'folder', 'at', 'socket']);

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

const lower = (word: string) => word.toLowerCase();

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

type Described = {
	readonly security: ReadonlyArray<Record<string, unknown>>;
	readonly requestBody?: {readonly content: Readonly<Record<string, {readonly schema: JsonSchema}>>};
	readonly responses: Readonly<Record<string, JsonSchema>>;
};
type Description = {readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>};

/** The description of a request; undefined if it has no such path or method. */
function describedBy({paths}: Description, method: string, target: string): Described | undefined {
	const path = target
		.replace(/\?.*/, '')
		.replace(/(?<=\/safe\/)\d+$/, '{n}')
		.replaceAll(/(?<=^\/stream\/[^/]+\/)[^/]+$/g, '{name}');
	return paths[path.replace(/(?<=^\/(?:api\/downloads|stream)\/)[^/]+/, '{id}')]?.[method.toLowerCase()];
}

/** Compares a request and its response with the description. */
function assertDescribed(
	description: Description,
	{first, body}: Block,
	response: {status: number; type: string; body: string},
): void {
	const [method = '', target = ''] = first.split(' ');
	const operation = describedBy(description, method, target);
	if (!operation) {
		assert.ok([404, 405].includes(response.status) || method === 'HEAD', `${first} is not described`);
		return;
	}

	const {status} = response;
	const succeeds = status < 300;
	const expected = resolved(description, operation.responses[succeeds ? status : 'default'] ?? {});
	assert.ok(expected.description, `${first}: the response ${status} is not described`);
	const request = operation.requestBody?.content['application/json'];
	if (succeeds && body !== '') {
		assert.ok(request, `${first}: the body is not described`);
		assertFits(description, request.schema, JSON.parse(body), 'the request');
	}

	const content = expected.content as Record<string, {schema: JsonSchema}> | undefined;
	if (response.type.endsWith('json')) {
		assertFits(description, content![response.type]!.schema, JSON.parse(response.body), 'the response');
	} else if (response.body !== '') {
		assert.ok(content?.[response.type] ?? content?.['*/*'], `${first}: ${response.type} is not described`);
	}
}

test('each documented request gets the documented and described response', async t => {
	const origin = await startOrigin(t, {
		size: 1_000_000,
		etag: '"5f3a"',
		headers: {'content-type': 'video/x-matroska'},
	});
	const films = await temporaryFolder(t);
	const storage = path.join(await temporaryFolder(t), 'storage');
	const flags = ['--json', '--port', '0', '--storage', storage, '--proxy', 'direct'];
	const copy = await CliProcess.start(t, ['serve', ...flags]);
	const ready = (await copy.event('ready')) as unknown as {url: string; key: string; viewKey: string};
	const {url: proxy, key, viewKey} = ready;
	const description = (await (await fetch(`${proxy}/api/openapi.json`)).json()) as Description;
	let id = 'ID';
	let events: AsyncGenerator<string, undefined> | undefined;
	/** The document's placeholder names map to these. */
	const real = (shown: string) =>
		shown
			.replaceAll('http://127.0.0.1:8080', proxy)
			.replaceAll('https://example.com', origin.urlOf(''))
			.replaceAll(encodeURIComponent('https://example.com'), encodeURIComponent(origin.urlOf('')))
			.replaceAll('/home/me/Films', films)
			.replaceAll('VIEW-KEY', viewKey)
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
			assertFits(description, {$ref: '#/components/schemas/SnapshotChanges'}, JSON.parse(data));
			assertJson(JSON.parse(data), real(parseEvent(block).data));
			continue;
		}

		const request = parseBlock(real(block));
		const response = await send(request);
		const shown = blocks[++index]!;
		const isEvents = response.headers['content-type'] === 'text/event-stream';
		events = isEvents ? eventsOf(response) : events;
		const body = isEvents ? (await events!.next()).value! : await text(response);
		if (response.headers.location !== undefined) {
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

		const type = response.headers['content-type']?.replace(/;.*/, '') ?? '';
		assertDescribed(description, request, {status: response.statusCode!, type, body});
		if (isEvents) {
			assertFits(description, {$ref: '#/components/schemas/Snapshot'}, JSON.parse(parseEvent(body).data));
			assert.equal(parseEvent(body).name, parseEvent(expected.body).name);
			assertJson(JSON.parse(parseEvent(body).data), parseEvent(expected.body).data);
		} else if (response.headers['content-type']?.endsWith('json')) {
			assertJson(JSON.parse(body), expected.body);
		} else if (request.first.includes('playlist')) {
			assert.equal(body.trim(), expected.body);
		}
	}

	for (const event of copy.events) {
		assertListed(event);
	}
});

/** The fields of the events of `serve --json`, from the table of the document. */
const eventFields = new Map(
	Array.from(
		/^## Events of `serve --json`$(.*?)^## /ms.exec(document)![1]!.matchAll(/^\| `([\w-]+)` +\|(.*?)\|/gm),
		([, event, fields]) => [event!, Array.from(fields!.matchAll(/`(\w+)`/g), ([, field]) => field!)],
	),
);

function assertListed({event, ...fields}: CliEvent): void {
	const expected = [
		...(['ready', 'notice'].includes(event) ? [] : ['id']),
		...(eventFields.get(event) ?? ['?']),
	];
	assert.deepEqual(Object.keys(fields).toSorted(), expected.toSorted(), event);
}

test('the document has every printed event with its fields', () => {
	const lines = new EventLines({json: true});
	const player = {id: 'p', name: 'mpv', offset: 0, ready: 0, readyMs: null, blocked: false, connected: true};
	const error = {code: 'origin-busy', message: 'm', at: 0} as const;
	const known: Download = {...blankDownload, size: 1000, status: 'active'};
	const film = {
		...{durationMs: 60_000, exact: true, indexBytes: 100, indexOffset: 0, tracks: [], playable: []},
		...{position: 0, watchTo: null, forecastRate: 1, stallAt: null, waitMs: 0, neededRate: 0},
	};
	const states: Download[] = [
		blankDownload,
		{...known, film},
		{...known, players: [player]},
		{...known, status: 'waiting', error, retryAt: 1},
		{...known, status: 'queued', hostCeiling: 1},
		{...known, present: 500},
		{...known, status: 'paused'},
		{...known, status: 'cancelled'},
		{...known, status: 'failed', error},
		{...known, status: 'complete', completedAt: 1, exportedTo: '/f'},
	];
	const snapshots = [...states.map(state => [state]), []].map(downloads => ({
		version: 1,
		downloads,
		bytesPerSecond: 0,
		limitRate: null,
		freeBytes: null,
		origin: '',
		banners: ['a sentence'],
	}));
	const printed = [
		readyLine({url: '', key: '', viewKey: '', storage: '', pid: 0}, {json: true, now: 0}),
		...snapshots.flatMap((snapshot, index) => lines.next(snapshot, index * 60_000)),
	].map(line => JSON.parse(line) as CliEvent);
	for (const event of printed) {
		assertListed(event);
	}

	assert.deepEqual(new Set(printed.map(({event}) => event)), new Set(eventFields.keys()));
});

test('the document has every status of a problem', () => {
	const table = /^## Problems$(.*)/ms.exec(document)![1]!;
	const errors = [
		...Object.keys(errorKinds).map(code => new DownStreamError(code as ErrorCode, 'A sentence.')),
		...[401, 403, 404, 410].map(status => new DownStreamError('origin-refused', 'A sentence.', {status})),
	];
	for (const error of errors) {
		const {status} = Problem.from(error);
		assert.match(table, new RegExp(`^\\| ${status} +\\|`, 'm'), `${error.code} ${error.status}`);
	}
});

test('the examples in sh and Python add a download', {skip: missing('curl', 'python3')}, async t => {
	const origin = await startOrigin(t, {size: 1000});
	const home = await temporaryFolder(t);
	const copy = await CliProcess.start(t, ['serve', '--json', '--port', '0', '--proxy', 'direct'], {
		env: {HOME: home},
	});
	const {url, storage} = (await copy.event('ready')) as unknown as {url: string; storage: string};
	assert.equal(storage, path.join(home, '.cache/downstream-tui'));
	for (const [language, program, flag] of [
		['sh', 'sh', '-c'],
		['python', 'python3', '-c'],
	] as const) {
		const [, example] = new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 's').exec(document)!;
		const text = example!
			.replaceAll('http://127.0.0.1:8080', url)
			.replaceAll('https://example.com', origin.urlOf(`/${language}`));
		const {stdout} = await promisify(execFile)(program, [flag, text], {env: cleanEnvironment({HOME: home})});
		assert.match(stdout, /\/stream\/[\da-f]{32}\/film\.mkv/);
	}

	const added = () => copy.events.filter(({event}) => event === 'added').map(({url}) => url);
	while (added().length < 2) {
		await new Promise(resolve => copy.child.stdout.once('data', resolve));
	}

	assert.deepEqual(
		added(),
		['/sh/film.mkv', '/python/film.mkv'].map(place => origin.urlOf(place)),
	);
});

test('the description has every supported request and its key', async t => {
	const {engine, proxy} = await startProxy(t);
	engine.file(1000);
	const description = openApi() as Description;
	for (const [route, methods] of routes) {
		const path = `/api${route.replace('*', '{id}').replace('*', '{n}')}`;
		assert.deepEqual(Object.keys(description.paths[path] ?? {}), Object.keys(methods).map(lower), path);
	}

	const keys = [
		['key', engine.key],
		['viewKey', engine.viewKey],
	] as const;
	for (const [path, methods] of Object.entries(description.paths)) {
		for (const [method, {security}] of Object.entries(methods)) {
			const status = async (key: string | undefined, inUrl = false) => {
				const target = path.replace('{id}', 'id1').replace('{name}', 'film.mkv').replace('{n}', '1');
				const query = inUrl ? `?key=${encodeURIComponent(key!)}` : '';
				const response = await open(proxy, target + query, {
					method: method.toUpperCase(),
					headers: key === undefined || inUrl ? {} : {authorization: `Bearer ${key}`},
				});
				response.destroy();
				return response.statusCode!;
			};
			const what = `${method} ${path}`;
			assert.equal((await status(undefined)) !== 401, security.length === 0, what);
			for (const [scheme, key] of keys) {
				const isEnough = security.length === 0 || security.some(each => scheme in each);
				assert.equal(![401, 403].includes(await status(key)), isEnough, `${what} by ${scheme}`);
			}

			const inUrl = security.length === 0 || security.some(each => 'keyInUrl' in each);
			assert.equal((await status(engine.key, true)) !== 401, inUrl, what);
		}
	}
});

test('the document covers every route, and every field of their bodies', () => {
	for (const [route, methods] of routes) {
		for (const method of Object.keys(methods)) {
			const line = `\n${method} /api${route.replace('*', 'ID').replace('*', '1')}`;
			assert.ok(
				blocks.some(block => `\n${block}`.startsWith(line)),
				`${line.trim()} is not documented`,
			);
		}
	}

	for (const field of [addRequest, downloadChange, exportRequest, playerCommand, safeRequest].flatMap(
		({fields}) => Object.keys(fields),
	)) {
		assert.ok(document.includes(`\`${field}\``), `${field} is not documented`);
	}
});
