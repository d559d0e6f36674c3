import assert from 'node:assert/strict';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import type {DownloadError} from '../source/downstream.ts';
import {reason} from '../source/text/status-words.ts';
import {hintFor, withHint} from '../source/text/hints.ts';
import {CliProcess} from './support/cli.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';
import {download} from './support/memory-downstream.ts';

type Failure = Pick<DownloadError, 'code' | 'status' | 'needs'>;

const hints: Array<[error: Failure, onCommandLine: RegExp | undefined, onDashboard: string]> = [
	[
		{code: 'origin-refused', status: 401, needs: 'password'},
		/user:password@.*--netrc/,
		'U URL with user:password@',
	],
	[
		{code: 'origin-refused', status: 401, needs: 'token'},
		/--header "Authorization: Bearer TOKEN"/,
		'U new link',
	],
	[{code: 'origin-refused', status: 401, needs: 'other-login'}, /cookie .* --header/, 'U new link'],
	[{code: 'origin-refused', status: 401}, undefined, 'U new link'],
	[{code: 'origin-refused', status: 403}, undefined, 'U new link'],
	[{code: 'origin-refused', needs: 'trust'}, /--ca .*--insecure/, 'restart with --ca FILE or --insecure'],
	[{code: 'upstream-proxy-refused', needs: 'trust'}, /--ca/, 'restart with --ca FILE or --insecure'],
	[{code: 'origin-changed'}, undefined, 'r decide'],
	[{code: 'disk-full'}, undefined, 'r retry'],
	[{code: 'port-taken'}, /--port 0/, 'r retry'],
	[{code: 'checksum-mismatch'}, /another --checksum/, 'r retry'],
	[{code: 'storage-locked'}, /--storage DIR/, 'r retry'],
];

for (const [error, onCommandLine, onDashboard] of hints) {
	test(`the hint for ${JSON.stringify(error)} names flags on the command line, keys on the dashboard`, () => {
		if (onCommandLine) {
			assert.match(hintFor(error, 'cli') ?? '', onCommandLine);
		} else {
			assert.equal(hintFor(error, 'cli'), undefined);
		}

		assert.equal(hintFor(error, 'dashboard'), onDashboard);
		const failed = download({status: 'failed', error: {...error, message: 'It failed', at: 0}});
		assert.equal(reason(failed, 0), `It failed. ${onDashboard}`);
		assert.match(withHint({...error, message: 'It failed'}), onCommandLine ? /^It failed; / : /^It failed$/);
	});
}

function startProtectedOrigin(t: TestContext) {
	return startOrigin(t, {
		size: 1000,
		intercept(_request, response) {
			response.writeHead(401, {'www-authenticate': 'Basic realm="films"'}).end();
			return true;
		},
	});
}

test('get and a plain run add the flags to a missing login, and the engine does not', async t => {
	const origin = await startProtectedOrigin(t);
	const folder = await temporaryFolder(t);
	const flags = ['--port', '0', '--storage', path.join(folder, 'storage')];
	const sentence = /needs a user name and password \(Basic, "films"\); put them into the URL .*--netrc\n/;
	const get = await CliProcess.start(t, ['get', ...flags, '--export-dir', folder, origin.url]);
	assert.equal(await get.exit(), 1);
	assert.match(get.stderr, sentence);
	const plain = await CliProcess.start(t, [...flags, origin.url]);
	assert.equal(await plain.exit(), 1);
	assert.match(plain.stdout, sentence);
	const serve = await CliProcess.start(t, ['serve', '--json', ...flags, origin.url]);
	const failed = await serve.event('failed');
	assert.match(String(failed.message), /needs a user name and password \(Basic, "films"\)$/);
});

test('the record of a failed download keeps what the server needs', async t => {
	const origin = await startProtectedOrigin(t);
	const {engine, storageDir, close} = await startEngine(t);
	const {download: added} = await engine.add({url: origin.url});
	await until(engine, added.id, ({status}) => status === 'failed');
	await close();
	const next = await startEngine(t, {storageDir});
	assert.equal(next.engine.snapshot.downloads[0]?.error?.needs, 'password');
});
