import assert from 'node:assert/strict';
import type {IncomingHttpHeaders} from 'node:http';
import {test} from 'node:test';
import {bearerToken, decideAccess, isKey, permissionOf} from '../source/proxy/access.ts';

const policy = {
	allowOrigins: ['https://player.example', 'chrome-extension://abcdefghijklmnopabcdefghijklmnop'],
};
const host = '127.0.0.1:8080';

const table: Array<
	[what: string, headers: IncomingHttpHeaders, expected: 'granted' | 403 | 421, page?: string]
> = [
	['a program that sends nothing but Host', {host}, 'granted'],
	['localhost', {host: 'LocalHost:8080'}, 'granted'],
	['the IPv6 loopback', {host: '[::1]:8080'}, 'granted'],
	['a name that was rebound to loopback', {host: 'evil.example:8080'}, 421],
	['a name that begins like ours', {host: '127.0.0.1.evil.example:8080'}, 421],
	['a forwarded port', {host: '127.0.0.1:9000'}, 'granted'],
	['a Host without a port', {host: '127.0.0.1'}, 'granted'],
	['the IPv6 loopback without a port', {host: '[::1]'}, 'granted'],
	['a foreign name at our port', {host: 'evil.example:8080', origin: 'http://evil.example:8080'}, 421],
	['a port that is none', {host: '127.0.0.1:80a'}, 421],
	['a host with a user before it', {host: 'localhost:80@evil.example'}, 421],
	['a name that ends like ours', {host: 'evil.localhost:8080'}, 421],
	['another address of loopback', {host: '127.0.0.2:8080'}, 421],
	['no Host', {}, 421],
	['an address that the user typed', {host, 'sec-fetch-site': 'none'}, 'granted'],
	["the browser's own player on such an address", {host, 'sec-fetch-site': 'same-origin'}, 'granted'],
	['a script of our own', {host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin'}, 'granted'],
	[
		'a script of our own at a forwarded port',
		{host: 'localhost:9000', origin: 'http://localhost:9000', 'sec-fetch-site': 'same-origin'},
		'granted',
	],
	['a script of another server on this computer', {host, origin: 'http://localhost:3000'}, 403],
	[
		'a script of another server, to a forwarded port',
		{host: 'localhost:9000', origin: 'http://localhost:3000', 'sec-fetch-site': 'same-site'},
		403,
	],
	['a script of the same name and another scheme', {host, origin: `https://${host}`}, 403],
	['an image on a foreign page', {host, 'sec-fetch-site': 'cross-site'}, 403],
	['a page on another port of loopback', {host, 'sec-fetch-site': 'same-site'}, 403],
	['a site that is not known', {host, 'sec-fetch-site': 'elsewhere'}, 403],
	['a script of a foreign page', {host, origin: 'https://evil.example'}, 403],
	['a script of a page on another port', {host, origin: 'http://127.0.0.1:9000'}, 403],
	['a sandboxed page', {host, origin: 'null'}, 403],
	[
		'a script of the page that was named',
		{host, origin: 'https://player.example', 'sec-fetch-site': 'cross-site'},
		'granted',
		'https://player.example',
	],
	[
		'a video on the page that was named',
		{host, referer: 'https://player.example/film', 'sec-fetch-site': 'cross-site'},
		'granted',
		'https://player.example',
	],
	[
		'a video on a page with that name in its path',
		{host, referer: 'https://evil.example/https://player.example', 'sec-fetch-site': 'cross-site'},
		403,
	],
	[
		'a foreign script that came by the named page',
		{host, origin: 'https://evil.example', referer: 'https://player.example/'},
		403,
	],
	[
		'the page that was named, by a rebound name',
		{host: 'evil.example:8080', origin: 'https://player.example'},
		421,
	],
	[
		'the extension that was named',
		{host, origin: 'chrome-extension://abcdefghijklmnopabcdefghijklmnop', 'sec-fetch-site': 'none'},
		'granted',
		'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
	],
	[
		'another extension',
		{host, origin: 'chrome-extension://bbcdefghijklmnopabcdefghijklmnop', 'sec-fetch-site': 'none'},
		403,
	],
	[
		'an extension of that name in another browser',
		{host, origin: 'moz-extension://abcdefghijklmnopabcdefghijklmnop'},
		403,
	],
	['the page that was named, by another scheme', {host, origin: 'http://player.example'}, 403],
];

for (const [what, headers, expected, page] of table) {
	test(`${what}: ${expected}`, () => {
		const decision = decideAccess(headers, policy);
		assert.equal(decision.granted ? 'granted' : decision.status, expected);
		assert.equal(decision.granted ? decision.page : undefined, page);
	});
}

test('a key is only itself', () => {
	assert.equal(isKey('secret', 'secret'), true);
	for (const wrong of ['', 'Secret', 'secret ', 'secre', null, undefined]) {
		assert.equal(isKey(wrong, 'secret'), false);
	}
});

test('each key permits what it is for, and another nothing', () => {
	const keys = {key: 'secret', viewKey: 'seen'};
	assert.equal(permissionOf('secret', keys), 'command');
	assert.equal(permissionOf('seen', keys), 'view');
	for (const wrong of ['', 'secretseen', null, undefined]) {
		assert.equal(permissionOf(wrong, keys), 'none');
	}
});

test('the bearer token is what follows the scheme, in any case', () => {
	assert.equal(bearerToken('Bearer abc'), 'abc');
	assert.equal(bearerToken('bearer abc'), 'abc');
	for (const other of [undefined, '', 'Bearer', 'Basic abc', 'Bearer a b', 'abc']) {
		assert.equal(bearerToken(other), undefined);
	}
});
