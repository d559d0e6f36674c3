import assert from 'node:assert/strict';
import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

const root = path.resolve(import.meta.dirname, '..');

type Source = {readonly file: string; readonly text: string; readonly imports: readonly string[]};

/** Every source file with its imports: packages by name, files by their path from the root. */
const sources: Source[] = [
	'cli.tsx',
	...readdirSync(path.join(root, 'source'), {recursive: true}).map(file => path.join('source', String(file))),
]
	.filter(file => /\.tsx?$/.test(file))
	.map(file => {
		const text = readFileSync(path.join(root, file), 'utf8');
		const specifiers = Array.from(
			text.matchAll(
				/(?:^|\n)(?:import|export)\s(?:[^'";]*\sfrom\s)?['"]([^'"]+)['"];|import\(['"]([^'"]+)['"]\)/g,
			),
		);
		const imports = specifiers.map(([, fixed, dynamic]) => {
			const specifier = fixed ?? dynamic!;
			return specifier.startsWith('.') ? path.join(path.dirname(file), specifier) : specifier;
		});
		return {file: file.replaceAll(path.sep, '/'), text, imports};
	});

const owners: Record<string, string[]> = {
	undici: ['source/engine/http/tunnel-client.ts'],
	socks: ['source/engine/http/socks-tunnel.ts'],
	lowdb: ['source/engine/store/record-store.ts'],
	'set-cookie-parser': ['source/engine/origin/cookie-jar.ts'],
	'proper-lockfile': ['source/engine/store/storage-lock.ts'],
	'ink-table': ['source/dashboard/download-table.tsx'],
	meow: ['cli.tsx'],
	'supports-color': ['source/terminal/color.ts'],
	chalk: ['source/dashboard/spans.tsx'],
	'eventsource-parser': ['source/host/control-client.ts'],
	mediabunny: ['source/engine/film/media-file.ts'],
};

for (const [name, files] of Object.entries(owners)) {
	test(`${name} is imported only by ${files.join(' and ')}`, () => {
		const users = sources.filter(({imports}) => imports.includes(name)).map(({file}) => file);
		assert.deepEqual(users.toSorted(), files.toSorted());
	});
}

/** The folders and files of `source/` that each folder may import besides itself. Files of the root are named. */
const allowed: Record<string, readonly string[]> = {
	downstream: [],
	'downstream.ts': ['downstream'],
	'defaults.ts': ['home-folder.ts'],
	'home-folder.ts': [],
	'version.ts': [],
	start: ['home-folder.ts'],
	'schema.ts': ['downstream.ts'],
	'wait.ts': ['downstream.ts'],
	'leases.ts': ['downstream.ts', 'log.ts', 'text'],
	'log.ts': ['text'],
	'turns.ts': [],
	text: ['downstream.ts', 'schema.ts'],
	'engine/store': ['downstream.ts', 'home-folder.ts', 'log.ts', 'turns.ts', 'schema.ts'],
	'engine/memory': ['engine/store'],
	'engine/http': ['downstream.ts', 'engine/memory'],
	'engine/origin': ['downstream.ts', 'text', 'engine/store', 'engine/http'],
	'engine/version': ['downstream.ts', 'text', 'engine/store', 'engine/origin'],
	'engine/fetch': [
		...['downstream.ts', 'log.ts', 'turns.ts'],
		...['engine/store', 'engine/memory', 'engine/http', 'engine/origin', 'engine/version'],
	],
	'engine/film': ['downstream.ts', 'log.ts', 'turns.ts', 'text', 'engine/store'],
	'engine/player': ['downstream.ts', 'log.ts', 'text'],
	'engine/download': [
		...['downstream.ts', 'log.ts', 'turns.ts'],
		...['engine/store', 'engine/memory', 'engine/http', 'engine/origin', 'engine/fetch', 'engine/film'],
		...['engine/player', 'engine/version'],
	],
	engine: [
		...['downstream.ts', 'schema.ts', 'log.ts', 'text'],
		...['engine/store', 'engine/memory', 'engine/origin', 'engine/http', 'engine/fetch', 'engine/download'],
		'engine/player',
	],
	proxy: [
		...['downstream.ts', 'leases.ts', 'schema.ts', 'version.ts', 'text'],
		...['engine/store', 'engine/origin', 'engine/download'],
	],
	requests: [
		'downstream.ts',
		'schema.ts',
		'defaults.ts',
		'home-folder.ts',
		'text',
		'engine/http',
		'engine/origin',
	],
	host: ['downstream.ts', 'log.ts', 'requests', 'proxy', 'engine', 'engine/http', 'engine/store'],
	dashboard: ['downstream.ts', 'schema.ts', 'text', 'requests', 'dashboard/dialogs'],
	'dashboard/dialogs': ['downstream.ts', 'schema.ts', 'wait.ts', 'text', 'requests', 'dashboard'],
	terminal: ['downstream.ts', 'home-folder.ts', 'text', 'dashboard'],
	cli: [
		...['downstream.ts', 'schema.ts', 'defaults.ts', 'home-folder.ts', 'text', 'requests'],
		...['engine/http', 'engine/store'],
	],
	'cli/output': ['downstream.ts', 'text'],
	'cli/run': [
		...['downstream.ts', 'wait.ts', 'text', 'requests', 'host', 'proxy', 'terminal', 'cli', 'cli/output'],
		...['engine/store', 'engine/origin', 'cli/run/get'],
	],
	'cli/run/get': [
		...['downstream.ts', 'leases.ts', 'wait.ts', 'text', 'requests', 'host', 'cli', 'cli/output'],
		'engine/store',
	],
	library: ['downstream.ts', 'schema.ts', 'defaults.ts', 'wait.ts', 'text', 'host', 'engine', 'engine/http'],
	'library.ts': ['downstream.ts', 'schema.ts', 'text', 'library', 'host', 'engine', 'engine/origin'],
	'testing.ts': ['engine/origin', 'engine/store'],
	'index.ts': [
		...['downstream.ts', 'library.ts', 'library', 'log.ts'],
		...['engine/http', 'engine/origin', 'engine/store'],
	],
};

/** The folder of a file below `source/`, or its name where it lies in `source/` itself. */
function placeOf(file: string): string {
	const folder = path.posix.dirname(file.slice('source/'.length));
	return folder === '.' ? path.posix.basename(file) : folder;
}

test('every folder of the source is listed', () => {
	const places = new Set(
		sources
			.map(({file}) => file)
			.filter(isOurs)
			.map(placeOf),
	);
	assert.deepEqual([...places].toSorted(), Object.keys(allowed).toSorted());
});

for (const [place, targets] of Object.entries(allowed)) {
	test(`source/${place} imports only ${targets.join(', ') || 'nothing of ours'}`, () => {
		const found = sources
			.filter(({file}) => isOurs(file) && placeOf(file) === place)
			.flatMap(({file, imports}) =>
				imports
					.filter(isOurs)
					.filter(target => placeOf(target) !== place && !targets.includes(placeOf(target)))
					.map(target => `${file} → ${target}`),
			);
		assert.deepEqual(found, []);
	});
}

function isOurs(file: string): boolean {
	return file.startsWith('source/');
}

/** Packages that stay out of a folder. */
const forbidden: Array<[folder: string, names: RegExp]> = [
	['source/engine/', /^(?:react|ink|meow|ink-table)$/],
	['source/proxy/', /^(?:react|ink|meow)$/],
	['source/dashboard/', /^node:|^(?:undici|socks|lowdb)$/],
	['source/text/', /^node:/],
	['source/schema.ts', /^(?!source\/)/],
	['source/engine/store/range-set.ts', /./],
	['source/engine/store/eviction.ts', /^node:/],
	['source/engine/fetch/next-segment.ts', /^node:/],
	['source/engine/queue.ts', /./],
	['source/engine/film/film-map.ts', /^node:/],
	['source/engine/film/playable.ts', /^node:/],
	['source/engine/film/pledge.ts', /^node:/],
	['source/engine/film/playhead.ts', /^node:/],
];

for (const [folder, names] of forbidden) {
	test(`${folder} imports nothing like ${String(names)}`, () => {
		const found = sources
			.filter(({file}) => file.startsWith(folder))
			.flatMap(({file, imports}) =>
				imports.filter(specifier => names.test(specifier)).map(specifier => `${file} → ${specifier}`),
			);
		assert.deepEqual(found, []);
	});
}

test('only cli.tsx ends the process, and the engine prints nothing', () => {
	const ending = sources.filter(({text}) => /process\.exit\(/.test(text)).map(({file}) => file);
	assert.deepEqual(ending, ['cli.tsx']);
	const printing = sources.filter(
		({file, text}) =>
			/^source\/(?:engine|proxy)\//.test(file) && /console\.|process\.std(?:out|err)/.test(text),
	);
	assert.deepEqual(printing, []);
});
