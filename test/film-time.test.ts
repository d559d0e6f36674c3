import assert from 'node:assert/strict';
import {test} from 'node:test';
import {parsePercent, parseTime} from '../source/text/film-time.ts';
import {formatTime} from '../source/text/film-words.ts';

test('displayed times parse to themselves', () => {
	for (const text of ['0:00', '0:41', '41:07', '1:02:10', '100:00:00']) {
		assert.equal(formatTime(parseTime(text)!), text);
	}

	assert.equal(formatTime(61_999), '1:01');
});

test('a typed time has hours, minutes and seconds in either form', () => {
	for (const [text, seconds] of [
		['90', 90],
		[' 1:5 ', 65],
		['90:00', 5400],
		['1h', 3600],
		['1h 2m 10s', 3730],
		['2m10S', 130],
		['45m', 2700],
	] as const) {
		assert.equal(parseTime(text), seconds * 1000, text);
	}

	for (const text of [
		'',
		' ',
		':',
		'1:',
		':5',
		'99:99',
		'1:60',
		'1:60:00',
		'1:2:3:4',
		'-5',
		'1.5',
		'h',
		'NaN',
		'1e9',
	]) {
		assert.equal(parseTime(text), undefined, text);
	}
});

test('a typed share ends in a percent sign', () => {
	for (const [text, percent] of [
		['42%', 42],
		[' 7.5 % ', 7.5],
		['7,5%', 7.5],
		['0%', 0],
		['100%', 100],
	] as const) {
		assert.equal(parsePercent(text), percent, text);
	}

	for (const text of ['', '%', '42', '-1%', '1e2%', '1000%', '4.%', '42%%']) {
		assert.equal(parsePercent(text), undefined, text);
	}
});
