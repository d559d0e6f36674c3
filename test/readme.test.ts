// The commands and files in the readme are valid.
import assert from 'node:assert/strict';
import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {checkArguments, checkOperands, commandOf} from '../source/cli/arguments.ts';
import {commands, usageOf, type CommandName} from '../source/cli/commands.ts';
import {commandWords} from '../source/requests/shell-words.ts';
import {readSettingsFile} from '../source/cli/settings-file.ts';
import {temporaryFolder} from './support/engines.ts';

const readme = readFileSync(path.join(import.meta.dirname, '../readme.md'), 'utf8');

function blocks(language: string): string[] {
	return Array.from(
		readme.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs')),
		([, block]) => block!,
	);
}

/** The arguments of the program, up to the shell's operators. */
function argumentsIn(line: string): string[][] {
	return Array.from(line.matchAll(/downstream-tui(?=[ )"]|$)([^|)#>]*)/g), ([, rest]) =>
		rest!.trim() === '' ? [] : commandWords(rest!)!,
	);
}

function assertAccepted(words: readonly string[]): void {
	checkArguments(words);
	const [first, ...operands] = words;
	if (first && Object.hasOwn(commands, first) && !operands.some(word => word.startsWith('-'))) {
		checkOperands(commandOf(first), operands);
	}
}

test('the command lines of its examples are accepted', () => {
	const lines = blocks('sh').flatMap(block =>
		block.split('\n').filter(line => line.includes('downstream-tui')),
	);
	assert.ok(lines.length >= 5);
	for (const line of lines) {
		for (const words of argumentsIn(line)) {
			assert.doesNotThrow(() => assertAccepted(words), line);
		}
	}
});

test('every named test exists', () => {
	const root = path.join(import.meta.dirname, '..');
	const documents = readdirSync(path.join(root, 'docs')).map(name => path.join('docs', name));
	for (const name of ['readme.md', 'CONTRIBUTING.md', ...documents]) {
		for (const [file] of readFileSync(path.join(root, name), 'utf8').matchAll(/test\/[\w-]+\.test\.ts/g)) {
			assert.ok(existsSync(path.join(root, file)), `${name}: ${file}`);
		}
	}
});

test('each command is explained, and each mentioned flag exists', () => {
	for (const name of Object.keys(commands) as CommandName[]) {
		assert.match(readme, new RegExp(`\`[^\`]*\\b${name}\\b`), usageOf(name));
	}

	for (const [, flag] of readme.matchAll(/`(--[a-z][a-z-]*)/g)) {
		assert.doesNotThrow(() => checkArguments([flag!, 'value']), flag);
	}
});

test('the example of a settings file is valid', async t => {
	const [json] = blocks('json').filter(text => text.includes('"export-dir"'));
	const file = path.join(await temporaryFolder(t), 'settings.json');
	await writeFile(file, json!);
	const {values} = readSettingsFile(file);
	assert.equal(Object.keys(values).length, Object.keys(JSON.parse(json!) as object).length);
});
