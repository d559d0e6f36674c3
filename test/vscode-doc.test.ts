// The files in docs/vscode.md are valid, and work as far as a test without VS Code can check.
import assert from 'node:assert/strict';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import net, {type AddressInfo} from 'node:net';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {checkArguments, checkOperands, commandOf} from '../source/cli/arguments.ts';
import {commandWords} from '../source/requests/shell-words.ts';
import {CliProcess} from './support/cli.ts';
import {atEnd} from './support/cleanup.ts';
import {firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {startChromium} from './support/chromium.ts';
import {missing} from './support/programs.ts';

const document = readFileSync(path.join(import.meta.dirname, '../docs/vscode.md'), 'utf8');
const blocks = (language: string) =>
	Array.from(document.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs')), ([, block]) => block!);

type Task = {
	readonly label: string;
	readonly command: string;
	readonly problemMatcher:
		| []
		| {
				readonly pattern: {readonly regexp: string};
				readonly background: {readonly beginsPattern: string; readonly endsPattern: string};
		  };
};
const {tasks, inputs} = JSON.parse(blocks('json')[0]!) as {tasks: Task[]; inputs: Array<{id: string}>};

/** An instance with the command line of the document's example. */
async function startServe(t: TestContext, ...args: string[]): Promise<CliProcess> {
	const storage = path.join(await temporaryFolder(t), 'storage');
	return CliProcess.start(t, ['serve', '--port', '0', '--proxy', 'direct', '--storage', storage, ...args]);
}

test('every command line of the document is accepted', () => {
	const lines = [
		...tasks.map(({command}) => command),
		...blocks('sh').flatMap(block => block.trim().split('\n')),
	];
	for (const line of lines) {
		const [program, ...words] = commandWords(line.replace(/\$\{input:(\w+)\}/, 'https://example.com/$1'))!;
		assert.equal(program, 'downstream-tui', line);
		assert.doesNotThrow(() => checkArguments(words), line);
		const [command, ...operands] = words.filter(word => !word.startsWith('-'));
		if (command !== undefined && !words.includes('--allow-origin')) {
			assert.doesNotThrow(() => checkOperands(commandOf(command), operands), line);
		}
	}

	const asked = Array.from(blocks('json')[0]!.matchAll(/\$\{input:(\w+)\}/g), ([, id]) => id);
	assert.deepEqual(
		asked,
		inputs.map(({id}) => id),
	);
	assert.doesNotThrow(() => JSON.parse(blocks('json')[1]!) as unknown);
});

test('the task in the background is ready at its first line, and its errors are problems', async t => {
	const {problemMatcher} = tasks.find(({command}) => command.endsWith(' serve'))!;
	assert.ok(!Array.isArray(problemMatcher));
	const {pattern, background} = problemMatcher;
	const serve = await startServe(t);
	while (!serve.stdout.includes('\n')) {
		await once(serve.child.stdout, 'data');
	}

	const [first = ''] = serve.stdout.split('\n');
	assert.match(first, new RegExp(background.endsPattern));
	assert.doesNotMatch(first, new RegExp(background.beginsPattern));
	assert.doesNotMatch(first, new RegExp(pattern.regexp));

	const failing = await startServe(t, '--connections', '99');
	assert.equal(await failing.exit(), 2);
	assert.match(failing.stderr.trim(), new RegExp(pattern.regexp));
});

test('a stream plays at a forwarded port with another number', async t => {
	const size = 1_000_000;
	const origin = await startOrigin(t, {size, etag: '"1"'});
	const serve = await startServe(t, '--json', origin.url);
	const {streamUrl} = await serve.event('added');
	const stream = new URL(String(streamUrl));
	const port = Number(stream.port);
	const sockets = new Set<net.Socket>();
	const tunnel = net.createServer(socket => {
		const forwarded = net.connect(port, '127.0.0.1');
		for (const end of [socket, forwarded]) {
			sockets.add(end);
			end.on('error', () => undefined);
		}

		socket.pipe(forwarded).pipe(socket);
	});
	await once(tunnel.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => {
		tunnel.close();
		sockets.forEach(socket => socket.destroy());
	});
	stream.port = String((tunnel.address() as AddressInfo).port);
	for (const host of ['127.0.0.1', 'localhost']) {
		stream.hostname = host;
		const response = await fetch(stream, {headers: {range: 'bytes=500000-'}});
		assert.equal(response.status, 206);
		assert.equal(firstWrongByte(new Uint8Array(await response.arrayBuffer()), 500_000), -1);
	}
});

test('the origin of a webview may be allowed, and another webview is refused', async t => {
	const [line] = blocks('sh');
	const [, webview] = /--allow-origin (\S+)/.exec(line!)!;
	const origin = await startOrigin(t, {size: 1000});
	const serve = await startServe(t, '--json', '--allow-origin', webview!, origin.url);
	const {streamUrl} = await serve.event('added');
	const from = (page: string) =>
		fetch(String(streamUrl), {headers: {origin: page, 'sec-fetch-site': 'cross-site'}});
	const allowed = await from(webview!);
	assert.deepEqual([allowed.status, allowed.headers.get('access-control-allow-origin')], [200, webview]);
	assert.equal((await from(`${webview}x`)).status, 403);
});

test(
	'an allowed page follows the events with the view key in the URL',
	{skip: missing('chromium')},
	async t => {
		const page = await startOrigin(t, {size: 10, headers: {'content-type': 'text/html'}});
		const serve = await startServe(
			t,
			'--json',
			'--allow-origin',
			new URL(page.url).origin,
			page.urlOf('/film'),
		);
		const {url, viewKey} = await serve.event('ready');
		await serve.event('added');
		const tab = await (await startChromium(t)).newPage();
		await tab.goto(page.urlOf('/index.html'));
		const name = await tab.evaluate(
			address =>
				new Promise(resolve => {
					const events = new EventSource(address);
					events.addEventListener('snapshot', event => {
						const {data} = event as MessageEvent;
						const {downloads} = JSON.parse(String(data)) as {downloads: Array<{name: string}>};
						resolve(downloads.map(download => download.name));
					});
				}),
			`${String(url)}/api/events?key=${String(viewKey)}`,
		);
		assert.deepEqual(name, ['film']);
	},
);
