import assert from 'node:assert/strict';
import {test} from 'node:test';
import {cellsOf, cleanText, fitName, fitText, padText} from '../source/dashboard/clean-text.ts';
import {formatBytes, formatDuration, formatOffset, formatPercent} from '../source/dashboard/format.ts';
import {commandOf, footerText, keyPresses, keyTable} from '../source/dashboard/keys.ts';
import {columnWidths, rowHeights, scrollTop} from '../source/dashboard/layout.ts';
import {safeFileName, fileName, typeOf} from '../source/engine/file-info.ts';
import {maskUrl} from '../source/mask-url.ts';

const KiB = 1024;

test('bytes have three digits', () => {
	const shown = [
		0,
		999,
		1023,
		KiB,
		9.815 * KiB ** 2,
		12.45 * KiB ** 2,
		311 * KiB ** 2,
		1.225 * KiB ** 3,
		99.96 * KiB,
	].map(bytes => formatBytes(bytes));
	assert.deepEqual(shown, [
		'0 B',
		'999 B',
		'1023 B',
		'1.00 KiB',
		'9.81 MiB',
		'12.4 MiB',
		'311 MiB',
		'1.22 GiB',
		'99.9 KiB',
	]);
});

test('a percent is rounded down, and 100% only when every byte is there', () => {
	const size = 1_000_000;
	const shown = [0, 1, 999, 1000, 430_999, 999_999, size].map(present => formatPercent(present, size));
	assert.deepEqual(shown, ['0%', '<0.1%', '<0.1%', '0.1%', '43.0%', '99.9%', '100%']);
});

test('durations', () => {
	const shown = [0, 8, 59.2, 134, 4320, 86_400, Infinity].map(seconds => formatDuration(seconds));
	assert.deepEqual(shown, ['0s', '8s', '1m00s', '2m14s', '1h 12m', '>1 day', '–']);
});

test('offsets of the map', () => {
	assert.deepEqual(
		[0, 362 * KiB ** 2, 1.065 * KiB ** 3].map(bytes => formatOffset(bytes)),
		['0', '362 M', '1.06 G'],
	);
});

test('what comes from outside is harmless', () => {
	assert.equal(cleanText('a\u001B[31mb\u0007c\u009Bd'), 'a�[31mb�c�d');
	assert.equal(cleanText('film\u202Egpj.exe\u200B'), 'filmgpj.exe');
	assert.equal(cleanText('e\u0301'), 'é');
	assert.equal(cleanText('🇩🇪'), 'DE');
	assert.equal(cleanText('👨‍👩‍👧'), '👨');
	assert.equal(cleanText('👍🏽'), '👍');
	assert.equal(cleanText('線形代数'), '線形代数');
});

test('names are cut in the middle, by cells, and keep their extension', () => {
	const name = 'Big.Buck.Bunny.2160p.60fps.HDR.x265-GROUP.mkv';
	for (const text of [
		name,
		'lecture 07 – 線形代数の基礎（完全版）.mp4',
		'dataset-2026-part-003.tar.zst',
		'x'.repeat(255),
	]) {
		for (let cells = 1; cells < 60; cells++) {
			assert.ok(cellsOf(fitName(text, cells)) <= cells, `${text} in ${cells}`);
		}
	}

	assert.equal(fitName(name, 30), 'Big.Buck.Bunny.216…5-GROUP.mkv');
	assert.match(fitName('dataset-2026-part-003.tar.zst', 16), /…03\.tar\.zst$/);
	assert.equal(fitText('short', 10), 'short');
	assert.equal(fitText('0123456789', 5, {ascii: true}), '012~9');
});

test('padding counts cells', () => {
	assert.equal(padText('線', 4), '線  ');
	assert.equal(padText('ab', 4, 'right'), '  ab');
});

test('secrets in URLs are masked, other parameters are not', () => {
	const url = 'https://cdn.example.org/v/film.mkv?token=abc&quality=hd&X-Amz-Signature=d';
	assert.equal(
		maskUrl(url, '•••'),
		'https://cdn.example.org/v/film.mkv?token=•••&quality=hd&X-Amz-Signature=•••',
	);
});

test('every key is of one command, and each command has a key', () => {
	const keys = keyTable.flatMap(entry => entry.keys);
	assert.equal(new Set(keys).size, keys.length);
	for (const {command, keys} of keyTable) {
		for (const key of keys) {
			assert.equal(commandOf(key), command);
		}
	}
});

const noKey = Object.fromEntries(
	[
		'upArrow',
		'downArrow',
		'leftArrow',
		'rightArrow',
		'pageDown',
		'pageUp',
		'home',
		'end',
		'return',
		'escape',
		'ctrl',
		'shift',
		'tab',
		'backspace',
		'delete',
		'meta',
		'super',
		'hyper',
		'capsLock',
		'numLock',
	].map(name => [name, false]),
) as unknown as Parameters<typeof keyPresses>[1];

test('several keys in one read are several presses, a long text is a paste', () => {
	assert.deepEqual(keyPresses('jjj', noKey), {names: ['j', 'j', 'j']});
	assert.deepEqual(keyPresses('jjjjjjjj', noKey).names.length, 8);
	assert.deepEqual(keyPresses('jp', noKey), {names: ['j', 'p']});
	assert.deepEqual(keyPresses('http://x/', noKey), {names: [], pasted: 'http://x/'});
	assert.deepEqual(keyPresses('c', {...noKey, ctrl: true}), {names: ['ctrl+c']});
	assert.deepEqual(keyPresses('', {...noKey, upArrow: true}), {names: ['up']});
});

test('the footer fits, and help stays to the last', () => {
	for (let width = 20; width < 130; width++) {
		const footer = footerText(width, {});
		assert.ok(cellsOf(footer) <= width, footer);
		assert.match(footer, /\? help/);
	}
});

test('columns fill the width exactly, and go in their order when it is narrow', () => {
	for (let width = 39; width < 200; width++) {
		const columns = columnWidths(width);
		assert.equal(
			Object.values(columns).reduce((sum, cells) => sum + cells),
			width,
		);
		assert.ok(columns.ranges >= 8 && columns.name >= 20, `${width}`);
	}

	const gone = (width: number) =>
		Object.entries(columnWidths(width))
			.filter(([, cells]) => cells === 0)
			.map(([name]) => name);
	assert.deepEqual(
		[gone(80), gone(71), gone(67), gone(51)],
		[[], ['left'], ['players', 'left'], ['players', 'speed', 'left']],
	);
});

test('rows fit the height', () => {
	for (let height = 8; height < 80; height++) {
		for (const [downloads, banners] of [
			[0, 0],
			[1, 2],
			[500, 1],
		] as const) {
			const {tabs, headings, list, details} = rowHeights(height, downloads, banners);
			assert.equal(4 + Number(tabs) + Number(headings) + banners + list + details, height);
			assert.ok(list >= 2, `${list} rows at ${height}`);
		}
	}
});

test('scrolling moves as little as it takes', () => {
	assert.equal(scrollTop(0, 5, 10, 100), 0);
	assert.equal(scrollTop(0, 10, 10, 100), 1);
	assert.equal(scrollTop(50, 20, 10, 100), 20);
	assert.equal(scrollTop(95, 99, 10, 100), 90);
	assert.equal(scrollTop(5, 2, 10, 4), 0);
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

test('reserved names and long ones are made possible', () => {
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

test('types come from Content-Type, or from the name where it says nothing', () => {
	assert.equal(typeOf({contentType: 'Video/MP4; codecs=x', name: 'a.mkv'}), 'video/mp4');
	assert.equal(typeOf({contentType: 'application/octet-stream', name: 'a.mkv'}), 'video/x-matroska');
	assert.equal(typeOf({contentType: 'text/plain', name: 'a.mp4'}), 'video/mp4');
	assert.equal(typeOf({contentType: 'text/plain', name: 'a.txt'}), 'text/plain');
	assert.equal(typeOf({name: 'unknown'}), undefined);
});
