// Real upstream proxies from the system, each on a free port of loopback.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import type {TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {atEnd} from './cleanup.ts';
import {temporaryFolder} from './engines.ts';
import {answers, freePort} from './nginx.ts';

export const user = 'player';
export const password = 'p@ss:word';

/** HTTP proxy with basic auth; resolves with its port. `more`: lines of its configuration. */
export async function startTinyproxy(t: TestContext, more: readonly string[] = []): Promise<number> {
	const port = await freePort();
	const config = await writeConfig(t, [
		`Port ${port}`,
		'Listen 127.0.0.1',
		'Timeout 60',
		'MaxClients 50',
		`BasicAuth ${user} ${tinyproxyPassword}`,
		'LogLevel Critical',
		...more,
	]);
	return run(t, port, 'tinyproxy', ['-d', '-c', config]);
}

/** It takes no punctuation in passwords. */
export const tinyproxyPassword = 'password1';

/** SOCKS5 with user and password. */
export async function startMicrosocks(t: TestContext): Promise<number> {
	const port = await freePort();
	return run(t, port, 'microsocks', ['-i', '127.0.0.1', '-p', String(port), '-u', user, '-P', password]);
}

/** SOCKS5 without auth. */
export async function startDanted(t: TestContext): Promise<number> {
	const port = await freePort();
	const {username} = userInfo();
	const config = await writeConfig(t, [
		'errorlog: /dev/null',
		'logoutput: /dev/null',
		`internal: 127.0.0.1 port = ${port}`,
		'external: lo',
		'clientmethod: none',
		'socksmethod: none',
		`user.privileged: ${username}`,
		`user.unprivileged: ${username}`,
		'client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }',
		'socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }',
	]);
	return run(t, port, 'danted', ['-f', config]);
}

async function writeConfig(t: TestContext, lines: string[]): Promise<string> {
	const file = path.join(await temporaryFolder(t), 'config');
	await writeFile(file, `${lines.join('\n')}\n`);
	return file;
}

async function run(t: TestContext, port: number, program: string, args: string[]): Promise<number> {
	const child = spawn(program, args, {stdio: 'ignore', env: {PATH: `${process.env.PATH}:/usr/sbin`}});
	const ended = once(child, 'exit');
	atEnd(t, async () => {
		child.kill();
		await ended;
	});
	while (!(await answers(port))) {
		if (child.exitCode !== null) {
			throw new Error(`${program} ended with ${child.exitCode}`);
		}

		await sleep(20);
	}

	return port;
}
