import assert from 'node:assert/strict';
import {test} from 'node:test';
import type {Key} from 'ink';
import {
	commandOf,
	footerCells,
	footerKeys,
	keyPresses,
	keyTable,
	playerTable,
} from '../source/dashboard/keys.ts';
import {dialogCells} from '../source/dashboard/dialog-view.tsx';
import {editField, fieldOf, insertText, presetOf, type Field} from '../source/dashboard/text-field.tsx';

const plain = {} as Key;

test('one read of several keys is several presses', () => {
	assert.deepEqual(keyPresses('j', plain), {names: ['j']});
	assert.deepEqual(keyPresses('jjj', plain), {names: ['j', 'j', 'j']});
	assert.deepEqual(keyPresses('jjjjjjjj', plain).names.length, 8);
	assert.deepEqual(keyPresses('jpk', plain), {names: ['j', 'p', 'k']});
	assert.deepEqual(keyPresses('jkjkpr', plain), {names: ['j', 'k', 'j', 'k', 'p', 'r']});
});

test('Enter in the same read as a letter is still Enter', () => {
	assert.deepEqual(keyPresses('j\r', plain), {names: ['j', 'return']});
});

test('a link, words or a long text in one read are a paste', () => {
	for (const pasted of ['see this', 'x://y', 'abcdefghijklm']) {
		assert.deepEqual(keyPresses(pasted, plain), {names: [], pasted});
	}

	assert.deepEqual(keyPresses('http://127.0.0.1/film.mkv\r', plain), {
		names: [],
		pasted: 'http://127.0.0.1/film.mkv\r',
	});
});

test('Esc with a letter in one read is Esc, and so is a double Esc', () => {
	assert.deepEqual(keyPresses('d', {...plain, meta: true}), {names: ['escape']});
	assert.deepEqual(keyPresses('', {...plain, meta: true, return: true}), {names: []});
	assert.deepEqual(keyPresses('', {...plain, meta: true, escape: true}), {names: ['escape']});
});

test('special keys have names', () => {
	assert.deepEqual(keyPresses('', {...plain, upArrow: true}), {names: ['up']});
	assert.deepEqual(keyPresses('', {...plain, tab: true, shift: true}), {names: ['shift+tab']});
	assert.deepEqual(keyPresses('c', {...plain, ctrl: true}), {names: ['ctrl+c']});
	assert.deepEqual(keyPresses('', {...plain, ctrl: true, leftArrow: true}), {names: ['ctrl+left']});
});

test('every key has one meaning, and Backspace has none in the list', () => {
	const keys = keyTable.flatMap(({keys}) => keys);
	assert.equal(new Set(keys).size, keys.length);
	assert.equal(commandOf('backspace'), undefined);
	assert.equal(commandOf('delete'), 'remove');
});

test('every description fits the palette of a screen of 60 columns', () => {
	const cells = dialogCells({width: 59, height: 20, ascii: false});
	for (const {help} of [...keyTable, ...playerTable]) {
		assert.ok(help.length <= cells - 13, help);
	}
});

test('the footer fits the screen and keeps the help key', () => {
	for (let width = 40; width < 200; width++) {
		const keys = footerKeys(width, {});
		assert.ok(footerCells(keys) < width, `${width}`);
		const commands = keys.map(({command}) => command);
		assert.ok(
			commands.includes('help') && commands.includes('copy-stream'),
			`${width}: ${commands.join(' ')}`,
		);
	}
});

test('the narrowest footer keeps the key that solves the problem', () => {
	const commands = footerKeys(60, {resume: 'retry', 'new-url': 'new link', pause: false}).map(
		({command}) => command,
	);
	assert.ok(commands.includes('resume') && commands.includes('new-url'), commands.join(' '));
});

function typed(field: Field, ...names: string[]): Field {
	return names.reduce((before, name) => editField(before, name) ?? before, field);
}

test('a text field takes every printable key', () => {
	assert.equal(typed(fieldOf(''), ...Array.from('jkqx?/ ~線'), '👍').text, 'jkqx?/ ~線👍');
});

test('a text field is editable at any position', () => {
	assert.deepEqual(typed(fieldOf('abc'), 'left', 'left', 'X'), {text: 'aXbc', cursor: 2});
	assert.deepEqual(typed(fieldOf('abc'), 'home', 'X', 'end', 'Y').text, 'XabcY');
	assert.deepEqual(typed(fieldOf('abc'), 'backspace').text, 'ab');
	assert.deepEqual(typed(fieldOf('abc'), 'left', 'ctrl+u').text, 'c');
	assert.deepEqual(typed(fieldOf('abc'), 'left', 'ctrl+k').text, 'ab');
	assert.deepEqual(typed(fieldOf('/home/me/films // '), 'ctrl+w').text, '/home/me/');
	assert.deepEqual(typed(fieldOf('/home/me/film.mkv'), 'ctrl+w').text, '/home/me/');
	const words = fieldOf('/home/me/film.mkv');
	assert.deepEqual(typed(words, 'ctrl+left', 'X').text, '/home/me/Xfilm.mkv');
	assert.deepEqual(typed(words, 'ctrl+left', 'ctrl+left', 'X').text, '/home/Xme/film.mkv');
	assert.deepEqual(typed(words, 'home', 'ctrl+right', 'ctrl+right', 'X').text, '/home/meX/film.mkv');
	assert.deepEqual(typed(fieldOf('abc'), 'ctrl+a', 'ctrl+e', '!').text, 'abc!');
	assert.equal(editField(fieldOf('abc'), 'pageUp'), undefined);
	assert.equal(editField(fieldOf('abc'), 'up'), undefined);
});

test('typing, pasting and deleting replace a selected text, and moving keeps it', () => {
	assert.deepEqual(typed(presetOf('45m'), '9', 'm'), {text: '9m', cursor: 2});
	assert.deepEqual(insertText(presetOf('45m'), '9m'), {text: '9m', cursor: 2});
	for (const name of ['backspace', 'delete', 'ctrl+u', 'ctrl+k', 'ctrl+w']) {
		assert.deepEqual(typed(presetOf('45m'), name), {text: '', cursor: 0});
	}

	assert.equal(typed(presetOf('45m'), 'right', '0').text, '45m0');
	assert.equal(typed(presetOf('45m'), 'home', '1').text, '145m');
});

test('the cursor moves by whole characters', () => {
	assert.deepEqual(typed(fieldOf('a👍'), 'backspace'), {text: 'a', cursor: 1});
	assert.deepEqual(typed(fieldOf('a👍'), 'left', 'b').text, 'ab👍');
});

test('a paste of several lines becomes one line', () => {
	assert.equal(insertText(fieldOf(''), 'http://a/\r\nhttp://b/\u001B').text, 'http://a/ http://b/');
});
