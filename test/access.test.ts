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
	['a program that sends only Host', {host}, 'granted'],
	['localhost', {host: 'LocalHost:8080'}, 'granted'],
	['the IPv6 loopback', {host: '[::1]:8080'}, 'granted'],
	['a name rebound to loopback', {host: 'evil.example:8080'}, 421],
	['a name with our address as prefix', {host: '127.0.0.1.evil.example:8080'}, 421],
	['a forwarded port', {host: '127.0.0.1:9000'}, 'granted'],
	['a Host without a port', {host: '127.0.0.1'}, 'granted'],
	['the IPv6 loopback without a port', {host: '[::1]'}, 'granted'],
	['a foreign name at our port', {host: 'evil.example:8080', origin: 'http://evil.example:8080'}, 421],
	['an invalid port', {host: '127.0.0.1:80a'}, 421],
	['a host with a user before it', {host: 'localhost:80@evil.example'}, 421],
	['a name with our name as suffix', {host: 'evil.localhost:8080'}, 421],
	['another address of loopback', {host: '127.0.0.2:8080'}, 'granted'],
	['the last address of loopback', {host: '127.255.255.255'}, 'granted'],
	['localhost with the dot that ends a name', {host: 'localhost.:8080'}, 'granted'],
	['an address with a dot at its end', {host: '127.0.0.1.'}, 'granted'],
	['two dots at the end', {host: 'localhost..:8080'}, 421],
	['an address beyond loopback', {host: '128.0.0.1:8080'}, 421],
	['a name of numbers', {host: '127.0.0.256:8080'}, 421],
	['a name that begins as an address does', {host: '127.0.0.1.1:8080'}, 421],
	['an address that is written short', {host: '127.1:8080'}, 'granted'],
	['an address beyond loopback that is written short', {host: '10.1:8080'}, 421],
	['dots alone', {host: '..'}, 421],
	['the last port', {host: 'localhost:65535'}, 'granted'],
	['a port beyond the last one', {host: 'localhost:99999'}, 421],
	['a port of six digits', {host: 'localhost:000080'}, 421],
	['no Host', {}, 421],
	['a URL typed by the user', {host, 'sec-fetch-site': 'none'}, 'granted'],
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
	['an unknown site value', {host, 'sec-fetch-site': 'elsewhere'}, 403],
	['a script of a foreign page', {host, origin: 'https://evil.example'}, 403],
	['a script of a page on another port', {host, origin: 'http://127.0.0.1:9000'}, 403],
	['a sandboxed page', {host, origin: 'null'}, 403],
	[
		'a script of an allowed page',
		{host, origin: 'https://player.example', 'sec-fetch-site': 'cross-site'},
		'granted',
		'https://player.example',
	],
	[
		'a video on an allowed page',
		{host, referer: 'https://player.example/film', 'sec-fetch-site': 'cross-site'},
		'granted',
		'https://player.example',
	],
	[
		'a video on a page with the allowed name in its path',
		{host, referer: 'https://evil.example/https://player.example', 'sec-fetch-site': 'cross-site'},
		403,
	],
	[
		'a foreign script with the allowed page as referrer',
		{host, origin: 'https://evil.example', referer: 'https://player.example/'},
		403,
	],
	['an allowed page with a rebound name', {host: 'evil.example:8080', origin: 'https://player.example'}, 421],
	[
		'the allowed extension',
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
	['the allowed page with another scheme', {host, origin: 'http://player.example'}, 403],
];

for (const [what, headers, expected, page] of table) {
	test(`${what}: ${expected}`, () => {
		const decision = decideAccess(headers, policy);
		assert.equal(decision.granted ? 'granted' : decision.status, expected);
		assert.equal(decision.granted ? decision.page : undefined, page);
	});
}

test('a key equals only itself', () => {
	assert.equal(isKey('secret', 'secret'), true);
	for (const wrong of ['', 'Secret', 'secret ', 'secre', null, undefined]) {
		assert.equal(isKey(wrong, 'secret'), false);
	}
});

test('each key permits only its own requests, and an unknown key none', () => {
	const keys = {key: 'secret', viewKey: 'seen'};
	assert.equal(permissionOf('secret', keys), 'command');
	assert.equal(permissionOf('seen', keys), 'view');
	for (const wrong of ['', 'secretseen', null, undefined]) {
		assert.equal(permissionOf(wrong, keys), 'none');
	}
});

test('the bearer token follows the scheme, in any letter case', () => {
	assert.equal(bearerToken('Bearer abc'), 'abc');
	assert.equal(bearerToken('bearer abc'), 'abc');
	for (const other of [undefined, '', 'Bearer', 'Basic abc', 'Bearer a b', 'abc']) {
		assert.equal(bearerToken(other), undefined);
	}
});
