// Odd origins end with the file or a clear error, never with other bytes and exit code 0.
import assert from 'node:assert/strict';
import {mkdir, readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {CliProcess} from './support/cli.ts';
import {temporaryFolder} from './support/engines.ts';
import {fileOf, getArguments, oddOrigins, type OddOrigin} from './support/odd-origins.ts';
import {startRawOrigin} from './support/raw-origin.ts';

/** Control characters, and characters that change the direction of text. */
const unclean = /[^\P{C}\n]/u;

test('get delivers the files of odd origins', {concurrency: 8}, async t => {
	await Promise.all(
		[...oddOrigins].flatMap(([group, origins]) =>
			origins.map(odd => t.test(`${group}: ${odd.words}`, {timeout: 60_000}, t => deliver(t, odd))),
		),
	);
});

async function deliver(t: TestContext, odd: OddOrigin): Promise<void> {
	const folder = await temporaryFolder(t);
	const output = path.join(folder, 'out');
	await mkdir(output);
	const origin = await startRawOrigin(t, odd.start(), odd);
	const places = {output, storage: path.join(folder, 'storage')};
	const get = await CliProcess.start(t, [...getArguments(odd, origin, places), ...(odd.hurry ?? [])]);
	const code = await get.exit();
	const names = await readdir(output);
	assert.doesNotMatch(get.stdout + get.stderr, unclean);
	const {expects} = odd;
	switch (expects.kind) {
		case 'file': {
			assert.equal(code, 0, get.stderr);
			assert.equal(names.length, 1);
			const [name = ''] = names;
			assert.equal(get.stdout, `${path.join(output, name)}\n`);
			assert.ok((await readFile(path.join(output, name))).equals(fileOf(odd)), 'other bytes');
			assert.equal(name, expects.name ?? name);
			break;
		}

		case 'refusal': {
			assert.notEqual(code, 0);
			assert.match(get.stderr, expects.says);
			assert.deepEqual(names, []);
			break;
		}

		case 'told': {
			assert.equal(code, 0);
			assert.match(get.stderr, expects.says);
			break;
		}
	}
}
