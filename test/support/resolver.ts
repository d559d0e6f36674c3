// A command for --resolve-with: a Node script that records its items.
import {readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import type {TestContext} from 'node:test';
import {temporaryFolder} from './engines.ts';

export type ResolverScript = {
	readonly script: string;
	readonly command: readonly string[];
	/** The requested items. */
	readonly runs: () => Promise<string[]>;
};

/** `body` prints the link of `item`; it may contain imports. */
export async function writeResolver(
	t: TestContext,
	body: (script: string) => string,
): Promise<ResolverScript> {
	const folder = await temporaryFolder(t);
	const script = path.join(folder, 'resolve.mjs');
	const log = path.join(folder, 'log');
	await writeFile(log, '');
	await writeFile(
		script,
		`import {appendFileSync} from 'node:fs';
const item = process.argv.at(-1);
appendFileSync(${JSON.stringify(log)}, item + '\\n');
${body(script)}`,
	);
	return {
		script,
		command: [process.execPath, script],
		runs: async () => (await readFile(log, 'utf8')).split('\n').filter(Boolean),
	};
}
