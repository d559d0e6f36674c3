// Bundles the program and its dependencies into dist/ (or --outdir DIR): one small package, one download for npx.
// The library keeps its names and lines, for readable stack traces; all other files are minified. --readable minifies nothing
// and adds source maps, for profiles and for `npm run dev`. --if-changed builds only if a source is younger than the last build.
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {parseArgs, promisify} from 'node:util';
import {build, transform} from 'esbuild';

const {values} = parseArgs({
	options: {
		outdir: {type: 'string', default: 'dist'},
		readable: {type: 'boolean', default: false},
		'if-changed': {type: 'boolean', default: false},
	},
});
const outdir = path.resolve(values.outdir);
const root = import.meta.dirname;
/** The last file of a build. */
const lastFile = path.join(outdir, 'sbom.cdx.json');
if (values['if-changed'] && (await isCurrent())) {
	process.exit();
}

const {name, version, description, license, engines} = JSON.parse(
	await readFile(path.join(root, 'package.json'), 'utf8'),
);
const define = {
	'process.env.NODE_ENV': '"production"',
	'process.env.DEV': '"false"',
	bundledVersion: JSON.stringify(version),
	requiredNode: JSON.stringify(engines.node.replace('>=', '')),
};

/** An index of undici without fetch, web sockets, caches and mocks, which are half of it. */
const httpClientOfUndici = {
	name: 'http-client-of-undici',
	setup({onResolve, onLoad}) {
		onResolve({filter: /^undici$/}, () => ({path: 'undici', namespace: 'index'}));
		onLoad({filter: /.*/, namespace: 'index'}, () => ({
			resolveDir: root,
			contents: `
const Dispatcher = require('undici/lib/dispatcher/dispatcher');
Object.assign(Dispatcher.prototype, require('undici/lib/api'));
exports.Agent = require('undici/lib/dispatcher/agent');
exports.Pool = require('undici/lib/dispatcher/pool');
exports.buildConnector = require('undici/lib/core/connect');
exports.errors = require('undici/lib/core/errors');
exports.request = (url, {dispatcher, ...options}) =>
	dispatcher.request({...options, origin: url.origin, path: url.pathname + url.search, method: 'GET'});`,
		}));
		// The client loads these files for form and iterator bodies, which we never send.
		onLoad({filter: /[\\/]undici[\\/]lib[\\/]web[\\/]/}, ({path: file}) => ({
			contents: `throw new Error(${JSON.stringify(`${path.relative(root, file)} is not in the bundle`)});`,
		}));
	},
};

/**
 * An import of `node:http` reads all its exports. From Node 22 on, one of them loads undici, which takes 35 ms; `require`
 * reads only those that are used.
 */
const requiredHttp = {
	name: 'required-http',
	setup({onResolve, onLoad}) {
		onResolve({filter: /^node:http$/}, ({kind}) =>
			kind === 'require-call' ? undefined : {path: 'node:http', namespace: 'required'},
		);
		onLoad({filter: /.*/, namespace: 'required'}, ({path: name}) => ({
			contents: `module.exports = require(${JSON.stringify(name)});`,
		}));
	},
};

/** Patches for files of packages. Each replaced text must occur exactly once. */
const patches = [
	// The lock is given a file system of its own; this one would only be loaded.
	[/[\\/]proper-lockfile[\\/]lib[\\/]lockfile\.js$/, [`require('graceful-fs')`, `require('fs')`]],
	[/[\\/]proper-lockfile[\\/]lib[\\/]adapter\.js$/, [`require('graceful-fs')`, `require('fs')`]],
	// For one check of an argument it would load Node's assert module.
	[
		/[\\/]signal-exit[\\/]index\.js$/,
		[`var assert = require('assert')`, ''],
		[`assert.equal(typeof cb, 'function', 'a callback must be provided for exit handler')`, ''],
	],
	// Ink composes each frame from cells: two thirds of its cost. Its texts are joined instead.
	[
		/[\\/]ink[\\/]build[\\/]output\.js$/,
		[
			`import sliceAnsi from 'slice-ansi';`,
			`import sliceAnsi from 'slice-ansi';
import {joinWrites} from ${JSON.stringify(path.join(root, 'source/terminal/join-writes.ts'))};`,
		],
		[
			`    get() {
`,
			`    get() {
        const joined = joinWrites(this.operations, this.height);
        if (joined !== undefined) {
            return {output: joined, height: this.height};
        }
`,
		],
	],
	// Ink rewrites a line if one of its cells changes: most of the bytes of a frame.
	[
		/[\\/]ink[\\/]build[\\/]log-update\.js$/,
		[
			`import ansiEscapes from 'ansi-escapes';`,
			`import ansiEscapes from 'ansi-escapes';
import {lineChange} from ${JSON.stringify(path.join(root, 'source/terminal/line-change.ts'))};`,
		],
		[
			`buffer.push(ansiEscapes.cursorTo(0) +
                nextLines[i] +
                ansiEscapes.eraseEndLine +`,
			`buffer.push(((i in previousLines ? lineChange(previousLines[i], nextLines[i]) : undefined) ??
                ansiEscapes.cursorTo(0) + nextLines[i] + ansiEscapes.eraseEndLine) +`,
		],
	],
	// Besides ASCII: the symbols of the screen, as in line-change.ts. Segmenter and emoji are created for other characters,
	// which takes tens of milliseconds; an emoji has a character outside of the two ranges.
	[
		/[\\/]string-width[\\/]index\.js$/,
		[
			'/^[\\u0020-\\u007E]*$/',
			'/^[\\u0020-\\u007E\\u00B7\\u00BB\\u00D7\\u2013\\u2016\\u2022\\u2026\\u2190-\\u2193\\u2500-\\u259F\\u25B8\\u25BA\\u2713\\u2717]*$/',
		],
		['const segmenter = new Intl.Segmenter();', 'let segmenter;'],
		['of segmenter.segment(string)', 'of (segmenter ??= new Intl.Segmenter()).segment(string)'],
		[
			'const rgiEmojiRegex = /^\\p{RGI_Emoji}$/v;',
			'let emoji; const rgiEmojiRegex = {test: text => /[^\\u0000-\\u20E2\\u2E80-\\uD7FF]/.test(text) && (emoji ??= /^\\p{RGI_Emoji}$/v).test(text)};',
		],
	],
	// The first segmenter takes 10 ms, and most screens need none.
	...[
		[/[\\/]wrap-ansi[\\/]index\.js$/, 'segmenter', ''],
		[/[\\/]slice-ansi[\\/]tokenize-ansi\.js$/, 'GRAPHEME_SEGMENTER', `undefined, {granularity: 'grapheme'}`],
		[/[\\/]ansi-tokenize[\\/]build[\\/]tokenize\.js$/, 'segmenter', `undefined, { granularity: "grapheme" }`],
	].map(([filter, name, options]) => [
		filter,
		[
			`const ${name} = new Intl.Segmenter(${options});`,
			`let made; const ${name} = {segment: text => (made ??= new Intl.Segmenter(${options})).segment(text)};`,
		],
	]),
	// The layout engine of Ink fetches its own code from a data URL, for which Node loads undici. It is compiled at once instead,
	// within a millisecond: CommonJS has no top-level await.
	[
		/[\\/]yoga-wasm-base64-esm\.js$/,
		[
			'return ya().then(function(f){return WebAssembly.instantiate(f,d)}).then(function(f){return f}).then(e,function(f){v("failed to asynchronously prepare wasm: "+f);x(f)})',
			'e({instance:new WebAssembly.Instance(new WebAssembly.Module(wa()),d)});return Promise.resolve()',
		],
		[
			'var b=xa(a.slice(37)),c=new Uint8Array(b.length);for(a=0;a<b.length;++a)c[a]=b.charCodeAt(a);var d=c',
			"var d=Buffer.from(a.slice(37),'base64')",
		],
	],
	[
		/[\\/]yoga-layout[\\/]dist[\\/]src[\\/]index\.js$/,
		[
			'const Yoga = wrapAssembly(await loadYoga());',
			'const library = {}; loadYoga(library); const Yoga = wrapAssembly(library);',
		],
	],
	// Only the developers of Ink need its devtools.
	[
		/[\\/]ink[\\/]build[\\/]reconciler\.js$/,
		[`await import('./devtools.js');`, ''],
		['await loadPackageJson();', 'packageInfo;'],
	],
	// meow reads and normalizes package.json, with tables of licences, hosts and identifiers, half of its code. Ours is given to
	// it, and normalized. What nothing uses is left out.
	[
		/[\\/]meow[\\/]build[\\/]dependencies\.js$/,
		[
			`var normalizeExports = requireNormalize();
const normalizePackageData = getDefaultExportFromCjs(normalizeExports);
promisify(execFile);`,
			'const normalizePackageData = undefined;',
		],
		['var libExports = requireLib$1();', 'var libExports;'],
	],
	[
		/[\\/]meow[\\/]build[\\/]options\.js$/,
		[
			`options.pkg ?? readPackageUpSync({
		cwd: path.dirname(fileURLToPath(options.importMeta.url)),
		normalize: false,
	})?.packageJson;`,
			'options.pkg;',
		],
		['normalizePackageData(pkg);', ''],
	],
];

const patchPackages = {
	name: 'patch-packages',
	setup({onLoad}) {
		for (const [filter, ...changes] of patches) {
			onLoad({filter}, async ({path: file}) => {
				let contents = await readFile(file, 'utf8');
				for (const [before, after] of changes) {
					if (contents.split(before).length !== 2) {
						throw new Error(`${file} has changed; review its patch in build.mjs`);
					}

					contents = contents.replace(before, () => after);
				}

				return {contents, loader: 'js'};
			});
		}
	},
};

await rm(outdir, {recursive: true, force: true});
const common = {
	absWorkingDir: root,
	outdir,
	bundle: true,
	platform: 'node',
	target: 'node20',
	jsx: 'automatic',
	legalComments: 'none',
	plugins: [requiredHttp, httpClientOfUndici, patchPackages],
	define,
	metafile: true,
	logLevel: 'warning',
};
const inputs = [...(await buildLibrary()), ...(await buildProgram())];
await writeTypes(path.join(outdir, 'types'));
await writeFile(path.join(outdir, 'downstream-tui.1'), await manualPage());
const inside = await packagesOf(new Set(inputs));
await writeFile(path.join(outdir, 'licenses.txt'), await licenses(inside));
await writeFile(lastFile, `${JSON.stringify(billOfMaterials(inside), null, '\t')}\n`);
const files = await readdir(outdir, {recursive: true, withFileTypes: true});
const sizes = await Promise.all(
	files
		.filter(file => file.isFile())
		.map(async file => (await stat(path.join(file.parentPath, file.name))).size),
);
console.log(
	`${path.relative(root, outdir)}: ${Math.round(sizes.reduce((sum, size) => sum + size) / 1024)} KiB`,
);

/** No source is younger than the last build. Folders count, too: a removed file changes the time of its folder. */
async function isCurrent() {
	const sources = await readdir(path.join(root, 'source'), {recursive: true});
	const inputs = [
		...['bin.ts', 'cli.tsx', 'build.mjs', 'package.json', 'package-lock.json', 'source'],
		...sources.map(name => path.join('source', name)),
	];
	const timeOf = async name => (await stat(path.resolve(root, name))).mtimeMs;
	const builtAt = await timeOf(lastFile).catch(() => 0);
	return Math.max(...(await Promise.all(inputs.map(timeOf)))) < builtAt;
}

/** The library and the worker thread for films: ES modules. Resolves with the inputs. */
async function buildLibrary() {
	const {metafile} = await build({
		...common,
		entryPoints: {
			index: 'source/index.ts',
			testing: 'source/testing.ts',
			'film-worker': 'source/engine/film/film-worker.ts',
		},
		splitting: true,
		format: 'esm',
		sourcemap: values.readable && 'linked',
		banner: {
			// For `require` calls of bundled CommonJS.
			js: "import {createRequire as requireFrom} from 'node:module';const require=requireFrom(import.meta.url);",
		},
	});
	if (!values.readable) {
		await minifyWorker(metafile.outputs);
	}

	return Object.keys(metafile.inputs);
}

/** Minifies the outputs, except those of the library. */
async function minifyWorker(outputs) {
	const entries = ['index.js', 'testing.js'];
	const library = new Set(Object.keys(outputs).filter(file => entries.includes(path.basename(file))));
	for (const file of library) {
		for (const {path: imported} of outputs[file].imports.filter(({external}) => !external)) {
			library.add(imported);
		}
	}

	for (const file of Object.keys(outputs).filter(file => !library.has(file))) {
		const place = path.resolve(root, file);
		const options = {minify: true, format: 'esm', target: 'node20'};
		await writeFile(place, (await transform(await readFile(place, 'utf8'), options)).code);
	}
}

/**
 * The program: cli.js, and the files that it loads (`source/start/load.ts`). They are split as ES modules, which esbuild splits
 * alone, so that --help and get load neither Ink nor React, and then converted. Resolves with the inputs.
 */
async function buildProgram() {
	const {outputFiles, metafile} = await build({
		...common,
		entryPoints: {program: 'cli.tsx'},
		splitting: true,
		format: 'esm',
		outExtension: {'.js': '.cjs'},
		sourcemap: values.readable && 'inline',
		write: false,
	});
	const hash = createHash('sha256');
	for (const {path: file, text} of outputFiles) {
		const {code} = await transform(withRequired(text), {
			format: 'cjs',
			platform: 'node',
			target: 'node20',
			minify: !values.readable,
			sourcemap: values.readable && 'inline',
			supported: {'dynamic-import': false},
			define: {'import.meta': 'importMeta'},
			banner: text.includes('import.meta')
				? "const importMeta = {url: require('node:url').pathToFileURL(__filename).href};"
				: '',
		});
		hash.update(code);
		await writeFile(file, code);
	}

	const alone = {...common, minify: !values.readable, sourcemap: values.readable && 'inline'};
	const start = await build({
		...alone,
		entryPoints: {start: 'source/start/load.ts'},
		format: 'cjs',
		outExtension: {'.js': '.cjs'},
		define: {...define, build: JSON.stringify(values.readable ? '' : hash.digest('hex').slice(0, 16))},
	});
	const first = await build({
		...alone,
		entryPoints: {cli: 'bin.ts'},
		format: 'esm',
		banner: {js: '#!/usr/bin/env node'},
	});
	await chmod(path.join(outdir, 'cli.js'), 0o755);
	return [metafile, start.metafile, first.metafile].flatMap(({inputs}) => Object.keys(inputs));
}

/** Requires Node's modules as they are: esbuild would copy their properties for each file with a default import. */
function withRequired(text) {
	return text.replaceAll(
		/^import (?:(?:\* as )?([\w$]+)(?:, )?)?(\{[^}]*\})? from "(\w[^"]*)";$/gm,
		(_match, whole, names, from) =>
			[whole, names?.replaceAll(' as ', ': ')]
				.filter(Boolean)
				.map(target => `const ${target} = require("${from}");`)
				.join(' '),
	);
}

/** Generated at build time from the tables of commands and flags, so the program need not contain it. */
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

/** The declarations of the library's exports, and of the types they mention. */
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

/** The packages that the inputs of a bundle belong to, by folder. */
async function packagesOf(inputs) {
	const folders = new Set();
	for (const input of inputs) {
		const [folder] = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? [];
		if (folder) {
			folders.add(folder);
		}
	}

	return Promise.all(
		[...folders]
			.toSorted((a, b) => a.localeCompare(b))
			.map(async folder => ({
				folder,
				metadata: JSON.parse(await readFile(path.join(root, folder, 'package.json'), 'utf8')),
			})),
	);
}

/** The licence of every bundled package, as its terms require. */
async function licenses(inside) {
	const texts = [];
	for (const {folder, metadata} of inside) {
		const files = await readdir(path.join(root, folder));
		const file = files.find(candidate => /^licen[cs]e/i.test(candidate));
		const text = file ? await readFile(path.join(root, folder, file), 'utf8') : standardLicense(metadata);
		texts.push(`${metadata.name} ${metadata.version}\n\n${sourceNotice(metadata)}${text.trim()}\n`);
	}

	return texts.join(`\n${'-'.repeat(80)}\n\n`);
}

/** MPL-2.0 section 3.2: the location of the source code. */
function sourceNotice({name, version, license}) {
	return license === 'MPL-2.0'
		? `It is unmodified; its source code is the package ${name} ${version} of the npm registry.\n\n`
		: '';
}

/** CycloneDX 1.6. Reproducible: no serial number, no time. */
function billOfMaterials(inside) {
	const urlOf = metadata => `pkg:npm/${metadata.name.replace('@', '%40')}@${metadata.version}`;
	const component = (type, metadata) => ({
		type,
		'bom-ref': urlOf(metadata),
		name: metadata.name,
		version: metadata.version,
		...(metadata.description && {description: metadata.description}),
		licenses: [{license: {id: metadata.license}}],
		purl: urlOf(metadata),
	});
	const self = {name, version, description, license};
	return {
		bomFormat: 'CycloneDX',
		specVersion: '1.6',
		version: 1,
		metadata: {component: component('application', self)},
		components: inside.map(({metadata}) => component('library', metadata)),
		dependencies: [{ref: urlOf(self), dependsOn: inside.map(({metadata}) => urlOf(metadata))}],
	};
}

/** For a package without a licence file: the text of the licence and the author named in its metadata. */
function standardLicense({name, license, author}) {
	const holder = typeof author === 'string' ? author : author?.name;
	if (license !== 'MIT' || !holder) {
		throw new Error(`${name} ships no licence, and its metadata names no known licence and author`);
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
