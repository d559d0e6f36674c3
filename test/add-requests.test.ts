import assert from 'node:assert/strict';
import path from 'node:path';
import {test} from 'node:test';
import {CliProcess} from './support/cli.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';

test('a line of a list may be a curl command, whose headers apply to its URL only', async t => {
	const origin = await startOrigin(t, {size: 1000, etag: '"1"'});
	const folder = await temporaryFolder(t);
	const url = (name: string) => origin.urlOf(`/${name}`);
	const input = [
		'# copied from a browser',
		`curl '${url('a.bin')}' \\`,
		"  -H 'Cookie: session=1' --compressed \\",
		"  -H 'User-Agent: a browser' -o named.bin",
		url('b.bin'),
		`curl -X POST ${url('c.bin')}`,
	].join('\n');
	const common = ['--storage', path.join(folder, 'storage'), '--export-dir', folder, '--proxy', 'direct'];
	const get = await CliProcess.start(t, ['get', '-', ...common, '--port', '0'], {input});
	assert.equal(await get.exit(), 1);
	assert.match(get.stderr, /this curl command sends data; only GET requests can be downloaded/);
	assert.deepEqual(
		get.stdout.trim().split('\n').toSorted(),
		['b.bin', 'named.bin'].map(name => path.join(folder, name)),
	);
	const headersOf = (path: string) => origin.requests.find(({url}) => url === path)!.headers;
	assert.equal(headersOf('/a.bin').cookie, 'session=1');
	assert.equal(headersOf('/a.bin')['user-agent'], 'a browser');
	assert.equal(headersOf('/b.bin').cookie, undefined);
});
