// A real nginx on loopback.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {createServer, connect, type AddressInfo} from 'node:net';
import path from 'node:path';
import type {TestContext} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {atEnd} from './cleanup.ts';
import {temporaryFolder} from './engines.ts';

export type RunningNginx = {readonly port: number; readonly pid: number; readonly folder: string};

/**
 * Serves one folder. Resolves with its URL, such as `http://127.0.0.1:4711`. `rate` limits each connection, such as
 * `2m`.
 */
export async function startNginx(t: TestContext, root: string, {rate = '0'} = {}): Promise<string> {
	const {port} = await runNginx(
		t,
		port => `server { listen 127.0.0.1:${port}; root ${root}; limit_rate ${rate}; }`,
	);
	return `http://127.0.0.1:${port}`;
}

/** One process with the servers that `http` configures for a free port and a temporary folder. */
export async function runNginx(
	t: TestContext,
	http: (port: number, folder: string) => string,
): Promise<RunningNginx> {
	const folder = await temporaryFolder(t);
	const port = await freePort();
	await writeFile(
		path.join(folder, 'nginx.conf'),
		`daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
		events { worker_connections 1024; }
		http {
			access_log off; sendfile on; default_type application/octet-stream;
			types { video/mp4 mp4; video/x-matroska mkv; }
			client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
			uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
			${http(port, folder)}
		}`,
	);
	const nginx = spawn(
		'nginx',
		['-p', folder, '-c', path.join(folder, 'nginx.conf'), '-e', path.join(folder, 'error.log')],
		{
			stdio: 'ignore',
		},
	);
	const ended = once(nginx, 'exit');
	atEnd(t, async () => {
		nginx.kill();
		await ended;
	});
	while (!(await answers(port))) {
		if (nginx.exitCode !== null) {
			throw new Error(`nginx ended with ${nginx.exitCode}`);
		}

		await sleep(20);
	}

	return {port, pid: nginx.pid!, folder};
}

export async function freePort(): Promise<number> {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const {port} = server.address() as AddressInfo;
	server.close();
	await once(server, 'close');
	return port;
}

export async function answers(port: number): Promise<boolean> {
	const socket = connect(port, '127.0.0.1');
	try {
		await once(socket, 'connect');
		return true;
	} catch {
		return false;
	} finally {
		socket.destroy();
	}
}
