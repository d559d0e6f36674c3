import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {cp, readdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import {promisify} from 'node:util';
import {errorKinds} from '../source/downstream.ts';
import {cleanEnvironment} from './support/cli.ts';
import {firstWrongByte} from './support/content.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {installPackage} from './support/installed-package.ts';
import {notFound} from './support/origin.ts';

const root = path.resolve(import.meta.dirname, '..');
const run = promisify(execFile);

/** Strings that survive minification and identify a package in a bundle. */
const dashboard = {
	React: 'react.transitional.element',
	Ink: 'ink-box',
	'the dashboard': 'Esc clears the filter',
	'the command line': 'Usage\n',
};

const libraryDocument = readFileSync(path.join(root, 'docs/library.md'), 'utf8');
/** Capitalized names that are not types. */
const other = new Set(['Infinity', 'Date', 'Authorization', 'Bearer', 'Symbol']);

function namesIn(text: string, pattern: RegExp): string[] {
	return Array.from(text.matchAll(pattern), ([, name]) => name!);
}

/** Type errors under the strictest options, of shipped types too. */
async function typeErrors(
	folder: string,
	files: readonly string[],
	types: readonly string[] = ['--types', 'node'],
): Promise<string> {
	const options = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--noEmit'];
	const target = ['--module', 'nodenext', '--target', 'es2023', ...types];
	const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
	const {stdout} = await run(process.execPath, [compiler, ...options, ...target, ...files], {
		cwd: folder,
	}).catch((error: {stdout: string}) => error);
	return stdout;
}

test('importing the library loads neither Ink nor React nor the dashboard', async t => {
	const folder = await installPackage(t);
	await writeFile(
		path.join(folder, 'hooks.mjs'),
		`import {writeSync} from 'node:fs';
export async function load(url, context, nextLoad) {
	writeSync(1, url + '\\n');
	return nextLoad(url, context);
}`,
	);
	await writeFile(
		path.join(folder, 'program.mjs'),
		`import {register} from 'node:module';
register('./hooks.mjs', import.meta.url);
await import('downstream-tui');`,
	);
	const textOf = async (files: ReadonlyArray<string | URL>) =>
		(await Promise.all(files.map(file => readFile(file, 'utf8')))).join('\n');
	const {stdout} = await run(process.execPath, ['program.mjs'], {cwd: folder});
	const loaded = stdout.split('\n').filter(line => line.startsWith('file:'));
	assert.ok(loaded.some(url => url.endsWith('/dist/index.js')));
	const library = await textOf(loaded.map(url => new URL(url)));
	for (const [what, word] of Object.entries(dashboard)) {
		assert.ok(!library.includes(word), `${what} is loaded`);
	}

	// Control: the files of the program contain these strings.
	const dist = path.join(folder, 'node_modules/downstream-tui/dist');
	const files = (await readdir(dist)).filter(file => file.endsWith('.cjs'));
	const program = await textOf(files.map(file => path.join(dist, file)));
	for (const word of [dashboard.React, dashboard.Ink, dashboard['the dashboard']]) {
		assert.ok(program.includes(word), `"${word}" is not in the program`);
	}
});

test('the shipped types compile alone under the strictest options', async t => {
	const folder = await installPackage(t);
	await writeFile(
		path.join(folder, 'program.ts'),
		`import {DownStream, DownStreamError, Logger, type DataSource} from 'downstream-tui';
const downstream: DownStream = await DownStream.init({proxyConfig: {type: 'socks5', host: 'a', port: 1}});
for await (const {fileName, totalSize, mimeType} of downstream.getFileStats('http://a/')) {
	const told: [string, number | null, string] = [fileName, totalSize, mimeType];
	console.log(told);
}
for await (const {progress} of downstream.progressStream) console.log(progress.toFixed());
const {name, exportedTo} = await downstream.whenComplete('http://a/', {signal: AbortSignal.timeout(1000)});
export const complete: [string, string | null] = [name, exportedTo];
for await (const {progress} of downstream.progress('http://a/')) console.log(progress.toFixed());
await downstream.cache('http://a/', {headers: {a: 'b'}, userAgent: 'a', proxy: {type: 'http', host: 'a', port: 1}});
export const scope = async () => {
	await using instance = await DownStream.init();
	return instance.origin;
};
// @ts-expect-error unknown option
await downstream.cache('http://a/', {chekcsum: 'a'});
export const open = (source: DataSource): Promise<string> => downstream.cache(source);
export const isFull = (error: unknown) => error instanceof DownStreamError && error.code === 'disk-full';
Logger.setEnabled(false);
// @ts-expect-error unknown type of proxy
await DownStream.init({proxyConfig: {type: 'ftp', host: 'a', port: 1}});
`,
	);
	assert.equal(await typeErrors(folder, ['program.ts']), '');
});

test('the types need no types of Node', async t => {
	const folder = await installPackage(t, {hasNodeTypes: false});
	const exports = await readFile(
		path.join(folder, 'node_modules/downstream-tui/dist/types/index.d.ts'),
		'utf8',
	);
	const files = ['program.ts'];
	await writeFile(
		path.join(folder, 'program.ts'),
		`import {DownStream, HttpDataSource} from 'downstream-tui';
import {checkDataSource} from 'downstream-tui/testing';
export const source = new HttpDataSource({url: 'http://a/', env: {}});
await using downstream = await DownStream.init();
export const url: string = await downstream.cache(source);
await checkDataSource({create: () => source, bytes: new Uint8Array(1)});
`,
	);
	assert.match(exports, /HttpDataSource/);
	assert.equal(await typeErrors(folder, files, []), '');
});

test('stack traces name the functions of the library, with a few lines of code at most', async t => {
	const folder = await installPackage(t);
	await writeFile(
		path.join(folder, 'program.mjs'),
		`import {DownStream} from 'downstream-tui';
const downstream = await DownStream.init({port: 0, storageDir: 'storage'});
await downstream.cache('ftp://a/b');
`,
	);
	await assert.rejects(
		run(process.execPath, ['program.mjs'], {cwd: folder}),
		({stderr}: {stderr: string}) => {
			assert.match(stderr, /^DownStreamError: "ftp" is not http or https$/m);
			assert.match(stderr, /^ {4}at (?:async )?_?DownStream\.cache \(file:.*:\d+:\d+\)$/m);
			assert.ok(stderr.length < 3000, stderr);
			return true;
		},
	);
});

test('every program in docs/library.md type-checks', async t => {
	const folder = await installPackage(t);
	const programs = Array.from(
		libraryDocument.matchAll(/```(?:ts|js)\n(.*?)```/gs),
		([, program]) => program!,
	);
	assert.ok(programs.length >= 6);
	const files = programs.map((_, index) => `program${index}.ts`);
	await Promise.all(files.map((file, index) => writeFile(path.join(folder, file), programs[index]!)));
	assert.equal(await typeErrors(folder, files), '');
});

test('docs/library.md names every export and nothing else', async t => {
	const folder = await installPackage(t);
	const types = (file: string) =>
		readFile(path.join(folder, 'node_modules/downstream-tui/dist/types', file), 'utf8');
	const [index, library, libraryTypes, testing, downstream, dataSource, httpSource, log] = await Promise.all(
		[
			'index.d.ts',
			'library.d.ts',
			'library/types.d.ts',
			'testing.d.ts',
			'downstream.d.ts',
			'engine/origin/data-source.d.ts',
			'engine/origin/http-source.d.ts',
			'log.d.ts',
		].map(types),
	);
	const exported = Array.from(index!.matchAll(/export (?:type )?\{(.*?)\}/gs), ([, names]) =>
		names!
			.split(',')
			.map(name => name.replace('type ', '').trim())
			.filter(Boolean),
	).flat();
	exported.push(...namesIn(testing!, /^export (?:declare )?(?:type|const|function) (\w+)/gm));
	assert.ok(exported.includes('checkDataSource') && exported.includes('DataSourceCheck'));
	const [, instance = ''] = /export declare class DownStream \{(.*)^\}/ms.exec(library!) ?? [];
	const verbs = namesIn(instance, /^ {4}(?:static |get )*(\w+)[(:]/gm).filter(name => name !== 'constructor');
	const logs = namesIn(log!, /^ {4}(?:readonly )?(\w+)[(:]/gm);
	const fields = [libraryTypes!, testing!, dataSource!, httpSource!].flatMap(text =>
		namesIn(text, /readonly (\w+)\??:/g),
	);
	assert.ok(verbs.includes('cache') && logs.includes('setEnabled') && fields.includes('proxyConfig'));

	const code = libraryDocument.replaceAll(/```.*?```/gs, '');
	const spoken = Array.from(code.matchAll(/`([^`\n]+)`/g), ([, words]) => words!).join('\n');
	const words = new Set(libraryDocument.match(/[\w-]+/g));
	for (const name of [...exported, ...verbs, ...logs, ...fields, ...Object.keys(errorKinds)]) {
		assert.ok(words.has(name), `${name} is not told of`);
	}

	const [, statuses = ''] = /DownloadStatus = (.*?);/s.exec(downstream!) ?? [];
	const [, told = ''] = /^A `DownloadStatus` is one of:(.*?)^#/ms.exec(libraryDocument) ?? [];
	assert.deepEqual(namesIn(told, /^\| `(\w+)`/gm), namesIn(statuses, /'(\w+)'/g));

	const headings = libraryDocument.match(/^### .*$/gm)!.join('\n');
	const inHeadings = Array.from(headings.matchAll(/`(?:DownStream\.)?(\w+)/g), ([, name]) => name!);
	assert.deepEqual(
		inHeadings.filter(name => !verbs.includes(name)),
		[],
	);
	assert.deepEqual(
		verbs.filter(name => !inHeadings.includes(name)),
		[],
	);
	const mentioned = spoken.match(/\b[A-Z][a-z]+(?:[A-Z]\w+)?\b/g) ?? [];
	assert.deepEqual(
		mentioned.filter(name => !exported.includes(name) && !other.has(name)),
		[],
	);
	const logged = Array.from(spoken.matchAll(/Logger\.(\w+)/g), ([, name]) => name!);
	assert.deepEqual(
		logged.filter(name => !logs.includes(name)),
		[],
	);
});

test('the first program of docs/library.md follows its own download among those of earlier runs', async t => {
	const folder = await installPackage(t);
	const origin = await startOrigin(t, {
		size: 2_000_000,
		etag: '"1"',
		intercept: notFound('/gone.bin'),
	});
	const [, program = ''] = /```js\n(.*?)```/s.exec(libraryDocument) ?? [];
	const temporary = await temporaryFolder(t);
	const env = cleanEnvironment({HOME: temporary, XDG_CACHE_HOME: temporary});
	const runWith = async (file: string) => {
		const text = program.replace('https://example.com/film.mkv', origin.urlOf(file));
		await writeFile(path.join(folder, 'program.mjs'), text);
		return run(process.execPath, ['program.mjs'], {cwd: folder, env});
	};

	await assert.rejects(runWith('/gone.bin'), {code: 1, stderr: /\b404: no such file/});
	for (const file of ['/first.bin', '/second.bin', '/first.bin']) {
		const {stdout} = await runWith(file);
		const lines = stdout.trim().split('\n');
		assert.match(lines[0]!, new RegExp(`^mpv http://127\\.0\\.0\\.1:\\d+/stream/[\\da-f]{32}${file}$`));
		assert.match(lines.at(-2)!, /^100\.0 %, \d+ bytes\/s$/);
		assert.equal(lines.at(-1), `${file.slice(1)}: 2000000 bytes`);
	}
});

test('the checks of data sources run from the package', async t => {
	const folder = await installPackage(t);
	await writeFile(
		path.join(folder, 'program.mjs'),
		`import {checkDataSource} from 'downstream-tui/testing';
const bytes = Buffer.from('a file');
const create = wrong => () => ({
	url: 'memory:file',
	async open({range, ranged, signal}) {
		signal.throwIfAborted();
		const part = ranged ? range : {start: 0, end: bytes.length};
		const [start, end] = [part.start, part.end].map(at => Math.min(at, bytes.length));
		const pieces = end > start ? [bytes.subarray(start, end + wrong)] : [];
		const info = {name: 'file', type: undefined, size: bytes.length};
		return {info, range: {start, end}, validator: {}, acceptsRanges: true, body: (async function* () { yield* pieces; })()};
	},
	async dispose() {},
});
await checkDataSource({create: create(0), bytes});
await checkDataSource({create: create(1), bytes}).catch(error => console.log(error.message));
`,
	);
	const {stdout} = await run(process.execPath, ['program.mjs'], {cwd: folder});
	assert.equal(stdout, 'the body continues after byte 1, the end of [0, 1)\n');
});

test('the example downloads a file and exports it', async t => {
	const folder = await installPackage(t);
	const origin = await startOrigin(t, {size: 2_000_000, etag: '"1"'});
	await cp(path.join(root, 'examples'), folder, {recursive: true});
	const temporary = await temporaryFolder(t);
	const options = {cwd: folder, env: cleanEnvironment({TMPDIR: temporary})};
	// Its storage folder keeps incomplete downloads.
	origin.options.intercept = notFound();
	await assert.rejects(run(process.execPath, ['download.mjs', origin.urlOf('/gone.bin'), 'films'], options), {
		code: 1,
		stderr: /^origin-refused: .*404.*\n$/,
	});
	origin.options.intercept = undefined;
	const {stdout} = await run(process.execPath, ['download.mjs', origin.url, 'films'], options);
	assert.match(stdout, /^play it now: mpv http:\/\/127\.0\.0\.1:\d+\/stream\/[\da-f]{32}\/film\.bin$/m);
	assert.match(stdout, /^film\.bin: 2000000 bytes, application\/octet-stream$/m);
	assert.match(
		stdout,
		new RegExp(`^its last 16 bytes: ${origin.content(1_999_984, 2_000_000).toString('hex')}$`, 'm'),
	);
	assert.match(stdout, /^100\.0 %, \d+ KiB\/s, complete$/m);
	const exported = /^exported to (.+)$/m.exec(stdout)![1]!;
	assert.equal(firstWrongByte(await readFile(path.resolve(folder, exported)), 0), -1);

	await assert.rejects(run(process.execPath, ['download.mjs', 'ftp://a/b'], {cwd: folder}), {
		code: 1,
		stderr: 'bad-request: "ftp" is not http or https\n',
	});
});
