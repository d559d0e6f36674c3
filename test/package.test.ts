import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import {builtCli} from './support/cli.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

test('the package holds the bundle and nothing of the sources', () => {
	const [{files}] = JSON.parse(
		execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
			cwd: root,
			encoding: 'utf8',
			shell: process.platform === 'win32',
		}),
	) as [{files: Array<{path: string}>}];
	for (const {path: file} of files) {
		assert.match(file, /^(?:dist\/.+|LICENSE|readme\.md|package\.json)$/);
	}
});

test('the licence of every package inside the bundle is in the package as a whole', async () => {
	const folder = path.dirname(await builtCli());
	const sections = readFileSync(path.join(folder, 'licenses.txt'), 'utf8').split(/^-{80}$/m);
	assert.ok(sections.length > 30);
	for (const section of sections) {
		assert.match(section, /^\n*\S+ \d+\.\d+\.\d+\S*\n\n/);
		assert.match(section, /copyright/i);
		assert.match(section, /permission|redistribution/i);
	}

	const names = sections.map(section => section.trim().split(' ')[0]);
	assert.ok(
		['@alcalzone/ink-table', 'ink', 'meow', 'react', 'undici', 'yoga-layout'].every(name =>
			names.includes(name),
		),
	);
});

test('docs/dependencies.md has each dependency, in the table where it belongs, as it is', async () => {
	const {devDependencies} = JSON.parse(read('package.json')) as {devDependencies: Record<string, string>};
	const licenses = readFileSync(path.join(path.dirname(await builtCli()), 'licenses.txt'), 'utf8');
	const expected = Object.entries(devDependencies).map(([name, wanted]) => {
		const [, published = name, version = wanted] = /^npm:(.+)@(.+)$/.exec(wanted) ?? [];
		return {name, version, isInside: licenses.includes(`${published} ${version}\n`)};
	});
	const [, inside, development] = read('docs/dependencies.md').split(/^## .*$/m);
	const rows = (text: string, isInside: boolean) =>
		Array.from(text.matchAll(/^\| ([^ |]+) +\| (\d[^ |]+) +\|/gm), ([, name, version]) => ({
			name,
			version,
			isInside,
		}));
	const written = [...rows(inside!, true), ...rows(development!, false)];
	const byName = (a: {name?: string}, b: {name?: string}) => a.name!.localeCompare(b.name!);
	assert.deepEqual(written.toSorted(byName), expected.toSorted(byName));
});

test('the lock file names no place to download from', () => {
	assert.doesNotMatch(read('package-lock.json'), /"resolved":/);
});

test('what the readme tells to run is there', () => {
	const {scripts, dependencies} = JSON.parse(read('package.json')) as {
		scripts: Record<string, string>;
		dependencies?: object;
	};
	assert.match(read('readme.md'), /^npm install && npm run demo /m);
	assert.match(read('readme.md'), /^npm test /m);
	assert.ok(scripts.demo && scripts.test && scripts.start);
	// All packages are inside the bundle: one fetch for npx.
	assert.equal(dependencies, undefined);
});
