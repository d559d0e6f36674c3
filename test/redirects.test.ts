// Redirect targets, and the cookies set on the way.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {DownStreamError} from '../source/downstream.ts';
import {CookieJar} from '../source/engine/origin/cookie-jar.ts';
import {redirectTarget} from '../source/engine/origin/redirect-target.ts';

const from = new URL('http://a.example/films/film.mkv?x=1');
const redirect = (location: string | undefined, status = 302) => ({
	status,
	headers: new Map(location === undefined ? [] : [['location', location]]),
});
/** As headers are received: bytes as Latin-1. */
const received = (text: string) => Buffer.from(text).toString('latin1');

for (const [location, target] of [
	['http://b.example/x', 'http://b.example/x'],
	['HTTPS://b.example', 'https://b.example/'],
	['/x', 'http://a.example/x'],
	['x.mkv', 'http://a.example/films/x.mkv'],
	['../x.mkv', 'http://a.example/x.mkv'],
	['//b.example/x', 'http://b.example/x'],
	['http://-b.example./x', 'http://-b.example./x'],
	['http://0.0.0.0:81/x', 'http://0.0.0.0:81/x'],
	['http://[::1]:81/x', 'http://[::1]:81/x'],
	['?y=2', 'http://a.example/films/film.mkv?y=2'],
	['/x#t=1', 'http://a.example/x'],
	['http://me:secret@b.example/x', 'http://b.example/x'],
	['/my film.mkv', 'http://a.example/my%20film.mkv'],
	['/a%20b?c=%26', 'http://a.example/a%20b?c=%26'],
	['/back\\slash', 'http://a.example/back/slash'],
	['/x?next=http:///y\\z', 'http://a.example/x?next=http:///y\\z'],
	['/x, /x', 'http://a.example/x'],
	[received('/Amélie – ファイル.mkv'), `http://a.example${encodeURI('/Amélie – ファイル.mkv')}`],
	[received('?name=ファイル'), `http://a.example/films/film.mkv?name=${encodeURI('ファイル')}`],
	[received('http://bücher.example/ü'), 'http://xn--bcher-kva.example/%C3%BC'],
	// Latin-1 keeps its bytes.
	['/Am\u00E9lie.mkv', 'http://a.example/Am%E9lie.mkv'],
] as const) {
	test(`a redirect to "${location}" leads to ${target}`, () => {
		for (const status of [300, 301, 302, 303, 307, 308]) {
			assert.equal(redirectTarget(from, redirect(location, status))?.href, target);
		}
	});
}

for (const location of [
	'',
	'   ',
	'http:///x',
	'http:/x',
	'http:x',
	'http:',
	'http://',
	'https:///b.example/x',
	'///x',
	'//',
	'//\\x',
	'\\\\host\\x',
	'\\x',
	'/\\host\\x',
	'http:\\\\host\\x',
	'http://?x',
	'http://:80/',
	'http://b.example:99999/',
	'http://b example/x',
	'http://.../x',
	'http://-/',
	'http://0x/',
	'http://0/',
	'http://b..example/',
	'//.b.example/x',
	`http://${'b'.repeat(64)}.example/`,
	'http://b.example:0/',
	'http://[::1/',
	'ftp://b.example/x',
	'file:///etc/passwd',
	'javascript:alert(1)',
	'C:\\film.mkv',
]) {
	test(`a redirect to "${location}" is refused`, () => {
		assert.throws(
			() => redirectTarget(from, redirect(location)),
			(error: unknown) =>
				error instanceof DownStreamError &&
				error.code === 'origin-misbehaved' &&
				/^a\.example redirects to (?:nowhere|a malformed address|something that is not http)/.test(
					error.message,
				),
		);
	});
}

test('only a redirect with a Location has a target', () => {
	assert.equal(redirectTarget(from, redirect(undefined)), undefined);
	for (const status of [200, 201, 206, 304, 305, 404]) {
		assert.equal(redirectTarget(from, redirect('/x', status)), undefined);
	}
});

function sent(setAt: string, header: string, to: string, own?: string): string | undefined {
	const jar = new CookieJar();
	jar.store(new URL(setAt), header);
	return jar.headerFor(new URL(to), own);
}

const here = 'http://a.example/films/film.mkv';
for (const [words, setCookie, to, cookie] of [
	['the same folder', 'k=v', 'http://a.example/films/x', 'k=v'],
	['a subfolder', 'k=v', 'http://a.example/films/a/b', 'k=v'],
	['the parent folder', 'k=v', 'http://a.example/x', undefined],
	['a folder with the same prefix', 'k=v', 'http://a.example/films2/x', undefined],
	['the path /', 'k=v; Path=/; HttpOnly', 'http://a.example/x', 'k=v'],
	['a different path', 'k=v; Path=/file', 'http://a.example/file/x', 'k=v'],
	['the exact path', 'k=v; Path=/file', 'http://a.example/file', 'k=v'],
	['another host', 'k=v; Path=/', 'http://b.example/x', undefined],
	['a subdomain', 'k=v; Path=/', 'http://sub.a.example/x', undefined],
	['another port', 'k=v; Path=/', 'http://a.example:81/x', 'k=v'],
	['the same host over TLS', 'k=v; Path=/', 'https://a.example/x', 'k=v'],
	['a subdomain of the Domain', 'k=v; Path=/; Domain=.a.example', 'http://sub.a.example:81/x', 'k=v'],
	['a foreign Domain', 'k=v; Path=/; Domain=b.example', 'http://b.example/x', undefined],
	['a host with the same suffix', 'k=v; Path=/; Domain=a.example', 'http://ba.example/x', undefined],
	['a top-level domain', 'k=v; Path=/; Domain=example', 'http://b.example/x', undefined],
	['Secure over plain HTTP', 'k=v; Path=/; Secure', 'https://a.example/x', undefined],
	['Max-Age=0', 'k=v; Max-Age=0', here, undefined],
	['Expires in the past', 'k=v; Expires=Thu, 01 Jan 1970 00:00:00 GMT', here, undefined],
	['Expires in the future', 'k=v; Expires=Fri, 31 Dec 9999 23:59:59 GMT, l=w', here, 'k=v; l=w'],
	['Max-Age overrides Expires', 'k=v; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT', here, 'k=v'],
	['values are kept verbatim', 'k="a=%20b"', here, 'k="a=%20b"'],
	['longer paths come first', 'k=v; Path=/, l=w; Path=/films', here, 'l=w; k=v'],
	['no name', '=v, ;', here, undefined],
] as const) {
	test(`cookies: ${words}`, () => {
		assert.equal(sent(here, setCookie, to), cookie);
	});
}

for (const host of ['127.0.0.1', '127.1.2.3', 'localhost', 'film.localhost', '[::1]']) {
	test(`plain HTTP to ${host} is secure enough for a Secure cookie`, () => {
		const header = '__Host-k=v; Path=/; Secure, __Secure-l=w; Path=/; Secure';
		assert.equal(sent(`http://${host}:1/`, header, `http://${host}:2/`), '__Host-k=v; __Secure-l=w');
	});
}

test('a Secure cookie is sent only over TLS', () => {
	const jar = new CookieJar();
	jar.store(new URL('https://a.example/'), 'k=v; Secure');
	assert.equal(jar.headerFor(new URL('https://a.example/'), undefined), 'k=v');
	assert.equal(jar.headerFor(new URL('http://a.example/'), undefined), undefined);
});

test('setting a cookie again replaces it, and an expired one is removed', () => {
	const jar = new CookieJar();
	const url = new URL(here);
	jar.store(url, 'k=1, l=1');
	jar.store(url, 'k=2, l=; Max-Age=0');
	assert.equal(jar.headerFor(url, undefined), 'k=2');
});

test("the user's cookies come first, and stored ones of the same name replace them", () => {
	assert.equal(sent(here, 'k=new', here, 'a=1; k=old; b=2'), 'a=1; b=2; k=new');
	assert.equal(sent(here, 'k=v', 'http://b.example/', ' odd ;; one'), ' odd ;; one');
});

test('a cookie for an IP address is sent to no other', () => {
	assert.equal(sent('http://127.0.0.1/', 'k=v; Domain=0.0.1', 'http://127.0.0.1/'), undefined);
	assert.equal(sent('http://127.0.0.1/', 'k=v; Domain=127.0.0.1', 'http://127.0.0.1/'), 'k=v');
});
