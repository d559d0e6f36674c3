// The package as `npm install` leaves it, in its own folder.
import {cp, mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import type {TestContext} from 'node:test';
import {builtCli} from './cli.ts';
import {temporaryFolder} from './engines.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** Resolves with a folder whose programs can import `downstream-tui`, and the types of Node if it `hasNodeTypes`. */
export async function installPackage(t: TestContext, {hasNodeTypes = true} = {}): Promise<string> {
	const folder = await temporaryFolder(t);
	const installed = path.join(folder, 'node_modules', 'downstream-tui');
	await mkdir(installed, {recursive: true});
	await cp(path.join(root, 'package.json'), path.join(installed, 'package.json'));
	await cp(path.dirname(await builtCli()), path.join(installed, 'dist'), {recursive: true});
	for (const name of hasNodeTypes ? ['@types/node', 'undici-types'] : []) {
		const from = path.join(root, 'node_modules', name);
		await cp(from, path.join(folder, 'node_modules', name), {recursive: true});
	}

	await writeFile(path.join(folder, 'package.json'), '{"type": "module"}\n');
	return folder;
}
