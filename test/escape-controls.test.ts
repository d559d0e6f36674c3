import assert from 'node:assert/strict';
import {test} from 'node:test';
import {escapeControls, safeJson} from '../source/text/escape-controls.ts';

test('control and invisible characters are escaped', () => {
	assert.equal(escapeControls('a\u001B[2J\u007F\u009B1m'), String.raw`a\u001b[2J\u007f\u009b1m`);
	assert.equal(escapeControls('a\u202Eb\u2066\u200E\u061C'), String.raw`a\u202eb\u2066\u200e\u061c`);
	assert.equal(escapeControls('a\r\n\u2028'), String.raw`a\u000d\u000a\u2028`);
	assert.equal(escapeControls('\u{E0041}'), String.raw`\udb40\udc41`);
	assert.equal(escapeControls('Ünïcode 線形 👍 "\\'), 'Ünïcode 線形 👍 "\\');
});

test('safe JSON has no such character and parses to the same value', () => {
	const every = Array.from({length: 0x3000}, (_, code) => String.fromCharCode(code)).join('');
	const value = {[every]: [`${every}\u{E0041}\uFEFF\uD800`]};
	const json = safeJson(value);
	assert.doesNotMatch(json, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
	assert.deepEqual(JSON.parse(json), value);
});
