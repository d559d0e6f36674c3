import assert from 'node:assert/strict';
import {existsSync} from 'node:fs';
import {readdir, readFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {test, type TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {startOrigin, temporaryFolder} from './support/engines.ts';
import {missing} from './support/programs.ts';
import {TestTerminal} from './support/terminal.ts';

const MiB = 1024 * 1024;
const size = {columns: 100, rows: 30};

for (const [how, command] of [
	['a shell', '$NODE $CLI'],
	['another program started by a shell', 'sh -c \'$NODE $CLI "$@"; true\' npx'],
] as const) {
	test(`Ctrl+Z returns to the shell and fg resumes, under ${how}`, {skip: missing('bash')}, async t => {
		const storage = await temporaryFolder(t);
		const terminal = await TestTerminal.shell(t, size);
		await terminal.shows('shell> ');
		terminal.press(`${command} --port 0 --storage ${storage}\r`);
		// Before the first frame: the terminal must not handle the key itself.
		await terminal.shows(() => terminal.isAlternate);
		for (let round = 0; round < 2; round++) {
			terminal.press('\u001A');
			await terminal.shows(() => !terminal.isAlternate);
			await terminal.shows(screen => /Stopped[^]*\nshell>$/.test(screen.trimEnd()));
			terminal.press(`clear; echo shell $((${round}+1))\r`);
			await terminal.shows(screen => screen.trimEnd() === `shell ${round + 1}\nshell>`);
			terminal.press('fg\r');
			await terminal.shows(() => terminal.isAlternate);
			await terminal.shows('Nothing here yet');
		}

		terminal.press('?');
		await terminal.shows('pause or resume');
		terminal.press('\u001B');
		await terminal.shows('Nothing here yet');
		terminal.press('q');
		// Input typed before the shell reads again would be lost.
		await terminal.shows(screen => screen.trimEnd().endsWith('\nshell>'));
		terminal.press('exit\r');
		assert.equal(await terminal.exit(), 0);
	});
}

test(
	'an external stop signal also restores the terminal',
	{skip: process.platform === 'linux' ? missing('bash') : 'needs /proc'},
	async t => {
		const storage = await temporaryFolder(t);
		const terminal = await TestTerminal.shell(t, size);
		await terminal.shows('shell> ');
		terminal.press(`$NODE $CLI --port 0 --storage ${storage}\r`);
		await terminal.shows('Nothing here yet');
		process.kill(await childOf(terminal.pid), 'SIGTSTP');
		await terminal.shows(() => !terminal.isAlternate);
		await terminal.shows(screen => /Stopped[^]*\nshell>$/.test(screen.trimEnd()));
		terminal.press('fg\r');
		await terminal.shows(() => terminal.isAlternate);
		await terminal.shows('Nothing here yet');
	},
);

test('plain text is printed to the normal screen, and any key returns', async t => {
	const origin = await startOrigin(t, {size: MiB});
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage, origin.url], size);
	await terminal.shows(/✓ film\.bin/);
	for (const key of ['enter', 'esc', 'q']) {
		terminal.press('v');
		await terminal.shows('Press any key to go back');
		assert.equal(terminal.isAlternate, false);
		assert.match(terminal.screen, /^http:\/\/127\.0\.0\.1:\d+\/stream\/[\da-f]{32}\/film\.bin$/m);
		terminal.press(key);
		await terminal.shows(/^ downstream .*:\d+\n[^]*▸ ✓ film\.bin/);
		assert.equal(terminal.isAlternate, true);
	}

	terminal.press('q');
	assert.equal(await terminal.exit(), 0);
});

test('the title shows the progress, which is also sent to terminals that support it', async t => {
	const origin = await startOrigin(t, {size: 8 * MiB, etag: '"v1"', bytesPerSecond: MiB});
	for (const [more, hasTitle, hasProgress] of [
		[[], true, true],
		[['--no-title'], false, false],
	] as const) {
		const storage = await temporaryFolder(t);
		const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage, ...more, origin.url], {
			...size,
			env: hasProgress ? {TERM_PROGRAM: 'vscode'} : {},
		});
		// oxlint-disable no-control-regex -- the test is about control sequences
		const title = /\u001B\]2;\d+% [\d.]+ [KM]iB\/s - downstream\u001B\\/;
		const progress = /\u001B\]9;4;1;\d+\u0007/;
		await terminal.shows(screen =>
			hasTitle ? title.test(terminal.raw) && progress.test(terminal.raw) : /[3-9]\d\.\d%/.test(screen),
		);
		assert.equal(title.test(terminal.raw), hasTitle);
		assert.equal(progress.test(terminal.raw), hasProgress);
		terminal.signal('SIGTERM');
		await terminal.exit();
		if (hasProgress) {
			assert.ok(terminal.raw.lastIndexOf('\u001B]9;4;0') > terminal.raw.lastIndexOf('\u001B]9;4;1'));
		}

		assert.ok(terminal.raw.lastIndexOf('\u001B[23;2t') > terminal.raw.lastIndexOf('\u001B]2;'));
	}
});

test("the theme follows the terminal's background", async t => {
	for (const [answer, color] of [
		['rgb:ffff/ffff/ffff', '38;2;0;99;166'],
		['rgb:1616/1919/1f1f', '38;2;86;180;233'],
	] as const) {
		const origin = await startOrigin(t, {size: 8 * MiB, bytesPerSecond: MiB});
		const storage = await temporaryFolder(t);
		const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage, origin.url], {
			...size,
			env: {COLORTERM: 'truecolor'},
			answers: {'\u001B]11;?': `\u001B]11;${answer}\u001B\\\u001B[?62;c`},
		});
		await terminal.shows(/↓ film\.bin/);
		await terminal.shows(() => terminal.raw.includes(color));
		assert.doesNotMatch(terminal.screen, /rgb:/);
	}
});

test('a late background answer changes the theme and is not taken for input', async t => {
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage], {
		...size,
		env: {COLORTERM: 'truecolor'},
	});
	await terminal.shows('Nothing here yet');
	assert.ok(!terminal.raw.includes('38;2;'));
	terminal.press('\u001B]11;rgb:ffff/ffff/ffff\u001B\\');
	// The color of labels on light backgrounds.
	await terminal.shows(() => terminal.raw.includes('38;2;87;98;110'));
	terminal.press('?');
	await terminal.shows('pause or resume');
	terminal.press('\u001B');
	await terminal.shows('Nothing here yet');
});

test('without color there is none, and a late answer is not taken for input', async t => {
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage], {
		...size,
		env: {NO_COLOR: '1', COLORTERM: 'truecolor'},
	});
	await terminal.shows('Nothing here yet');
	terminal.press('\u001B]11;rgb:ffff/ffff/ffff\u0007');
	terminal.press('\u001B[?62;22c');
	terminal.press('?');
	await terminal.shows('pause or resume');
	assert.doesNotMatch(terminal.raw, /\u001B\[(?:3[0-8]|9[0-7])[;m]/);
	terminal.press('\u001B');
	await terminal.shows('Nothing here yet');
});

test('the mouse is off until enabled, and off again at the end', async t => {
	const origin = await startOrigin(t, {size: 2 * MiB});
	const storage = await temporaryFolder(t);
	const urls = [origin.urlOf('/a.bin'), origin.urlOf('/b.bin')];
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage, ...urls], size);
	// `q` asks while a download runs.
	await terminal.shows(/✓ a\.bin/);
	await terminal.shows(/✓ b\.bin/);
	assert.ok(!terminal.raw.includes('\u001B[?1000h'));
	terminal.press('M');
	await terminal.shows('Mouse on');
	await terminal.shows(() => terminal.raw.includes('\u001B[?1000h\u001B[?1006h'));
	const row = terminal.screen.split('\n').findIndex(line => line.includes('b.bin'));
	terminal.press(`\u001B[<0;8;${row + 1}M`);
	await terminal.shows(/▸ ✓ b\.bin/);
	terminal.press('q');
	await terminal.exit();
	assert.ok(terminal.raw.lastIndexOf('\u001B[?1000l') > terminal.raw.lastIndexOf('\u001B[?1000h'));
});

test('nothing is written while idle', async t => {
	const origin = await startOrigin(t, {size: 50 * MiB, bytesPerSecond: MiB});
	const storage = await temporaryFolder(t);
	const urls = Array.from({length: 10}, (_, index) => origin.urlOf(`/${index}.bin`));
	const terminal = await TestTerminal.start(t, ['--port', '0', '--storage', storage, ...urls], {
		columns: 120,
		rows: 40,
	});
	await terminal.shows(/9\.bin/);
	terminal.press('P');
	await terminal.shows('Paused 10');
	await terminal.shows(/downstream {2}idle/);
	await terminal.shows(screen => !screen.includes('Paused 10'));
	// A busy machine draws the last frames late.
	for (let length = -1; length < terminal.raw.length;) {
		length = terminal.raw.length;
		await sleep(1000);
	}

	const before = terminal.raw.length;
	await sleep(5000);
	assert.equal(terminal.raw.slice(before), '');
	terminal.press('q');
	assert.equal(await terminal.exit(), 0);
});

test('ten active downloads write little, and at most twice a second', async t => {
	const origin = await startOrigin(t, {size: 50 * MiB, bytesPerSecond: MiB / 4});
	const storage = await temporaryFolder(t);
	const urls = Array.from({length: 10}, (_, index) => origin.urlOf(`/${index}.bin`));
	const terminal = await TestTerminal.start(
		t,
		['--port', '0', '--storage', storage, '--max-active', '10', ...urls],
		{columns: 120, rows: 40},
	);
	await terminal.shows(/↓ 9\.bin .*iB\/s/);
	await sleep(1000);
	const before = terminal.raw.length;
	const began = performance.now();
	const written = () => terminal.raw.slice(before);
	const frames = () => written().split('\u001B[?2026h').length - 1;
	// A busy machine draws fewer.
	do {
		await sleep(4000);
	} while (frames() < 4);

	const seconds = (performance.now() - began) / 1000;
	assert.ok(frames() <= 2 * seconds + 2, `${frames()} frames in ${seconds} s`);
	assert.ok(Buffer.byteLength(written()) < seconds * 8000, `${Buffer.byteLength(written())} bytes`);
});

test('URLs come from a pipe, and keys from the terminal', {skip: missing('bash')}, async t => {
	const origin = await startOrigin(t, {size: MiB});
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.shell(t, size);
	await terminal.shows('shell> ');
	const urls = `# films\\n${origin.urlOf('/a.bin')}\\n\\n${origin.urlOf('/b.bin')}\\n`;
	terminal.press(`printf '${urls}' | $NODE $CLI --port 0 --storage ${storage}\r`);
	await terminal.shows(/✓ a\.bin/);
	await terminal.shows(/✓ b\.bin/);
	terminal.press('j');
	await terminal.shows(/▸ ✓ b\.bin/);
	terminal.press('v');
	await terminal.shows('Press any key to go back');
	terminal.press('\r');
	await terminal.shows(/▸ ✓ b\.bin/);
	terminal.press('q');
	await terminal.shows(() => !terminal.isAlternate);
});

/** Simulates npm: a shell with job control starts another program, which starts ours. */
async function startUnderShells(t: TestContext) {
	const storage = await temporaryFolder(t);
	const terminal = await TestTerminal.shell(t, size);
	await terminal.shows('shell> ');
	terminal.press(`sh -c '$NODE $CLI "$@"; true' between --port 0 --storage ${storage}\r`);
	await terminal.shows('Nothing here yet');
	return {terminal, storage, between: await childOf(terminal.pid)};
}

async function childOf(pid: number): Promise<number> {
	return Number((await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim());
}

test(
	'a program that lost its terminal exits as on a closed window',
	{skip: process.platform === 'linux' ? missing('bash') : 'needs /proc'},
	async t => {
		const {terminal, storage, between} = await startUnderShells(t);
		// The shell takes the terminal back, and the program's next read fails.
		process.kill(between, 'SIGKILL');
		await terminal.shows('Killed');
		// Input wakes both of them; the shell is often faster.
		while (!terminal.raw.includes('\u001B[?1049l')) {
			terminal.press('\r');
			await sleep(20);
		}

		terminal.press(`while ! $NODE $CLI serve --port 0 --storage ${storage} --json; do sleep 0.1; done\r`);
		await terminal.shows('"event":"ready"');
		assert.doesNotMatch(terminal.raw, /crashed/);
	},
);

for (const command of [[], ['serve']]) {
	const name = command[0] ?? 'the dashboard';
	test(`${name} ends without a crash when its window closes`, async t => {
		const origin = await startOrigin(t, {size: 20 * MiB, bytesPerSecond: MiB});
		const folder = await temporaryFolder(t);
		const storage = path.join(folder, 'storage');
		const terminal = await TestTerminal.start(
			t,
			[...command, '--port', '0', '--storage', storage, origin.urlOf('/a.bin')],
			{...size, env: {TMPDIR: folder}},
		);
		await terminal.shows('a.bin');
		terminal.hangUp();
		assert.equal(await terminal.exit(), command.length === 0 ? 129 : 130);
		// Neither a crash report, nor the owner's file, which an instance that saved removes.
		assert.deepEqual(await readdir(folder), ['storage']);
		assert.ok(!existsSync(path.join(storage, 'owner.json')));
	});
}

test(
	'a program exits when its window has closed with the shell',
	{skip: process.platform === 'linux' ? missing('bash') : 'needs /proc'},
	async t => {
		const {terminal, between} = await startUnderShells(t);
		const program = await childOf(between);
		process.kill(between, 'SIGKILL');
		terminal.signal('SIGKILL');
		await terminal.exit();
		while (existsSync(`/proc/${program}`)) {
			await sleep(20);
		}
	},
);
