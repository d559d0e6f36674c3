// The compared programs: this one and common alternatives. Each starts with an empty cache.
import process from 'node:process';
import type {TestContext} from 'node:test';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import type {Download, SafeRequest} from '../source/downstream.ts';
import {atEnd} from '../test/support/cleanup.ts';
import {builtCli, startServe} from '../test/support/cli.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {answers, freePort, runNginx} from '../test/support/nginx.ts';
import {missing} from '../test/support/programs.ts';
import {until} from './measure.ts';
import type {Origin} from './origins.ts';

/** Serves players from an origin and caches the bytes. */
export type CachingProxy = {
	readonly name: string;
	readonly program: string;
	readonly start: (t: TestContext, origin: Origin) => Promise<RunningProxy>;
};

export type RunningProxy = {
	readonly pid: number;
	/** Its cache. */
	readonly folder: string;
	/** The URL for players of the origin's file with this path, such as `/film.bin`. */
	readonly urlOf: (path: string) => string;
};

export const ours = {
	name: 'downstream-tui',
	program: process.execPath,
	start: async (t: TestContext, origin: Origin, ...more: string[]) => {
		const folder = await temporaryFolder(t);
		const cli = await startServe(t, folder, ...more, ...(origin.ca === undefined ? [] : ['--ca', origin.ca]));
		const {url, key} = (await cli.event('ready')) as unknown as {url: string; key: string};
		return {
			pid: cli.child.pid!,
			folder,
			/** From the control API. */
			async downloads() {
				const answer = await fetch(`${url}/api/downloads`, {headers: {authorization: `Bearer ${key}`}});
				return (await answer.json()) as Download[];
			},
			/** By the control API. */
			async makeSafe(id: string, request: SafeRequest) {
				const answer = await fetch(`${url}/api/downloads/${id}/safe`, {
					method: 'POST',
					headers: {authorization: `Bearer ${key}`, 'content-type': 'application/json'},
					body: JSON.stringify(request),
				});
				if (!answer.ok) {
					throw new Error(`The stretch is refused: ${await answer.text()}`);
				}
			},
			urlOf: (path: string) =>
				`${url}/stream?${new URLSearchParams({url: origin.url + path, key}).toString()}`,
		};
	},
} satisfies CachingProxy;

export const rclone: CachingProxy = {
	name: 'rclone',
	program: 'rclone',
	start: async (t, origin) => {
		const folder = await temporaryFolder(t);
		const port = await freePort();
		const child = spawn(
			'rclone',
			[
				...['serve', 'http', ':http:', '--http-url', origin.url, '--addr', `127.0.0.1:${port}`],
				...['--vfs-cache-mode', 'full', '--cache-dir', folder, '--config', '/dev/null'],
				...(origin.ca === undefined ? [] : ['--ca-cert', origin.ca]),
			],
			{stdio: 'ignore'},
		);
		const ended = once(child, 'exit');
		atEnd(t, async () => {
			child.kill();
			await ended;
		});
		await until(() => answers(port), 'rclone');
		return {pid: child.pid!, folder, urlOf: path => `http://127.0.0.1:${port}${path}`};
	},
};

export const nginx = nginxProxy('nginx', '');
export const nginxSlice1 = nginxProxy('nginx, slice 1 MiB', '1m');
export const nginxSlice4 = nginxProxy('nginx, slice 4 MiB', '4m');

/** nginx with `proxy_cache`, one process; `slice` is the size of fetched and cached parts. */
function nginxProxy(name: string, slice: string): CachingProxy {
	return {
		name,
		program: 'nginx',
		start: async (t, origin) => {
			const {host} = new URL(origin.url);
			const {port, pid, folder} = await runNginx(
				t,
				(port, folder) => `
				proxy_cache_path ${folder}/cache keys_zone=films:10m max_size=200g inactive=1d use_temp_path=off;
				upstream origin { server ${host}; keepalive 16; }
				server {
					listen 127.0.0.1:${port};
					location / {
						proxy_pass ${new URL(origin.url).protocol}//origin;
						proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host ${host};
						proxy_ssl_verify ${origin.ca === undefined ? 'off' : 'on'}; proxy_ssl_name 127.0.0.1;
						${origin.ca === undefined ? '' : `proxy_ssl_trusted_certificate ${origin.ca};`}
						proxy_cache films; proxy_cache_valid 200 206 1d;
						${slice === '' ? '' : `slice ${slice}; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range;`}
					}
				}`,
			);
			return {pid, folder, urlOf: path => `http://127.0.0.1:${port}${path}`};
		},
	};
}

/** Downloads a complete file. */
export type Downloader = {
	readonly name: string;
	readonly program: string;
	readonly command: (url: string, output: string, folder: string) => Promise<readonly string[]>;
};

export function ourGet(connections: number): Downloader {
	return {
		name: 'downstream-tui',
		program: process.execPath,
		command: async (url, output, folder) => [
			...[process.execPath, await builtCli(), 'get', url, '--output', output],
			...['--port', '0', '--storage', folder, '--connections', String(connections)],
		],
	};
}

export function aria2(connections: number): Downloader {
	const count = String(connections);
	return {
		name: `aria2c -x${count} -s${count}`,
		program: 'aria2c',
		command: async (url, output, folder) => [
			...['aria2c', '--no-conf', '--quiet', '--file-allocation=none', '--min-split-size=1M'],
			...['-x', count, '-s', count, '--dir', folder, '--out', output.slice(folder.length + 1), url],
		],
	};
}

export function axel(connections: number): Downloader {
	return {
		name: `axel -n${connections}`,
		program: 'axel',
		command: async (url, output) => [
			'axel',
			'--quiet',
			`--num-connections=${connections}`,
			'--output',
			output,
			url,
		],
	};
}

export const curl: Downloader = {
	name: 'curl',
	program: 'curl',
	command: async (url, output) => ['curl', '--silent', '--fail', '--output', output, url],
};

/** The programs that are installed. */
export function present<Peer extends {readonly program: string}>(peers: readonly Peer[]): Peer[] {
	return peers.filter(({program}) => !missing(program));
}
