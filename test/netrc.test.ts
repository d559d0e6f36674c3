import assert from 'node:assert/strict';
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {credentialsFor, parseNetrc, withCredentials} from '../source/requests/netrc.ts';
import {CliProcess} from './support/cli.ts';
import {startOrigin, temporaryFolder} from './support/engines.ts';

const file = `# a comment
machine a.example login ann password "with blanks \\" and quotes" account x
macdef init
machine b.example login wrong password wrong

machine B.example
	login bob
	password pw#1
machine nologin.example password only
machine c.example login carl password one machine c.example login carla password two
default login anyone password anything
`;

for (const [host, expected] of [
	['a.example', {login: 'ann', password: 'with blanks " and quotes'}],
	['b.example', {login: 'bob', password: 'pw#1'}],
	['c.example', {login: 'carl', password: 'one'}],
	['elsewhere.example', {login: 'anyone', password: 'anything'}],
] as const) {
	test(`${host} is looked up`, () => {
		assert.deepEqual(credentialsFor(parseNetrc(file), host), expected);
	});
}

test('without an entry there are no credentials', () => {
	const netrc = parseNetrc('machine a.example login ann password pw\r\n');
	assert.equal(credentialsFor(netrc, 'sub.a.example'), undefined);
	assert.equal(credentialsFor(netrc, 'constructor'), undefined);
	const request = {url: 'http://b.example/', headers: {x: 'y'}};
	assert.equal(withCredentials(request, netrc), request);
	const not = {url: 'not a url'};
	assert.equal(withCredentials(not, netrc), not);
});

test('credentials of the request take precedence', () => {
	const netrc = parseNetrc('default login ann password pw');
	for (const request of [
		{url: 'http://bob@a.example/'},
		{url: 'http://a.example/', headers: {AUTHORIZATION: 'Bearer x'}},
	]) {
		assert.equal(withCredentials(request, netrc), request);
	}

	assert.deepEqual(withCredentials({url: 'https://a.example/', headers: {x: 'y'}}, netrc).headers, {
		x: 'y',
		authorization: `Basic ${Buffer.from('ann:pw').toString('base64')}`,
	});
});

for (const text of [
	'{"secret": 1}',
	'machine',
	'login secret',
	'machine a.example login',
	'machine a secret b',
]) {
	test(`${JSON.stringify(text)} is not a netrc file, and no error quotes it`, () => {
		assert.throws(
			() => parseNetrc(text),
			(error: Error) => !error.message.includes('secret'),
		);
	});
}

test('with a relative HOME, no file of the working folder is read', async t => {
	const cwd = await temporaryFolder(t);
	await mkdir(path.join(cwd, 'home'));
	await writeFile(path.join(cwd, 'home', '.netrc'), 'not credentials');
	const origin = await startOrigin(t, {size: 1000});
	const get = await CliProcess.start(t, ['get', '--netrc', '--port', '0', '--storage', cwd, origin.url], {
		cwd,
		env: {HOME: 'home'},
	});
	await get.exit();
	assert.ok(!get.stderr.includes(path.join('home', '.netrc: ')), get.stderr);
});

test('the credentials of a host go to that host only', async t => {
	const elsewhere = await startOrigin(t, {size: 1000});
	const origin = await startOrigin(t, {
		size: 1000,
		intercept(request, response) {
			if (request.url === '/moved') {
				response.writeHead(302, {location: elsewhere.url.replace('127.0.0.1', 'localhost')}).end();
				return true;
			}

			return false;
		},
	});
	const folder = await temporaryFolder(t);
	const NETRC = path.join(folder, 'netrc');
	await writeFile(NETRC, 'machine 127.0.0.1 login ann password geheim\n');
	const get = await CliProcess.start(
		t,
		[
			...['get', '--netrc', '--port', '0', '--storage', path.join(folder, 'storage'), '--export-dir', folder],
			...[origin.url, origin.urlOf('/moved')],
		],
		{env: {NETRC}},
	);
	assert.equal(await get.exit(), 0, get.stderr);
	const basic = `Basic ${Buffer.from('ann:geheim').toString('base64')}`;
	assert.ok(origin.requests.every(({headers}) => headers.authorization === basic));
	assert.ok(elsewhere.requests.length > 0);
	assert.ok(elsewhere.requests.every(({headers}) => headers.authorization === undefined));
	assert.ok(!(get.stdout + get.stderr).includes('geheim'));
});

test('--netrc of a running instance applies to requests of other processes', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const folder = await temporaryFolder(t);
	const NETRC = path.join(folder, 'netrc');
	await writeFile(NETRC, 'machine 127.0.0.1 login ann password geheim\n');
	const storage = path.join(folder, 'storage');
	const serve = await CliProcess.start(
		t,
		['serve', '--json', '--netrc', '--port', '0', '--storage', storage],
		{
			env: {NETRC},
		},
	);
	const {url, key} = await serve.event('ready');
	const added = await fetch(`${String(url)}/api/downloads`, {
		method: 'POST',
		headers: {authorization: `Bearer ${String(key)}`, 'content-type': 'application/json'},
		body: JSON.stringify({url: origin.url}),
	});
	assert.equal(added.status, 201);
	assert.doesNotMatch(await added.text(), /geheim|Basic/);
	await serve.event('done');
	assert.match(origin.requests[0]!.headers.authorization ?? '', /^Basic /);
	assert.ok(!serve.stdout.includes('geheim'));
});
