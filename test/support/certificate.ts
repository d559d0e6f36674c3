import {execFileSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import path from 'node:path';
import type {TestContext} from 'node:test';
import {temporaryFolder} from './engines.ts';

export type Certificate = {readonly key: string; readonly cert: string};

/** A self-signed certificate for `localhost`. Requires openssl. */
export async function makeCertificate(t: TestContext): Promise<Certificate> {
	const folder = await temporaryFolder(t);
	const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')];
	const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
	const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
	execFileSync(
		'openssl',
		['req', '-x509', '-nodes', '-days', '2', ...curve, ...name, '-keyout', key, '-out', cert],
		{stdio: 'ignore'},
	);
	return {key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8')};
}
