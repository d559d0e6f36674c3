import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';

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
