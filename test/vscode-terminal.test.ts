import assert from 'node:assert/strict';
import {test, type TestContext} from 'node:test';
import {keyTable} from '../source/dashboard/keys.ts';
import {editField} from '../source/dashboard/text-field.tsx';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {TestTerminal} from './support/terminal.ts';

const MiB = 1024 * 1024;

/** Runs the dashboard in a VS Code panel, whose terminal is xterm.js; its replies go back to the program. */
async function startInPanel(
	t: TestContext,
	urls: readonly string[],
	size = {columns: 100, rows: 40},
): Promise<TestTerminal> {
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(
		t,
		['--port', '0', '--max-active', '5', '--storage', storage, ...urls],
		{
			...size,
			env: {COLORTERM: 'truecolor', TERM_PROGRAM: 'vscode', TERM_PROGRAM_VERSION: '1.106.0'},
		},
	);
	const {emulator} = terminal;
	emulator.onData(answer => terminal.press(answer));
	// Without a screen, it has no colors to report; with one, it reports the theme's.
	emulator.parser.registerOscHandler(11, question => {
		terminal.press(question === '?' ? '\u001B]11;rgb:1f1f/1f1f/1f1f\u001B\\' : '');
		return true;
	});
	return terminal;
}

/** Pastes as xterm.js does: lines end with CR, in brackets if the program enabled them. */
function paste(terminal: TestTerminal, text: string): void {
	const lines = text.replaceAll(/\r?\n/g, '\r');
	if (terminal.emulator.modes.bracketedPasteMode) {
		terminal.paste(lines);
	} else {
		terminal.press(lines);
	}
}

/** The link under a text on the screen, with its full text on that line. */
function linkAt({emulator, screen}: TestTerminal, text: string): {uri: string; covered: string} | undefined {
	// VS Code uses this internal interface too; there is no public one.
	const {_core: core} = emulator as unknown as {
		_core: Record<'_oscLinkService', {getLinkData(id: number): {uri: string} | undefined}>;
	};
	type Cell = {hasExtendedAttrs(): number; extended: {urlId: number}; getChars(): string};
	const row = screen.split('\n').findIndex(line => line.includes(text));
	const line = emulator.buffer.active.getLine(emulator.buffer.active.viewportY + row);
	const linked = Array.from({length: emulator.cols}, (_, column) => {
		const cell = line!.getCell(column) as unknown as Cell;
		return {id: cell.hasExtendedAttrs() ? cell.extended.urlId : 0, text: cell.getChars()};
	});
	const {id} = linked[screen.split('\n')[row]!.indexOf(text)]!;
	const covered = linked.filter(cell => cell.id === id).map(cell => cell.text);
	// oxlint-disable-next-line no-underscore-dangle -- see above
	return id === 0 ? undefined : {uri: core._oscLinkService.getLinkData(id)!.uri, covered: covered.join('')};
}

/**
 * The keys that VS Code handles itself while a terminal has the focus (`terminal.integrated.commandsToSkipShell` and
 * the default key bindings of Linux, macOS and Windows), limited to those a terminal can send.
 */
const takenKeys = [
	// Quick open, find, recent folders and commands, panel, chord prefix, next editor, chat, tab key, views.
	...['ctrl+p', 'ctrl+e', 'ctrl+f', 'ctrl+g', 'ctrl+r', 'ctrl+j', 'ctrl+k', 'ctrl+i', 'ctrl+m', 'ctrl+q'],
	// Paste on Windows, the shell's word completion, closing a terminal in the editor area.
	...['ctrl+v', 'ctrl+ ', 'ctrl+w', 'ctrl+`', 'ctrl+;'],
	// While text is selected, the search is open, or a notification is shown.
	...['ctrl+c', 'escape'],
];

test('no dashboard command needs a key that VS Code intercepts', () => {
	for (const {command, keys} of keyTable) {
		assert.ok(
			// VS Code takes all function keys.
			keys.some(key => !takenKeys.includes(key) && !/^f\d/.test(key)),
			`${command} has ${keys.join(', ')} alone`,
		);
		assert.ok(!keys.some(key => /alt|shift\+(?!tab)/.test(key)), command);
	}

	const field = {text: 'one two', cursor: 3};
	for (const [taken, ...others] of [
		['ctrl+e', 'end'],
		['ctrl+w', 'backspace', 'backspace', 'backspace'],
	] as const) {
		const without = others.reduce((before, name) => editField(before, name)!, field);
		assert.deepEqual(editField(field, taken), without);
	}
});

test('both URLs are links to their full text, and a URL with a secret is not a link', async t => {
	const origin = await startOrigin(t, {size: 60 * MiB, bytesPerSecond: MiB});
	const long = origin.urlOf(`/${'a-folder-in-a-folder/'.repeat(8)}film.mkv`);
	const secret = origin.urlOf('/second.mkv?token=geheim');
	const terminal = await startInPanel(t, [long, secret]);
	await terminal.shows(/▸ ↓ film\.mkv/);
	await terminal.shows(/Source +http.*a-folder.*…/);
	const source = linkAt(terminal, `http://127.0.0.1:${origin.port}`);
	assert.equal(source?.uri, long);
	assert.match(source.covered, /^http:\/\/.*…[^ ]*\/film\.mkv$/);
	const stream = linkAt(terminal, 'stream/');
	assert.match(stream?.uri ?? '', /^http:\/\/127\.0\.0\.1:\d+\/stream\/[\da-f]{32}\/film\.mkv$/);
	const response = await fetch(stream!.uri, {headers: {range: 'bytes=0-9'}});
	assert.equal(response.status, 206);
	await response.body?.cancel();

	terminal.press('j');
	await terminal.shows(/Source +http.*second\.mkv\?token=•••/);
	assert.equal(linkAt(terminal, `http://127.0.0.1:${origin.port}`), undefined);
	assert.match(linkAt(terminal, 'stream/')?.uri ?? '', /\/second\.mkv$/);
	terminal.press('\r');
	await terminal.shows('Folder');
	assert.ok(!terminal.raw.includes('geheim'));
});

for (const brackets of [true, false]) {
	test(`text pasted ${brackets ? 'in' : 'without'} brackets is added and not handled as keys`, async t => {
		const origin = await startOrigin(t, {size: 60 * MiB, bytesPerSecond: MiB});
		const terminal = await startInPanel(t, [origin.urlOf('/first.mkv')]);
		await terminal.shows(/↓ first\.mkv/);
		await terminal.shows(() => terminal.emulator.modes.bracketedPasteMode);
		if (!brackets) {
			terminal.emulator.write('\u001B[?2004l');
			await terminal.shows(() => !terminal.emulator.modes.bracketedPasteMode);
		}

		paste(terminal, `${origin.urlOf('/xqxq.mkv')}\n${origin.urlOf('/pPpP.mkv')}\r\n`);
		await terminal.shows('2 links');
		await terminal.answer('\r');
		await terminal.shows('Added 2');
		await terminal.shows(/↓ first\.mkv[^]*↓ xqxq\.mkv[^]*↓ pPpP\.mkv/);

		paste(terminal, `curl '${origin.urlOf('/with-header.mkv')}' \\\n  -H 'X-Api-Key: geheim'`);
		await terminal.shows('1 link');
		await terminal.shows(/Headers +X-Api-Key: •+/);
		await terminal.answer('\r');
		await terminal.shows(/↓ with-header\.mkv/);
		const asked = origin.requests.find(({url}) => url === '/with-header.mkv');
		assert.equal(asked?.headers['x-api-key'], 'geheim');
		assert.ok(!terminal.raw.includes('geheim'));
	});
}

test('tab and title show the progress, which is cleared at the end', async t => {
	const origin = await startOrigin(t, {size: 6 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	const terminal = await startInPanel(t, [origin.url]);
	let title = '';
	terminal.emulator.onTitleChange(next => {
		title = next;
	});
	const progress: string[] = [];
	terminal.emulator.parser.registerOscHandler(9, told => {
		progress.push(told);
		return true;
	});
	await terminal.shows(() => /^\d+% [\d.]+ [KM]iB\/s - downstream$/.test(title));
	await terminal.shows(() => progress.some(state => /^4;1;[1-9]\d?$/.test(state)));
	await terminal.shows(/✓ film\.bin/);
	await terminal.shows(() => progress.at(-1) === '4;0;0' && title === 'downstream');

	origin.options = {...origin.options, etag: '"v2"', size: 60 * MiB};
	paste(terminal, origin.urlOf('/second.bin'));
	await terminal.shows('1 link');
	await terminal.answer('\r');
	await terminal.shows(() => progress.at(-1)!.startsWith('4;1;'));
	terminal.press('q');
	await terminal.shows('1 download is running');
	await terminal.answer('q');
	assert.equal(await terminal.exit(), 0);
	assert.equal(progress.at(-1), '4;0');
	// This terminal saves no title.
	assert.equal(title, '');
});

test('keys that VS Code sends with Alt or as long sequences are ignored', async t => {
	const origin = await startOrigin(t, {size: 60 * MiB, bytesPerSecond: MiB});
	const terminal = await startInPanel(t, [origin.urlOf('/first.mkv'), origin.urlOf('/second.mkv')]);
	await terminal.shows(/↓ second\.mkv/);
	const letters = Array.from('abcdefghijklmnopqrstuvwxyzCGJKLMOPSUVY1');
	const sequences = [
		...letters.map(letter => `\u001B${letter}`),
		// Shift+Enter as bound by extensions; Alt with arrows, Ctrl+Tab, F5.
		...['\u001B\r', '\u001B[27;2;13~', '\u001B[1;3B', '\u001B[1;3C', '\u001B[1;5I', '\u001B[15~'],
		// Answers to queries that were never sent.
		...['\u001B[?2026;2$y', '\u001B[?1;2c', '\u001B[3;1R'],
	];
	terminal.press(sequences.join(''));
	terminal.press('L');
	const log = await terminal.shows('No messages yet.');
	assert.doesNotMatch(log, /Paused/);
	terminal.press('\u001B');
	await terminal.shows(/▸ ↓ first\.mkv[^]*↓ second\.mkv/);

	terminal.press('x');
	await terminal.shows('Remove this download?');
	await terminal.answer('\u001Bd\u001Bk\u001B[C\u001B\r');
	terminal.press('\u001B\u001B');
	await terminal.shows(/▸ ↓ first\.mkv[^]*↓ second\.mkv/);
});

test('a panel resized very low and back always shows the active download', async t => {
	const origin = await startOrigin(t, {size: 60 * MiB, bytesPerSecond: MiB});
	const terminal = await startInPanel(t, [origin.urlOf('/first.mkv'), origin.urlOf('/second.mkv')]);
	await terminal.shows(/Stream +http/);
	terminal.resize(40, 8);
	await terminal.shows(
		screen =>
			/^▸ ↓ first\.mkv +[█▓▒░▸·]+ +\d/m.test(screen) &&
			/^  ↓ second\.mkv/m.test(screen) &&
			!screen.includes('Stream'),
	);
	await terminal.shows(/c copy URL .*\? help/);
	terminal.press('a');
	const dialog = await terminal.shows(/Add downloads[^]*URLs/);
	assert.match(dialog, /\[ Add \]/);
	terminal.press('\u001B');
	await terminal.shows(/^▸ ↓ first\.mkv/m);
	terminal.press('\r');
	await terminal.shows(/Stream +http/);
	terminal.press('\u001B');
	terminal.resize(100, 40);
	const high = await terminal.shows(/▸ ↓ first\.mkv[^]*Stream +http[^]*Map/);
	assert.equal(high.match(/first\.mkv +[█▓▒░▸·]/g)?.length, 1);
});
