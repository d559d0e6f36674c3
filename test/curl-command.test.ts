import assert from 'node:assert/strict';
import {test} from 'node:test';
import {parseCurlCommand} from '../source/requests/curl-command.ts';

test('other text is not a curl command', () => {
	for (const text of ['', 'http://127.0.0.1/curl', 'curling http://a', ' https://a/ -H x']) {
		assert.equal(parseCurlCommand(text), undefined, text);
	}
});

test('a command copied by a browser for a POSIX shell', () => {
	const command = parseCurlCommand(
		`curl 'https://a.example/x?y=1&z=2' \\\n  -H 'Accept: */*' -H $'X-Name: it\\'s \\u00e9' -H 'range: bytes=0-' \\\n  -b 'a=b; c=d' --compressed -A "Agent \\"1\\""`,
	);
	assert.deepEqual(command, {
		urls: ['https://a.example/x?y=1&z=2'],
		headers: ['Accept: */*', "X-Name: it's é", 'Cookie: a=b; c=d'],
		userAgent: 'Agent "1"',
		proxy: undefined,
		name: undefined,
		problem: undefined,
	});
});

test('a command copied by a browser for cmd', () => {
	const command = parseCurlCommand(
		'curl ^"https://a.example/x?y=1^&z=%^202^" ^\r\n  -H ^"user-agent: Agent 2^" ^\r\n  -H ^"authorization: Bearer x^"',
	);
	assert.deepEqual(command?.urls, ['https://a.example/x?y=1&z=%202']);
	assert.deepEqual(command?.headers, ['authorization: Bearer x']);
	assert.equal(command?.userAgent, 'Agent 2');
});

test('user, proxy and output become part of the request', () => {
	const command = parseCurlCommand(
		'$ curl -L -k -u me:secret -x 127.0.0.1:3128 -U p:q -o films/a.mkv --url http://a.example/f -e http://b.example/',
	);
	assert.deepEqual(command?.urls, ['http://a.example/f']);
	assert.deepEqual(command?.headers, ['Referer: http://b.example/', 'Authorization: Basic bWU6c2VjcmV0']);
	assert.equal(command?.proxy, 'http://p:q@127.0.0.1:3128');
	assert.equal(command?.name, 'a.mkv');
});

test('a command that sends data is refused, and nothing is expanded or run', () => {
	assert.match(parseCurlCommand("curl http://a/ -d 'x=1'")?.problem ?? '', /sends data/);
	assert.match(parseCurlCommand('curl -X DELETE http://a/')?.problem ?? '', /sends data/);
	assert.equal(parseCurlCommand('curl -X GET http://a/')?.problem, undefined);
	assert.deepEqual(parseCurlCommand('curl http://a/$HOME')?.urls, ['http://a/$HOME']);
});
