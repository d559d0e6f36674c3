import assert from 'node:assert/strict';
import {utimes, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test} from 'node:test';
import type {WriteStream} from 'node:tty';
import {hitTest, parseMouse, type Targets} from '../source/dashboard/hit-test.ts';
import {footerKeys} from '../source/dashboard/keys.ts';
import type {Snapshot} from '../source/downstream.ts';
import {parseAnswers} from '../source/terminal/background.ts';
import {colorLevel, themeName, type ColorSetting} from '../source/terminal/color.ts';
import {showsProgress, overallProgress, TerminalStatus} from '../source/terminal/status.ts';
import {describeFile} from '../source/terminal/system.ts';
import {temporaryFolder} from './support/engines.ts';
import {download, MemoryDownStream} from './support/memory-downstream.ts';

test('color follows the flag, then NO_COLOR, then FORCE_COLOR, then the terminal', t => {
	const own = process.env;
	const restore = {...own};
	const setEnvironment = (environment: NodeJS.ProcessEnv) => {
		for (const name of Object.keys(own)) {
			delete own[name];
		}

		Object.assign(own, environment);
	};
	t.after(() => setEnvironment(restore));
	const levels: Array<
		[setting: ColorSetting, environment: NodeJS.ProcessEnv, isTTY: boolean, level: number]
	> = [
		['never', {FORCE_COLOR: '3'}, true, 0],
		['always', {NO_COLOR: '1', TERM: 'xterm'}, false, 1],
		['always', {TERM: 'dumb'}, false, 1],
		['always', {FORCE_COLOR: '0', TERM: 'xterm'}, true, 1],
		['auto', {NO_COLOR: '1', FORCE_COLOR: '3'}, true, 0],
		['auto', {NO_COLOR: '', TERM: 'xterm-256color'}, true, 2],
		['auto', {FORCE_COLOR: '2'}, false, 2],
		['auto', {FORCE_COLOR: '0', COLORTERM: 'truecolor'}, true, 0],
		['auto', {FORCE_COLOR: '', TERM: 'xterm-256color'}, false, 2],
		['auto', {TERM: 'xterm-kitty'}, true, 3],
		['auto', {TERM: 'linux'}, true, 1],
		['auto', {COLORTERM: 'truecolor'}, false, 0],
		['auto', {TERM_PROGRAM: 'vscode', TERM: 'xterm-256color', COLORTERM: 'truecolor'}, true, 3],
		['auto', {TERM: 'dumb', COLORTERM: 'truecolor'}, true, 0],
	];
	for (const [setting, environment, isTTY, level] of levels) {
		setEnvironment(environment);
		const found = colorLevel(setting, {isTTY} as WriteStream);
		assert.equal(found, level, JSON.stringify([setting, environment, isTTY]));
	}

	assert.deepEqual(
		[themeName(0, 'dark'), themeName(1, 'light'), themeName(2, undefined), themeName(3, 'light')],
		['plain', 'ansi', 'ansi', 'light'],
	);
});

test('terminal answers are separated from typed text', () => {
	const attributes = '\u001B[?62;22c';
	const answers: Array<[read: string, background: string | undefined, rest: string]> = [
		[`\u001B]11;rgb:1e1e/1e1e/1e1e\u0007${attributes}`, 'dark', ''],
		[`q\u001B]11;rgb:ffff/ffff/f3f3\u001B\\${attributes}j`, 'light', 'qj'],
		[`\u001B]11;rgb:ff/ff/ff\u001B\\${attributes}`, 'light', ''],
		[`\u001B]11;rgba:0000/2b2b/3636/ffff\u0007${attributes}`, 'dark', ''],
		[attributes, undefined, ''],
		['abc', undefined, 'abc'],
	];
	for (const [read, background, rest] of answers) {
		assert.deepEqual(parseAnswers(read), {background, rest}, JSON.stringify(read));
	}
});

test('a click is located by its position', () => {
	const keys = footerKeys(79, {});
	const targets: Targets = {
		list: {row: 4, count: 3},
		tabs: {
			row: 1,
			places: [
				[0, 9],
				[9, 20],
			],
		},
		headings: {row: 3, places: [{left: 0, right: 10, sort: 1}]},
		order: {top: 1, bottom: 2, left: 60, right: 70},
		box: undefined,
		footer: {row: 23, keys},
		buttons: [{name: 'no', row: 12, left: 10, right: 17}],
		bars: [{row: 14, left: 10, right: 20, first: 10, total: 40}],
	};
	const at = (x: number, y: number) => hitTest({kind: 'click', x, y}, targets);
	assert.deepEqual(at(30, 5), {kind: 'row', row: 1});
	assert.equal(at(30, 7), undefined);
	assert.deepEqual(at(10, 1), {kind: 'tab', tab: 1});
	assert.deepEqual(at(16, 12), {kind: 'button', name: 'no'});
	assert.equal(at(17, 12), undefined);
	assert.deepEqual(at(10, 14), {kind: 'bar', share: 0.25});
	assert.equal(at(20, 14), undefined);
	assert.deepEqual(at(1, 23), {kind: 'key', command: keys[0]!.command});
	assert.deepEqual(at(9, 3), {kind: 'heading', sort: 1});
	assert.equal(at(10, 3), undefined);
	assert.deepEqual(at(60, 1), {kind: 'key', command: 'sort'});
	const below: Targets = {...targets, box: {top: 8, bottom: 14, left: 5, right: 40}};
	const beside = (x: number, y: number) => hitTest({kind: 'click', x, y}, below);
	assert.deepEqual(beside(30, 5), {kind: 'outside'});
	assert.deepEqual(beside(40, 9), {kind: 'outside'});
	assert.equal(beside(39, 13), undefined);
	assert.deepEqual(beside(16, 12), {kind: 'button', name: 'no'});
	assert.equal(at(0, 23), undefined);
	assert.deepEqual(hitTest({kind: 'wheel-down', x: 1, y: 1}, targets), {kind: 'wheel', by: 1});
	assert.deepEqual(parseMouse('[<0;10;5M'), {kind: 'click', x: 9, y: 4});
	assert.equal(parseMouse('[<0;10;5m'), undefined);
	assert.equal(parseMouse('0;10;5M'), undefined);
});

function snapshotOf(...downloads: Array<Parameters<typeof download>[0]>): Snapshot {
	return new MemoryDownStream(downloads.map(change => download(change))).snapshot;
}

test('overall progress is that of the active downloads', () => {
	const states: Array<[Snapshot, percent: number | undefined, state: number]> = [
		[snapshotOf(), undefined, 0],
		[snapshotOf({size: 100, present: 50}, {size: 300, present: 50}), 25, 1],
		[snapshotOf({size: 100, present: 50}, {size: 300, present: 300, status: 'complete'}), 50, 1],
		[snapshotOf({size: null}), undefined, 3],
		[snapshotOf({status: 'paused'}), undefined, 4],
		[snapshotOf({status: 'paused'}, {status: 'failed'}), 100, 2],
		[snapshotOf({status: 'complete'}), undefined, 0],
	];
	for (const [snapshot, percent, state] of states) {
		assert.deepEqual(overallProgress(snapshot), {percent, state});
	}
});

test('title and progress are written when they change, and refreshed before they expire', () => {
	let written: string[] = [];
	const status = new TerminalStatus({
		hasTitle: true,
		hasProgress: true,
		write: sequence => written.push(sequence),
	});
	const show = (snapshot: Snapshot, now: number) => {
		written = [];
		status.show(snapshot, now);
		return written;
	};
	const running = (present: number) => snapshotOf({size: 100, present, bytesPerSecond: 1024 + present});
	assert.deepEqual(show(snapshotOf(), 1000), ['\u001B]2;downstream\u001B\\']);
	assert.deepEqual(show(running(43), 3000), [
		'\u001B]2;43% 1.04 KiB/s - downstream\u001B\\',
		'\u001B]9;4;1;43\u0007',
	]);
	assert.deepEqual(show(running(43), 4100), []);
	assert.deepEqual(show(running(43), 13_000), ['\u001B]9;4;1;43\u0007']);
	assert.deepEqual(show(snapshotOf({status: 'complete'}), 15_000), [
		'\u001B]2;downstream\u001B\\',
		'\u001B]9;4;0;0\u0007',
	]);
	written = [];
	status.end();
	status.end();
	assert.deepEqual(written, ['\u001B]2;\u001B\\']);
	show(running(50), 17_000);
	written = [];
	status.end();
	assert.deepEqual(written, ['\u001B]2;\u001B\\', '\u001B]9;4;0\u0007']);
});

test('progress is shown by terminals that support it, or as the setting says', () => {
	const known: Array<[NodeJS.ProcessEnv, boolean]> = [
		[{TERM_PROGRAM: 'vscode'}, true],
		[{TERM_PROGRAM: 'ghostty', TERM_PROGRAM_VERSION: '1.1.9'}, false],
		[{TERM_PROGRAM: 'ghostty', TERM_PROGRAM_VERSION: '1.2.0'}, true],
		[{TERM_PROGRAM: 'WezTerm', TERM_PROGRAM_VERSION: '20240203-110809-5046fc22'}, false],
		[{TERM_PROGRAM: 'WezTerm', TERM_PROGRAM_VERSION: '20250301-1'}, true],
		[{TERM_PROGRAM: 'iTerm.app', TERM_PROGRAM_VERSION: '3.6.5'}, false],
		[{TERM_PROGRAM: 'iTerm.app', TERM_PROGRAM_VERSION: '3.6.6'}, true],
		[{TERM_PROGRAM: 'iTerm.app', TERM_PROGRAM_VERSION: '3.10.0'}, true],
		[{WT_SESSION: 'x'}, true],
		[{ConEmuANSI: 'ON'}, true],
		[{TERM: 'xterm-kitty'}, false],
		[{TERM_PROGRAM: 'vscode', TMUX: '/tmp/x'}, false],
	];
	for (const [environment, is] of known) {
		assert.equal(showsProgress('auto', environment), is, JSON.stringify(environment));
	}

	assert.equal(showsProgress('always', {TMUX: '/tmp/x'}), true);
	assert.equal(showsProgress('never', {TERM_PROGRAM: 'vscode'}), false);
});

test('a file is described by size and date, and a folder is not a file', async t => {
	const folder = await temporaryFolder(t);
	const file = path.join(folder, 'film.mkv');
	await writeFile(file, 'film');
	await utimes(file, 0, new Date(2026, 10, 2));
	assert.equal(await describeFile(file), '4 B, 2026-11-02');
	assert.equal(await describeFile(folder), undefined);
	assert.equal(await describeFile(`${file}2`), undefined);
});
