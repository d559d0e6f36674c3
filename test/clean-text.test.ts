import assert from 'node:assert/strict';
import {test} from 'node:test';
import {cellsOf, cleanText, fitName, fitText, padText} from '../source/text/clean-text.ts';

test('control characters become visible, so no escape sequence survives', () => {
	assert.equal(cleanText('\u001B[2Jevil\u001B]52;c;aGk=\u0007'), '�[2Jevil�]52;c;aGk=�');
	assert.equal(cleanText('\u009B31m\u009D0;title\u009C'), '�31m�0;title�');
	assert.equal(cleanText('a\r\nb\tc\u007F'), 'a��b�c�');
	for (let code = 0; code < 0xa0; code++) {
		if (code < 0x20 || code > 0x7e) {
			assert.equal(cleanText(`a${String.fromCodePoint(code)}b`), 'a�b');
		}
	}
});

test('invisible and bidirectional characters are removed', () => {
	assert.equal(cleanText('film\u202Egpj.exe\u202C'), 'filmgpj.exe');
	assert.equal(cleanText('\u2066a\u2069\u200Bb\u200E\uFEFFc\u00AD'), 'abc');
	assert.equal(cleanText('a\u2028b\u2029'), 'ab');
	assert.equal(cleanText('a\uD800b'), 'ab');
});

test('text is normalized to NFC', () => {
	assert.equal(cleanText('e\u0301te\u0301'), 'été');
});

test('graphemes of ambiguous width are simplified', () => {
	assert.equal(cleanText('👩‍👩‍👧‍👦.mkv'), '👩.mkv');
	assert.equal(cleanText('👍🏽'), '👍');
	assert.equal(cleanText('❤️'), '❤');
	assert.equal(cleanText('🇩🇪'), 'DE');
	assert.equal(cleanText('1\uFE0F\u20E3'), '1');
});

test('text that fits is unchanged, and truncated text fills the cells or one less', () => {
	assert.equal(fitText('short', 5), 'short');
	const texts = [
		'Big.Buck.Bunny.2160p.60fps.HDR',
		'線形代数の基礎（完全版）',
		'👩👍👩👍👩👍👩👍',
		'été à la plage, e\u0301te\u0301',
	];
	for (const text of texts) {
		for (let cells = 0; cells < cellsOf(text); cells++) {
			const cut = fitText(text, cells);
			assert.ok(cellsOf(cut) <= cells && cellsOf(cut) >= cells - 2, `${cut} for ${cells}`);
			assert.equal(cellsOf(padText(text, cells)), cells);
		}
	}
});

test('text is truncated in the middle, with 40 % of the room for its tail', () => {
	assert.equal(fitText('0123456789abcdefghij', 11), '012345…ghij');
	assert.equal(fitText('0123456789abcdefghij', 11, {ascii: true}), '012345~ghij');
});

test('a name keeps its extension and two characters before it', () => {
	assert.equal(fitName('Big.Buck.Bunny.2160p.60fps.HDR.x265-GROUP.mkv', 20), 'Big.Buck.Bun…OUP.mkv');
	assert.equal(fitName('dataset-2026-part-003.tar.zst', 16), 'datas…03.tar.zst');
	assert.equal(fitName('a-very-long-name-of-a-film.mkv', 9), 'a-…lm.mkv');
	assert.match(fitName(`${'線'.repeat(200)}.mp4`, 20), /^線{6}…線{1,2}\.mp4$/);
	assert.match(fitName(`${'x'.repeat(251)}.mkv`, 30), /^x+…x+\.mkv$/);
});

test('padding fills the requested side', () => {
	assert.equal(padText('線', 4), '線  ');
	assert.equal(padText('43.0%', 8, {align: 'right'}), '   43.0%');
});
