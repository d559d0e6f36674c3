import assert from 'node:assert/strict';
import {chmod, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {copyText} from '../source/terminal/clipboard.ts';

const skip = process.platform === 'win32' && 'needs sh';
const url = `http://127.0.0.1:8080/stream/${'01'.repeat(16)}/Big.Buck.Bunny.2160p.mkv`;

/**
 * Programs that log their name, arguments and input to one file, and a record of what was sent to the terminal
 * instead.
 */
async function machine(t: TestContext, programs: Readonly<Record<string, string>> = {}) {
	const folder = await mkdtemp(path.join(tmpdir(), 'downstream-test-'));
	t.after(() => rm(folder, {recursive: true}));
	const log = path.join(folder, 'log');
	for (const [name, then] of Object.entries(programs)) {
		const file = path.join(folder, name);
		await writeFile(file, `#!/bin/sh\necho "${name} $*: $(/bin/cat)" >> '${log}'\n${then}\n`);
		await chmod(file, 0o755);
	}

	let sent = '';
	return {
		copy: (environment: NodeJS.ProcessEnv, platform: NodeJS.Platform = 'linux') =>
			copyText(url, {
				environment: {TERM: 'xterm-256color', PATH: folder, ...environment},
				platform,
				write(sequence) {
					sent += sequence;
				},
			}),
		log: () => readFile(log, 'utf8').catch(() => ''),
		sent: () => sent,
	};
}

const succeed = 'exit 0';
const fail = 'exit 1';
const all = {
	tmux: succeed,
	pbcopy: succeed,
	'clip.exe': succeed,
	'wl-copy': succeed,
	xclip: succeed,
	xsel: succeed,
};

const ladder: ReadonlyArray<[string, NodeJS.ProcessEnv, NodeJS.Platform, string]> = [
	[
		'tmux is given the text for its buffer and its terminal',
		{TMUX: '1', DISPLAY: ':0'},
		'linux',
		'tmux load-buffer -w -',
	],
	['macOS copies with pbcopy', {}, 'darwin', 'pbcopy '],
	['Windows copies with clip.exe', {}, 'win32', 'clip.exe '],
	['WSL copies with the clip.exe of Windows', {WSL_DISTRO_NAME: 'Debian'}, 'linux', 'clip.exe '],
	['Wayland copies with wl-copy', {WAYLAND_DISPLAY: 'wayland-0', DISPLAY: ':0'}, 'linux', 'wl-copy '],
	['X11 copies with xclip', {DISPLAY: ':0'}, 'linux', 'xclip -selection clipboard'],
];
for (const [name, environment, platform, call] of ladder) {
	test(name, {skip}, async t => {
		const {copy, log, sent} = await machine(t, all);
		assert.equal(await copy(environment, platform), 'copied');
		assert.equal(await log(), `${call}: ${url}\n`);
		assert.equal(sent(), '');
	});
}

test('a failing or missing program falls back to the next', {skip}, async t => {
	const {copy, log} = await machine(t, {'wl-copy': fail, xsel: succeed});
	assert.equal(await copy({WAYLAND_DISPLAY: 'wayland-0', DISPLAY: ':0'}), 'copied');
	assert.equal(await log(), `wl-copy : ${url}\nxsel -b: ${url}\n`);
});

test('a hanging program falls back to the next', {skip}, async t => {
	const {copy, log} = await machine(t, {xclip: 'exec /bin/sleep 60', xsel: succeed});
	assert.equal(await copy({DISPLAY: ':0'}), 'copied');
	assert.match(await log(), /\nxsel -b: /);
});

const sequence = `\u001B]52;c;${Buffer.from(url).toString('base64')}\u0007`;

test('over ssh, the terminal copies, not programs on the remote machine', {skip}, async t => {
	const {copy, log, sent} = await machine(t, all);
	assert.equal(await copy({SSH_CONNECTION: '192.0.2.1 1 192.0.2.2 22', DISPLAY: ':10'}), 'sent');
	assert.equal(await log(), '');
	assert.equal(sent(), sequence);
});

test('the terminal copies if no program can', {skip}, async t => {
	const {copy, sent} = await machine(t, {xclip: fail, xsel: fail});
	assert.equal(await copy({DISPLAY: ':0'}), 'sent');
	assert.equal(sent(), sequence);
});

test('in GNU screen, the sequence reaches the outer terminal in pieces', async t => {
	const {copy, sent} = await machine(t);
	assert.equal(await copy({TERM: 'screen', STY: '1.pts'}), 'sent');
	const pieces = sent().split('\u001B\\').slice(0, -1);
	assert.ok(pieces.length > 1);
	for (const piece of pieces) {
		assert.ok(piece.startsWith('\u001BP') && piece.length < 256);
	}

	assert.equal(pieces.map(piece => piece.slice(2)).join(''), sequence);
});

test('nothing is sent to terminals without support for the sequence', async t => {
	for (const TERM of ['dumb', 'linux', '']) {
		const {copy, sent} = await machine(t);
		assert.equal(await copy({TERM}), 'none');
		assert.equal(sent(), '');
	}
});
