// Builds a single executable, --outfile FILE: the current Node with the bundle inside.
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {chmod, copyFile, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {parseArgs, promisify} from 'node:util';
import {build} from 'esbuild';

const {values} = parseArgs({
	options: {
		outfile: {type: 'string', default: `executable/downstream-tui-${process.platform}-${process.arch}`},
	},
});
const outfile = path.resolve(values.outfile);
const root = path.resolve(import.meta.dirname, '..');
const runNode = (...args) => promisify(execFile)(process.execPath, args, {cwd: root});

const work = await mkdtemp(path.join(tmpdir(), 'downstream-executable-'));
try {
	const assets = await bundle(path.join(work, 'dist'));
	const main = path.join(work, 'main.cjs');
	await build({
		entryPoints: [path.join(root, 'scripts/executable-main.mjs')],
		outfile: main,
		bundle: true,
		platform: 'node',
		format: 'cjs',
		target: 'node20',
		logLevel: 'warning',
	});
	await mkdir(path.dirname(outfile), {recursive: true});
	await inject({main, assets, disableExperimentalSEAWarning: true});
	await chmod(outfile, 0o755);
	console.log(`${outfile}: ${Math.round((await stat(outfile)).size / 1024 / 1024)} MiB`);
} finally {
	await rm(work, {recursive: true, force: true});
}

/** Resolves with the files of the program by name, and their manifest. */
async function bundle(folder) {
	await runNode('build.mjs', '--outdir', folder);
	await rm(path.join(folder, 'types'), {recursive: true});
	await writeFile(path.join(folder, 'package.json'), '{"type": "module"}\n');
	const names = (await readdir(folder)).toSorted();
	const digests = await Promise.all(
		names.map(async name => {
			const bytes = await readFile(path.join(folder, name));
			return [name, createHash('sha256').update(bytes).digest('hex')];
		}),
	);
	const manifest = path.join(work, 'manifest.json');
	await writeFile(manifest, JSON.stringify(Object.fromEntries(digests)));
	return {
		...Object.fromEntries(names.map(name => [name, path.join(folder, name)])),
		'manifest.json': manifest,
	};
}

/** See https://nodejs.org/api/single-executable-applications.html: one step since Node 25.5. */
async function inject(config) {
	const file = path.join(work, 'sea.json');
	const [major, minor] = process.versions.node.split('.').map(Number);
	if (major > 25 || (major === 25 && minor >= 5)) {
		await writeFile(file, JSON.stringify({...config, output: outfile}));
		await runNode('--build-sea', file);
		return;
	}

	const blob = path.join(work, 'sea.blob');
	await writeFile(file, JSON.stringify({...config, output: blob}));
	await runNode('--experimental-sea-config', file);
	await rm(outfile, {force: true});
	await copyFile(process.execPath, outfile);
	const {inject: injectBlob} = await import('postject');
	await injectBlob(outfile, 'NODE_SEA_BLOB', await readFile(blob), {
		sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
	});
}
