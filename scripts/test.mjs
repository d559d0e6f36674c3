// Builds the program and the tests once, then runs all test files. `--fast` leaves out those that wait for real time, kill
// processes or start whole programs. Other options are those of `node --test`.
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {build, stop} from 'esbuild';

const root = path.resolve(import.meta.dirname, '..');
const options = process.argv.slice(2).filter(option => option !== '--fast');
const isFast = process.argv.includes('--fast');
const slow = new Set(
	`
	at-the-same-time changed-behind cli code-cache commands completion content-coding crash crash-loop
	crash-points dashboard-crash dashboard-dialogs dashboard-terminal delivery demo disk-trouble doors
	downstream-contract entrances examples executable expired-link failed-sync faults film film-frames fuzz get
	get-beside get-output hints host-limits http-client huge-sizes lease library library-package library-wait list
	load mpv-link odd-responses origin-fallbacks outages output package pages play player-link players read-film
	resolve-with safe secrets soak start storage-lock terminal-modes told-complete too-many-files transfer
	two-players unwritable update upstream-proxy verify versions vlc vscode-doc vscode-terminal whole-responses
	without-lock
	`
		.trim()
		.split(/\s+/),
);
const files = readdirSync(path.join(root, 'test'))
	.filter(file => file.includes('.test.ts') && !(isFast && slow.has(file.slice(0, file.indexOf('.')))))
	.toSorted()
	.map(file => path.join(root, 'test', file));
const builtCli = mkdtempSync(path.join(tmpdir(), 'downstream-build-'));
// In the project, where its packages are found.
const builtTests = mkdtempSync(path.join(root, '.test-'));
/** Tests name files relative to their own. */
const sourceFolders = {
	name: 'source-folders',
	setup({onLoad}) {
		onLoad({filter: /[\\/]test[\\/].*\.tsx?$/}, ({path: file}) => ({
			contents: readFileSync(file, 'utf8')
				.replaceAll('import.meta.dirname', JSON.stringify(path.dirname(file)))
				.replaceAll('import.meta.filename', JSON.stringify(file)),
			loader: path.extname(file) === '.tsx' ? 'tsx' : 'ts',
		}));
	},
};
// The tests end at Ctrl+C; this process removes the build after them.
process.on('SIGINT', () => undefined);
try {
	execFileSync(process.execPath, ['build.mjs', '--outdir', builtCli], {
		cwd: root,
		stdio: ['ignore', 'ignore', 'inherit'],
	});
	await buildTests();
	await stop();
	const {status} = spawnSync(
		process.execPath,
		[
			...['--enable-source-maps', '--import', './test/support/end-process.mjs', '--test'],
			...(isFast
				? ['--test-concurrency=2', '--test-reporter=dot']
				: ['--test-concurrency=4', '--test-timeout=600000', '--test-reporter=tap']),
			...options,
			...files.map(file => path.join(builtTests, `${path.parse(file).name}.js`)),
		],
		{cwd: root, stdio: 'inherit', env: {...process.env, BUILT_CLI: builtCli}},
	);
	process.exitCode = status ?? 1;
} finally {
	rmSync(builtCli, {recursive: true, force: true});
	rmSync(builtTests, {recursive: true, force: true});
}

/** Compiling each file as it loads takes 2 to 3 s of each of the test files. */
async function buildTests() {
	await build({
		entryPoints: [...files, path.join(root, 'source/engine/film/film-worker.ts')],
		entryNames: '[name]',
		outdir: builtTests,
		bundle: true,
		splitting: true,
		packages: 'external',
		format: 'esm',
		platform: 'node',
		target: 'node20',
		sourcemap: true,
		plugins: [sourceFolders],
	});
}
