// Prints the figures of docs/dependencies.md: version, licence, installed size and the newest release in the registry.
import {execFileSync} from 'node:child_process';
import {readdirSync, readFileSync, statSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const root = path.resolve(import.meta.dirname, '..');
const packageIn = folder => JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));

for (const name of Object.keys(packageIn(root).devDependencies)) {
	const folder = path.join(root, 'node_modules', name);
	const {name: published, version, license} = packageIn(folder);
	const bytes = readdirSync(folder, {recursive: true})
		.map(file => statSync(path.join(folder, file)))
		.reduce((sum, entry) => sum + (entry.isFile() ? entry.size : 0), 0);
	const view = ['view', `${published}@latest`, 'version', 'time', '--json'];
	const {version: latest, time} = JSON.parse(
		execFileSync('npm', view, {encoding: 'utf8', shell: process.platform === 'win32'}),
	);
	console.log(
		[name, version, license, `${Math.ceil(bytes / 1024)} KiB`, `${latest} ${time[latest].slice(0, 10)}`].join(
			'\t',
		),
	);
}
