// Bundles the program with everything inside into dist/ (or --outdir DIR): one small package, one fetch for npx.
// --readable keeps names and adds source maps, for profiles and for `npm run dev`.
import {execFile} from 'node:child_process';
import {chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {parseArgs, promisify} from 'node:util';
import {build} from 'esbuild';

const {values} = parseArgs({
	options: {outdir: {type: 'string', default: 'dist'}, readable: {type: 'boolean', default: false}},
});
const outdir = path.resolve(values.outdir);
const root = import.meta.dirname;
const {version} = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));

/** Ink has them for its developers only. */
const withoutDevtools = {
	name: 'without-devtools',
	setup({onResolve, onLoad}) {
		onResolve({filter: /^react-devtools-core$|\/devtools\.js$/}, () => ({
			path: 'devtools',
			namespace: 'none',
		}));
		onLoad({filter: /.*/, namespace: 'none'}, () => ({contents: 'export default {}'}));
	},
};

/** What packages do though nobody needs it, each of them checked to be what it was. */
const withoutWaste = {
	name: 'without-waste',
	setup({onLoad}) {
		const patch = (filter, ...changes) =>
			onLoad({filter}, async ({path: file}) => {
				let contents = await readFile(file, 'utf8');
				for (const [before, after] of changes) {
					if (contents.split(before).length !== 2) {
						throw new Error(`${file} is not what it was; look again at what is changed in it here`);
					}

					contents = contents.replace(before, () => after);
				}

				return {contents, loader: 'js'};
			});
		// Ink takes each line apart into styled characters and measures it grapheme by grapheme, for each frame, though it has
		// not changed: half the cost of a frame. The styled characters are never changed afterwards.
		patch(
			/[\\/]ink[\\/]build[\\/]output\.js$/,
			['caches = new OutputCaches();', 'caches = takeCaches();'],
			[
				'export default class Output {',
				`let sharedCaches = new OutputCaches();
const takeCaches = () => sharedCaches.styledChars.size > 2000 ? (sharedCaches = new OutputCaches()) : sharedCaches;
export default class Output {`,
			],
		);
		// Besides ASCII: the middle dot, the ellipsis, lines, blocks and the two triangles of the screen. What takes text
		// apart is made when it is needed: that takes 35 ms of the start.
		patch(
			/[\\/]string-width[\\/]index\.js$/,
			['/^[\\u0020-\\u007E]*$/', '/^[\\u0020-\\u007E\\u00B7\\u2026\\u2500-\\u259F\\u25B8\\u25BA]*$/'],
			['const segmenter = new Intl.Segmenter();', 'let segmenter;'],
			['of segmenter.segment(string)', 'of (segmenter ??= new Intl.Segmenter()).segment(string)'],
			[
				'const rgiEmojiRegex = /^\\p{RGI_Emoji}$/v;',
				'let emoji; const rgiEmojiRegex = {test: text => (emoji ??= /^\\p{RGI_Emoji}$/v).test(text)};',
			],
		);
		// meow makes all that is known of versions and licences ready at each start, for metadata that ours gives it as needed.
		patch(/[\\/]meow[\\/]build[\\/]dependencies\.js$/, [
			`var normalizeExports = requireNormalize();
const normalizePackageData = getDefaultExportFromCjs(normalizeExports);`,
			'const normalizePackageData = data => getDefaultExportFromCjs(requireNormalize())(data);',
		]);
	},
};

await rm(outdir, {recursive: true, force: true});
const {metafile} = await build({
	absWorkingDir: root,
	entryPoints: {
		cli: 'cli.tsx',
		index: 'source/index.ts',
		testing: 'source/testing.ts',
		'worker-main': 'source/host/worker-main.ts',
	},
	outdir,
	bundle: true,
	// The library, --version, --help and get load neither Ink nor React.
	splitting: true,
	format: 'esm',
	platform: 'node',
	target: 'node20',
	jsx: 'automatic',
	minify: !values.readable,
	sourcemap: values.readable && 'linked',
	legalComments: 'none',
	plugins: [withoutDevtools, withoutWaste],
	define: {
		'process.env.NODE_ENV': '"production"',
		'process.env.DEV': '"false"',
		bundledVersion: JSON.stringify(version),
	},
	banner: {
		// For what CommonJS inside the bundle requires.
		js: "import {createRequire as requireFrom} from 'node:module';const require=requireFrom(import.meta.url);",
	},
	metafile: true,
	logLevel: 'warning',
});

await writeTypes(path.join(outdir, 'types'));
await writeFile(path.join(outdir, 'downstream-tui.1'), await manualPage());
const cli = path.join(outdir, 'cli.js');
await writeFile(cli, `#!/usr/bin/env node\n${await readFile(cli, 'utf8')}`);
await chmod(cli, 0o755);
await writeFile(path.join(outdir, 'licenses.txt'), await licenses(Object.keys(metafile.inputs)));
const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
console.log(`${path.relative(root, outdir)}: ${Math.round(bytes / 1024)} KiB`);

/** Made here from the tables of commands and flags, so that the program need not hold it. */
async function manualPage() {
	const {outputFiles} = await build({
		absWorkingDir: root,
		entryPoints: ['source/cli/man-page.ts'],
		bundle: true,
		write: false,
		format: 'esm',
		platform: 'node',
	});
	const {manPage} = await import(
		`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
	);
	return manPage(version);
}

/** The declarations of what the library exports, and of what those mention. */
async function writeTypes(folder) {
	const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
	const project = path.join(root, 'tsconfig.types.json');
	const everything = await mkdtemp(path.join(tmpdir(), 'downstream-types-'));
	try {
		await promisify(execFile)(process.execPath, [compiler, '-p', project, '--outDir', everything]);
		const wanted = new Set(['index.d.ts', 'testing.d.ts']);
		for (const file of wanted) {
			const text = await readFile(path.join(everything, file), 'utf8');
			const written = text.replaceAll(/(from\s+|import\()'(\.[^']+)\.ts'/g, (_match, before, place) => {
				wanted.add(path.join(path.dirname(file), `${place}.d.ts`));
				return `${before}'${place}.js'`;
			});
			await mkdir(path.dirname(path.join(folder, file)), {recursive: true});
			await writeFile(path.join(folder, file), written);
		}
	} finally {
		await rm(everything, {recursive: true, force: true});
	}
}

/** The licence of every package that is inside, as its terms demand. */
async function licenses(inputs) {
	const folders = new Set();
	for (const input of inputs) {
		const [folder] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? [];
		if (folder) {
			folders.add(folder);
		}
	}

	const texts = [];
	for (const folder of [...folders].toSorted((a, b) => a.localeCompare(b))) {
		const metadata = JSON.parse(await readFile(path.join(root, folder, 'package.json'), 'utf8'));
		const {name, version} = metadata;
		const files = await readdir(path.join(root, folder));
		const file = files.find(candidate => /^licen[cs]e/i.test(candidate));
		const text = file ? await readFile(path.join(root, folder, file), 'utf8') : standardLicense(metadata);
		texts.push(`${name} ${version}\n\n${text.trim()}\n`);
	}

	return texts.join(`\n${'-'.repeat(80)}\n\n`);
}

/** Of a package that ships none: the text of the licence that its metadata names, for the author that they name. */
function standardLicense({name, license, author}) {
	const holder = typeof author === 'string' ? author : author?.name;
	if (license !== 'MIT' || !holder) {
		throw new Error(`${name} ships no licence, and its metadata name no licence and author known here`);
	}

	return `MIT License

Copyright (c) ${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;
}
