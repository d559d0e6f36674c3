import assert from 'node:assert/strict';
import {readdirSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

const root = path.resolve(import.meta.dirname, '..');

type Source = {readonly file: string; readonly text: string; readonly imports: readonly string[]};

/** Every source with what it imports: packages by name, files by their path from the root. */
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
	undici: ['source/engine/http/upstream-proxy.ts'],
	socks: ['source/engine/http/upstream-proxy.ts'],
	lowdb: ['source/engine/store/record-store.ts'],
	'set-cookie-parser': ['source/engine/origin/cookie-jar.ts'],
	'proper-lockfile': ['source/engine/store/storage-lock.ts'],
	'ink-table': ['source/dashboard/download-table.tsx'],
	meow: ['cli.tsx'],
};

for (const [name, files] of Object.entries(owners)) {
	test(`${name} is imported by ${files.join(' and ')} alone`, () => {
		const users = sources.filter(({imports}) => imports.includes(name)).map(({file}) => file);
		assert.deepEqual(users.toSorted(), files.toSorted());
	});
}

/** Nothing in a folder imports what matches. */
const forbidden: Array<[folder: string, what: RegExp, but?: RegExp]> = [
	['source/engine/', /^(?:react|ink|meow|ink-table)$|^source\/(?:dashboard|terminal|proxy)\//],
	['source/engine/', /^source\/(?!engine\/|downstream\.ts|logger\.ts|mask-url\.ts)/],
	['source/proxy/', /^(?:react|ink|meow)$|^source\/(?:dashboard|terminal)\//],
	['source/dashboard/', /^node:|^(?:undici|socks|lowdb)$/],
	['source/dashboard/', /^source\/(?!dashboard\/|downstream\.ts|mask-url\.ts|pasted-command\.ts|rate\.ts)/],
	['source/terminal/', /^source\/(?:engine|proxy)\//],
	['source/host/control-client.ts', /^source\/(?!downstream\.ts|proxy\/control-api\.ts)/],
	['source/downstream.ts', /./],
	['source/engine/store/range-set.ts', /./],
	['source/engine/store/eviction.ts', /^(?!source\/downstream\.ts$)/],
	['source/engine/fetch/next-segment.ts', /^(?!source\/engine\/range-set\.ts$)/],
	['source/text/range-bar.ts', /./],
];

for (const [folder, what] of forbidden) {
	test(`${folder} imports nothing like ${String(what)}`, () => {
		const found = sources
			.filter(({file}) => file.startsWith(folder))
			.flatMap(({file, imports}) =>
				imports.filter(specifier => what.test(specifier)).map(specifier => `${file} → ${specifier}`),
			);
		assert.deepEqual(found, []);
	});
}

test('only cli.tsx ends the process, a worker its own thread, and the engine prints nothing', () => {
	const ending = sources.filter(({text}) => /process\.exit\(/.test(text)).map(({file}) => file);
	assert.deepEqual(ending, ['cli.tsx', 'source/host/worker-main.ts']);
	const printing = sources.filter(
		({file, text}) =>
			/^source\/(?:engine|proxy)\//.test(file) && /console\.|process\.std(?:out|err)/.test(text),
	);
	assert.deepEqual(printing, []);
});
