// Real upstream proxies of the system, each on a free loopback port.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {connect, createServer, type AddressInfo} from 'node:net';
import {userInfo} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {pipeline} from 'node:stream';
import type {TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {atEnd} from './cleanup.ts';
import {temporaryFolder} from './engines.ts';
import {answers, freePort} from './nginx.ts';

export const user = 'player';
export const password = 'p@ss:word';

/** An HTTP proxy with Basic authentication; resolves with its port. `more` holds extra configuration lines. */
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

/** tinyproxy accepts no punctuation in passwords. */
export const tinyproxyPassword = 'password1';

/** SOCKS5 with user and password. */
export async function startMicrosocks(t: TestContext): Promise<number> {
	const port = await freePort();
	return run(t, port, 'microsocks', ['-i', '127.0.0.1', '-p', String(port), '-u', user, '-P', password]);
}

/** SOCKS5 without authentication. */
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

/**
 * SOCKS4 and SOCKS4a for one user; our own server, because the programs above do not support SOCKS4a. All names
 * resolve to loopback; `asked` lists the requested hosts.
 */
export async function startSocks4(t: TestContext, user: string): Promise<{port: number; asked: string[]}> {
	const asked: string[] = [];
	const server = createServer(client => {
		client.on('error', () => undefined);
		client.once('data', data => {
			// Version, command, port, address, user, and for an address of 0.0.0.x a name (SOCKS4a).
			const [id = '', name = ''] = data.toString('latin1', 8).split('\0');
			const host = data.readUInt32BE(4) < 256 ? name : data.subarray(4, 8).join('.');
			const reply = (code: number) => client.write(Buffer.from([0, code, 0, 0, 0, 0, 0, 0]));
			if (id !== user) {
				reply(93);
				return;
			}

			asked.push(host);
			const target = connect(data.readUInt16BE(2), '127.0.0.1', () => {
				reply(90);
				pipeline(client, target, client, () => undefined);
			});
			target.on('error', () => client.writable && reply(91));
		});
	});
	await once(server.listen(0, '127.0.0.1'), 'listening');
	atEnd(t, () => server.close());
	return {port: (server.address() as AddressInfo).port, asked};
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
