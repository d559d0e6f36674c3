import assert from 'node:assert/strict';
import {test} from 'node:test';
import {fileName, sniffType, typeOf} from '../source/engine/origin/file-info.ts';
import {safeFileName} from '../source/engine/store/file-name.ts';

/** As Node delivers headers: bytes as Latin-1. */
const received = (header: string) => Buffer.from(header).toString('latin1');

const dispositions: Array<[header: string, name: string]> = [
	['attachment; filename="film.mkv"', 'film.mkv'],
	['inline; filename=film.mkv', 'film.mkv'],
	['attachment; filename="old.mkv"; filename*=UTF-8\'\'%E7%B7%9A.mkv', '線.mkv'],
	["attachment; filename*=ISO-8859-1''na%EFve.mkv", 'naïve.mkv'],
	[received('attachment; filename="線.mkv"'), '線.mkv'],
	['attachment; filename="na\u00EFve.mkv"', 'naïve.mkv'],
	['attachment; filename="a \\"b\\".mkv"', 'a _b_.mkv'],
	['attachment; filename="C:\\\\films\\\\film.mkv"', 'film.mkv'],
	['attachment; filename=My Movie (2020).mkv', 'My Movie (2020).mkv'],
	['attachment; filename=film.mkv; size=123', 'film.mkv'],
	['attachment; filename="film.mkv";', 'film.mkv'],
	['attachment;filename="film.mkv', 'film.mkv'],
	['attachment; filename="a;b.mkv', 'a;b.mkv'],
	['filename="film.mkv"', 'film.mkv'],
	['filename=film.mkv', 'film.mkv'],
	["filename*=UTF-8''%E7%B7%9A.mkv", '線.mkv'],
	['attachment filename="film.mkv"', 'film.mkv'],
	['attachment filename=my film.mkv', 'my film.mkv'],
	['attachment, filename="film.mkv"', 'film.mkv'],
	['attachment , filename=film.mkv; size=123', 'film.mkv'],
	["attachment filename*=UTF-8''%E7%B7%9A.mkv", '線.mkv'],
	['filename = film.mkv', 'film.mkv'],
	['attachment; name="a, filename=b"; filename="film.mkv"', 'film.mkv'],
	["attachment; filename='film.mkv'", 'film.mkv'],
	["attachment; filename=it's film.mkv", "it's film.mkv"],
	['attachment; filename="film.mkv"; filename="other.mkv"', 'film.mkv'],
	['ATTACHMENT; FileName = "film.mkv"', 'film.mkv'],
	[String.raw`attachment; filename="C:\films\film.mkv"`, 'film.mkv'],
	['attachment; filename="/srv/films/film.mkv"', 'film.mkv'],
	['attachment; filename=%E4%B8%AD%E6%96%87.mkv', '中文.mkv'],
	['attachment; filename="%E4%B8%AD%E6%96%87.mkv"', '中文.mkv'],
	['attachment; filename="..%2F..%2Fetc%2Fpasswd"', 'passwd'],
	['attachment; filename="100%.mkv"', '100%.mkv'],
	['attachment; filename="50%25 off.mkv"', '50% off.mkv'],
	['attachment; filename="%E9t%E9.mkv"', '%E9t%E9.mkv'],
	['attachment; filename="=?UTF-8?B?5Lit5paHLm1rdg==?="', '中文.mkv'],
	['attachment; filename="=?utf-8?q?na=C3=AFve_film?= =?utf-8?Q?.mkv?="', 'naïve film.mkv'],
	['attachment; filename="=?ISO-8859-1?Q?na=EFve?=.mkv"', 'naïve.mkv'],
	['attachment; filename==?UTF-8?B?5Lit5paHLm1rdg==?=', '中文.mkv'],
	['attachment; filename="=?nonsense?B?5Lit?=.mkv"', '=_nonsense_B_5Lit_=.mkv'],
	['attachment; filename*="UTF-8\'\'%E4%B8%AD.mkv"', '中.mkv'],
	["attachment; filename*=''film.mkv; filename=old.mkv", 'film.mkv'],
	['attachment; filename*=utf-8"\'\'film.mkv"', 'film.mkv'],
	['attachment; filename*=film.mkv; filename=old.mkv', 'film.mkv'],
	["attachment; filename*=utf8'en'film.mkv", 'film.mkv'],
	["attachment; filename*=Shift_JIS''%83t%83%40.mkv", 'ファ.mkv'],
	['attachment; filename*=UTF-8\'\'film.7z; filename="old.7z"', 'film.7z'],
	["attachment; filename=old.mkv; filename*=UTF-8''%zz", 'old.mkv'],
	["attachment; filename=old.mkv; filename*=UTF-8''%FF.mkv", 'old.mkv'],
	["attachment; filename=old.mkv; filename*=nonsense''film.mkv", 'old.mkv'],
	[received("attachment; filename*=UTF-8''線.mkv"), '線.mkv'],
	[received('attachment; filename=中文.mkv'), '中文.mkv'],
	// These contain no name, so the URL decides.
	['attachment', 'url.mp4'],
	['attachment; filename=""', 'url.mp4'],
	["attachment; filename*=UTF-8''%zz", 'url.mp4'],
	['', 'url.mp4'],
	['\u0000;;=', 'url.mp4'],
];

for (const [header, name] of dispositions) {
	test(`Content-Disposition ${JSON.stringify(header)} names ${name}`, () => {
		assert.equal(fileName({url: new URL('http://a.example/url.mp4'), contentDisposition: header}), name);
	});
}

const urls: Array<[url: string, type: string | undefined, name: string]> = [
	['http://a.example/', undefined, 'download'],
	['http://a.example/', 'video/webm; codecs=vp9', 'download.webm'],
	['http://a.example/', 'application/octet-stream', 'download'],
	['http://a.example/folder/', undefined, 'folder'],
	['http://a.example/..%2F..%2Fetc%2Fpasswd', undefined, '_.._etc_passwd'],
	['http://a.example/%FF.mkv', undefined, '%FF.mkv'],
	['http://a.example/film.mkv?name=other.mp4#t=1', undefined, 'film.mkv'],
];

for (const [url, type, name] of urls) {
	test(`${url} of type ${type ?? 'unknown'} is named ${name}`, () => {
		assert.equal(fileName({url: new URL(url), type}), name);
	});
}

test('safe names are safe for any input', () => {
	const parts = [
		'.',
		'/',
		'\\',
		'\u0000',
		'\u202E',
		'\u200B',
		'\n',
		'con',
		'nul',
		'COM1',
		' ',
		':',
		'線',
		'👨‍👩‍👧',
		'e\u0301',
		'.mkv',
	];
	for (let index = 0; index < 5000; index++) {
		const name = Array.from(
			{length: 1 + (index % 7)},
			(_, place) => parts[(index * 31 + place * place * 17) % parts.length],
		).join('');
		const safe = safeFileName(name.repeat(1 + (index % 40)));
		assert.match(safe, /^[^.\s/\\:\p{Cc}\p{Cf}][^/\\:\p{Cc}\p{Cf}]*$/u);
		assert.doesNotMatch(safe, /[.\s]$|^(?:con|nul|com1)(?:\.|$)/i);
		assert.ok(Buffer.byteLength(safe) <= 255, safe);
		assert.equal(safe, safe.normalize('NFC'));
		assert.equal(safe, safeFileName(safe));
	}
});

test('an uninformative type is ignored, even if the name suggests none', () => {
	assert.equal(typeOf({contentType: 'application/octet-stream', name: 'firmware.bin'}), undefined);
	assert.equal(typeOf({contentType: 'binary/octet-stream', name: 'film.mp4'}), 'video/mp4');
	assert.equal(typeOf({contentType: 'application/x-download', name: 'song.flac'}), 'audio/x-flac');
	assert.equal(typeOf({contentType: 'nonsense', name: 'download'}), undefined);
	assert.equal(typeOf({contentType: ' TEXT/HTML;charset=utf-8', name: 'film.mp4'}), 'text/html');
});

test('the first bytes reveal the type', async () => {
	const matroska = Buffer.from('1a45dfa3934282886d6174726f736b61', 'hex');
	assert.equal(await sniffType(matroska), 'video/matroska');
	assert.equal(await sniffType(Buffer.from('fLaC\u0000\u0000\u0000\u0022')), 'audio/flac');
	assert.equal(await sniffType(Buffer.from('plain words')), undefined);
	assert.equal(await sniffType(new Uint8Array()), undefined);
});

test('reserved and long names are made valid', () => {
	assert.doesNotMatch(safeFileName('con.txt'), /^con\./i);
	const long = safeFileName(`${'線'.repeat(200)}.tar.gz`);
	assert.ok(Buffer.byteLength(long) <= 255);
	assert.ok(long.endsWith('線.tar.gz'));
});

test('names come from Content-Disposition, else from the URL, else from the type', () => {
	const url = new URL('http://a.example/path/na%C3%AFve%20film.mkv?x=1');
	assert.equal(fileName({url}), 'naïve film.mkv');
	assert.equal(fileName({url, contentDisposition: 'attachment; filename="plain.mp4"'}), 'plain.mp4');
	assert.equal(
		fileName({url, contentDisposition: 'attachment; filename="old.mp4"; filename*=UTF-8\'\'n%C3%A9w.mp4'}),
		'néw.mp4',
	);
	assert.equal(fileName({url, contentDisposition: 'attachment; filename="../../evil.sh"'}), 'evil.sh');
	assert.equal(fileName({url, contentDisposition: ';;;=broken'}), 'naïve film.mkv');
	assert.equal(fileName({url: new URL('http://a.example/'), type: 'video/mp4'}), 'download.mp4');
});

test('types come from Content-Type, or from the name if that is uninformative', () => {
	assert.equal(typeOf({contentType: 'Video/MP4; codecs=x', name: 'a.mkv'}), 'video/mp4');
	assert.equal(typeOf({contentType: 'application/octet-stream', name: 'a.mkv'}), 'video/x-matroska');
	assert.equal(typeOf({contentType: 'text/plain', name: 'a.mp4'}), 'video/mp4');
	assert.equal(typeOf({contentType: 'text/plain', name: 'a.txt'}), 'text/plain');
	assert.equal(typeOf({name: 'unknown'}), undefined);
});

const evil: Array<[name: string, safe: string]> = [
	['../../etc/passwd', '_.._etc_passwd'],
	['/etc/passwd', '_etc_passwd'],
	['.bashrc', 'bashrc'],
	['a\u0000b', 'ab'],
	['film\u202Egpj.exe', 'filmgpj.exe'],
	['', 'download'],
	['...', 'download'],
	['name. ', 'name'],
];

for (const [name, safe] of evil) {
	test(`${JSON.stringify(name)} is stored as ${safe}`, () => {
		assert.equal(safeFileName(name), safe);
	});
}
