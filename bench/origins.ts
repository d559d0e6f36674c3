// The origin of all programs: nginx, plain or by TLS, direct or behind a slow line.
import {execFile} from 'node:child_process';
import path from 'node:path';
import type {TestContext} from 'node:test';
import {promisify} from 'node:util';
import {temporaryFolder} from '../test/support/engines.ts';
import {runNginx} from '../test/support/nginx.ts';
import {startRelay, type Line} from './relay.ts';

export type Origin = {
	/** Without a path: `http://127.0.0.1:4711`. */
	readonly url: string;
	/** The certificate to trust, a PEM file. */
	readonly ca?: string;
};

/** Serves the folder, behind the line if one is given. */
export async function startOrigin(
	t: TestContext,
	root: string,
	{tls = false, line}: {tls?: boolean; line?: Line} = {},
): Promise<Origin> {
	const certificate = tls ? await selfSigned(t) : undefined;
	const {port} = await runNginx(
		t,
		port => `server {
			listen 127.0.0.1:${port} ${certificate ? 'ssl' : ''}; root ${root};
			# rclone finds files by listing folders.
			autoindex on;
			${certificate ? `ssl_certificate ${certificate.cert}; ssl_certificate_key ${certificate.key};` : ''}
			# Far away a whole record must have come before its first byte counts: content networks send small ones.
			${certificate && line ? 'ssl_buffer_size 4k;' : ''}
		}`,
	);
	const reached = line ? await startRelay(t, port, line) : port;
	return certificate
		? {url: `https://127.0.0.1:${reached}`, ca: certificate.cert}
		: {url: `http://127.0.0.1:${reached}`};
}

async function selfSigned(t: TestContext): Promise<{key: string; cert: string}> {
	const folder = await temporaryFolder(t);
	const key = path.join(folder, 'key.pem');
	const cert = path.join(folder, 'cert.pem');
	await promisify(execFile)('openssl', [
		...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
		...['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
	]);
	return {key, cert};
}
