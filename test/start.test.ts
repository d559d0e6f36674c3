// What the program loads at its start: each module of Node costs milliseconds.
import assert from 'node:assert/strict';
import {readFile} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {tlsAfterMs} from '../source/host/engine-host.ts';
import {builtCli, CliProcess} from './support/cli.ts';
import {collectionOf} from './support/collections.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {TestTerminal} from './support/terminal.ts';

/** Arguments of Node that store its loaded modules at the exit, and a function that reads them. */
async function recordingModules(t: TestContext) {
	const file = path.join(await temporaryFolder(t), 'modules');
	// A busy machine needs longer for a `get` than the preparation of TLS waits: it never gets here.
	const code = `
		import {writeFileSync} from 'node:fs';
		const {setTimeout} = globalThis;
		globalThis.setTimeout = (call, ms, ...rest) => setTimeout(call, ms === ${tlsAfterMs} ? 2 ** 31 - 1 : ms, ...rest);
		process.on('exit', () => writeFileSync(${JSON.stringify(file)}, process.moduleLoadList.join('\\n')));`;
	return {
		args: ['--import', `data:text/javascript,${encodeURIComponent(code)}`],
		read: async () => (await readFile(file, 'utf8')).split('\n').map(line => line.split(' ').at(-1)!),
	};
}

test('get of an http URL loads neither TLS nor fetch', async t => {
	const origin = await startOrigin(t, {size: 1});
	const folder = await temporaryFolder(t);
	const modules = await recordingModules(t);
	const command = [
		'get',
		origin.url,
		'-o',
		path.join(folder, 'out'),
		'--storage',
		path.join(folder, 'store'),
	];
	const run = await CliProcess.start(t, command, {nodeArgs: modules.args});
	assert.equal(await run.exit(), 0, run.stderr);
	const loaded = await modules.read();
	assert.ok(loaded.includes('http'));
	assert.deepEqual(
		loaded.filter(name => ['tls', 'https', 'assert', 'internal/deps/undici/undici'].includes(name)),
		[],
	);
});

test('the first frame of a list loads no fetch', async t => {
	const storage = await collectionOf(t, 2);
	const modules = await recordingModules(t);
	const command = [process.execPath, ...modules.args, await builtCli(), '--port', '0', '--storage', storage];
	const terminal = TestTerminal.run(t, command, {columns: 120, rows: 40});
	await terminal.shows(/film-number-1/);
	terminal.press('q');
	await terminal.exit();
	assert.ok(!(await modules.read()).includes('internal/deps/undici/undici'));
});
