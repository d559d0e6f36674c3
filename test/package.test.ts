import assert from 'node:assert/strict';
import {execFileSync, spawnSync} from 'node:child_process';
import {readFileSync, utimesSync} from 'node:fs';
import path from 'node:path';
import {test} from 'node:test';
import {builtCli} from './support/cli.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

/** Files of the package outside the bundle. */
const packed = (
	JSON.parse(
		execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
			cwd: root,
			encoding: 'utf8',
			shell: process.platform === 'win32',
		}),
	) as [{files: Array<{path: string}>}]
)[0].files
	.map(({path: file}) => file)
	.filter(file => !file.startsWith('dist/'));

type Sbom = {
	metadata: {component: {name: string; version: string}};
	components: Array<{name: string; version: string; purl: string}>;
};
const sbomText = async () => readFileSync(path.join(path.dirname(await builtCli()), 'sbom.cdx.json'), 'utf8');

/** Targets of relative links and pictures, from the root. */
function linksOf(file: string): string[] {
	return Array.from(read(file).matchAll(/\]\((?!\w+:|#)([^)#]+)/g), ([, target]) =>
		path.posix.normalize(path.posix.join(path.posix.dirname(file), target!)),
	);
}

test('--if-changed builds nothing while no source is younger than the last build', async () => {
	const outdir = path.dirname(await builtCli());
	const build = () =>
		execFileSync(process.execPath, ['build.mjs', '--if-changed', '--outdir', outdir], {
			cwd: root,
			encoding: 'utf8',
		});
	assert.equal(build(), '');
	const last = path.join(outdir, 'sbom.cdx.json');
	utimesSync(last, 0, 0);
	assert.match(build(), /KiB\n$/);
});

test('the package holds the bundle, documents and examples, without sources', () => {
	for (const file of packed) {
		assert.match(
			file,
			/^(?:docs\/.+\.md|examples\/.+|media\/.+\.(?:png|webp)|[A-Z]+(?:\.md)?|readme\.md|package\.json)$/,
		);
	}

	for (const file of ['CHANGELOG.md', 'LICENSE', 'SECURITY.md', 'docs/api.md', 'docs/library.md']) {
		assert.ok(packed.includes(file), file);
	}
});

test('links of the readme and the shipped documents lead into the package, and each packed picture is shown', () => {
	const documents = ['readme.md', 'SECURITY.md', 'docs/api.md', 'docs/library.md', 'docs/vscode.md'];
	const links = documents.flatMap(linksOf);
	assert.deepEqual(
		links.filter(link => !packed.some(file => file === link || file.startsWith(link))),
		[],
	);
	assert.deepEqual(
		packed.filter(file => file.startsWith('media/') && !links.includes(file)),
		[],
	);
});

test('the metadata name no place on the network', () => {
	const metadata = JSON.parse(read('package.json')) as object;
	for (const field of ['repository', 'homepage', 'bugs']) {
		assert.ok(!(field in metadata), field);
	}
});

test('the bill of materials lists every bundled package, without addresses', async () => {
	const licenses = readFileSync(path.join(path.dirname(await builtCli()), 'licenses.txt'), 'utf8');
	const headings = licenses.split(/^-{80}$/m).map(section => section.trim().split('\n')[0]);
	const text = await sbomText();
	const {metadata, components} = JSON.parse(text) as Sbom;
	const {version} = JSON.parse(read('package.json')) as {version: string};
	assert.deepEqual([metadata.component.name, metadata.component.version], ['downstream-tui', version]);
	assert.deepEqual(
		components.map(({name, version}) => `${name} ${version}`),
		headings,
	);
	for (const {name, version, purl} of components) {
		assert.equal(purl, `pkg:npm/${name.replace('@', '%40')}@${version}`);
	}

	assert.doesNotMatch(text, /https?:/);
});

test('docs/dependencies.md names the bundled packages that require a newer Node than the program', async () => {
	const {components} = JSON.parse(await sbomText()) as Sbom;
	const {packages} = JSON.parse(read('package-lock.json')) as {
		packages: Record<string, {version: string; engines?: {node?: string}}>;
	};
	const newer = Object.entries(packages).filter(
		([place, {version, engines}]) =>
			components.some(component => place.endsWith(`/${component.name}`) && component.version === version) &&
			Number(/^>=\s*(\d+)/.exec(engines?.node ?? '')?.[1] ?? 0) > 20,
	);
	const names = newer.map(([place, {version}]) => `${place.split('node_modules/').at(-1)} ${version}`);
	const [, listed = ''] =
		/^Five packages inside declare .*?: (.*?)\.\s/ms.exec(read('docs/dependencies.md')) ?? [];
	assert.deepEqual(
		listed
			.replaceAll('\n', ' ')
			.match(/[\w-]+ \d+\.\d+\.\d+/g)
			?.toSorted(),
		names.toSorted(),
	);
});

for (const [node, accepted] of [
	['18.20.4', false],
	['20.19.6', false],
	['20.20.0', true],
	['22.0.0', true],
] as const) {
	test(`Node ${node} is ${accepted ? 'accepted' : 'rejected with the required version'}`, async () => {
		const code = `Object.defineProperty(process, 'versions', {value: {...process.versions, node: '${node}'}})`;
		const args = ['--import', `data:text/javascript,${code}`, await builtCli(), '--version'];
		const {status, stdout, stderr} = spawnSync(process.execPath, args, {encoding: 'utf8'});
		const refusal = `downstream-tui needs Node 20.20, this is ${node}\n`;
		assert.deepEqual([status, stdout !== '', stderr], accepted ? [0, true, ''] : [1, false, refusal]);
	});
}

test('the package holds the full licence of every bundled package', async () => {
	const folder = path.dirname(await builtCli());
	const sections = readFileSync(path.join(folder, 'licenses.txt'), 'utf8').split(/^-{80}$/m);
	assert.ok(sections.length > 30);
	for (const section of sections) {
		assert.match(section, /^\n*\S+ \d+\.\d+\.\d+\S*\n\n/);
		assert.match(section, /copyright/i);
		assert.match(section, /permission|redistribution|Mozilla Public License/i);
	}

	const names = sections.map(section => section.trim().split(' ')[0]);
	assert.ok(
		['@alcalzone/ink-table', 'ink', 'meow', 'react', 'undici', 'yoga-layout'].every(name =>
			names.includes(name),
		),
	);
});

test('docs/dependencies.md lists each dependency in its table, with its facts', async () => {
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

test('the lock file holds no download addresses', () => {
	assert.doesNotMatch(read('package-lock.json'), /"resolved":/);
});

test('the commands of the readme exist', () => {
	const {scripts, dependencies} = JSON.parse(read('package.json')) as {
		scripts: Record<string, string>;
		dependencies?: object;
	};
	assert.match(read('readme.md'), /^npm install && npm run demo /m);
	assert.match(read('readme.md'), /^npm test /m);
	assert.ok(scripts.demo && scripts.test && scripts.start);
	// All packages are bundled: npx makes one request.
	assert.equal(dependencies, undefined);
});
