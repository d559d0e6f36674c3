// Challenges of a 401, and HTTP Digest.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {loginProblem, parseChallenges} from '../source/engine/origin/challenges.ts';
import {digestAuthorization, DigestLogin, type DigestRequest} from '../source/engine/origin/digest-login.ts';

function responseTo(header: string, request: Partial<DigestRequest>): string | undefined {
	const [challenge] = parseChallenges(header);
	const authorization = digestAuthorization(challenge!, {
		user: 'Mufasa',
		password: 'Circle of Life',
		target: '/dir/index.html',
		count: 1,
		cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
		...request,
	});
	return /response="(\w+)"/.exec(authorization)?.[1];
}

const rfc7616 =
	'realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"';
const rfc2617 =
	'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"';

for (const [words, header, request, response] of [
	['RFC 7616 section 3.9.1, MD5', `Digest ${rfc7616}, algorithm=MD5`, {}, '8ca523f5e9506fed4657c9700eebdbec'],
	[
		'RFC 7616 section 3.9.1, SHA-256',
		`Digest ${rfc7616}, algorithm=SHA-256`,
		{},
		'753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1',
	],
	[
		'RFC 2617 section 3.5',
		`${rfc2617}, qop="auth,auth-int"`,
		{password: 'Circle Of Life', cnonce: '0a4f113b'},
		'6629fae49393a05397450978507c4ef1',
	],
	[
		'RFC 2069 section 2.4, as its errata have it',
		rfc2617,
		{password: 'CircleOfLife'},
		'1949323746fe6a43ef61f9606e7febea',
	],
] as const) {
	test(`Digest: ${words}`, () => {
		assert.equal(responseTo(header, request), response);
	});
}

test('several challenges in one header are parsed', () => {
	const header =
		'Negotiate, NTLM TlRMTVNTUAACAAAA/w==, Basic realm="a, \\"b\\" = c", Digest realm = x,nonce="n=1", stale=TRUE,, Bearer';
	assert.deepEqual(
		parseChallenges(header).map(({scheme, parameters}) => [scheme, Object.fromEntries(parameters)]),
		[
			['negotiate', {}],
			['ntlm', {}],
			['basic', {realm: 'a, "b" = c'}],
			['digest', {realm: 'x', nonce: 'n=1', stale: 'TRUE'}],
			['bearer', {}],
		].map(([scheme, parameters]) =>
			scheme === 'ntlm' ? [scheme, {'tlrmtvntuaacaaaa/w': '='}] : [scheme, parameters],
		),
	);
	assert.deepEqual(parseChallenges(undefined), []);
	assert.deepEqual(parseChallenges(' ,=,"", =='), []);
});

const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`;

test('the first supported challenge is used, and its requests are counted', () => {
	const login = DigestLogin.fromBasic(basic('me:a:b'))!;
	assert.equal(login.authorize('/'), undefined);
	const others =
		'Digest realm="r", nonce="a", algorithm=SHA-3, Digest realm="r", nonce="b", qop=auth-int, Digest realm="r"';
	assert.equal(login.accept(others, true), false);
	assert.equal(login.accept(undefined, true), false);
	assert.equal(
		login.accept(`${others}, Digest realm="r\\"x", nonce="c", qop="auth", algorithm=sha-256`, true),
		true,
	);
	const first = login.authorize('/a?b="c"')!;
	assert.match(
		first,
		/^Digest username="me", realm="r\\"x", nonce="c", uri="\/a\?b=\\"c\\"", response="\w{64}", algorithm=sha-256, qop=auth, nc=00000001, cnonce="[^"]{24}"$/,
	);
	assert.match(login.authorize('/')!, /nc=00000002/);
	assert.equal(login.accept('Digest realm="r", nonce="d"', false), false, 'refused after an answer');
	assert.equal(login.accept('Digest realm="r", nonce="d", stale=true', false), true);
	assert.match(login.authorize('/')!, /nonce="d"/);
});

test('only Basic credentials contain a user and a password', () => {
	assert.ok(DigestLogin.fromBasic(basic('ü:ß')));
	assert.ok(DigestLogin.fromBasic(`basic  ${Buffer.from(':').toString('base64')}`));
	for (const other of [undefined, '', 'Bearer abc', basic('nocolon'), basic('a:b\r\nX: y')]) {
		assert.equal(DigestLogin.fromBasic(other), undefined);
	}
});

for (const [header, isKnown, sentence, needed] of [
	[undefined, false, /^401 Unauthorized: h needs a user name and password$/, 'password'],
	['Basic realm="Members"', false, /needs a user name and password \(Basic, "Members"\)$/, 'password'],
	['Digest realm="r", nonce="n", Basic realm="s"', false, /\(Digest or Basic, "r"\)/, 'password'],
	['Bearer realm="api"', false, /needs a token \(Bearer, "api"\)$/, 'token'],
	['Negotiate, NTLM', false, /an unsupported kind of login \(Negotiate or NTLM\)$/, 'other-login'],
	['Basic realm="a\u0085\u009B31mb"', false, /"a 31mb"/, 'password'],
	[`Basic realm="${'x'.repeat(500)}"`, false, /"x{60}"/, 'password'],
	['Basic realm="r"', true, /h requires a valid user, password or token \(Basic, "r"\)$/, undefined],
	['Strange x', true, /h requires a valid user, password or token$/, undefined],
] as const) {
	test(`a 401 with "${header?.slice(0, 40)}" ${isKnown ? 'after a login ' : ''}explains what is required`, () => {
		const {message, needs} = loginProblem('h', header, isKnown);
		assert.match(message, sentence);
		assert.equal(needs, needed);
	});
}
