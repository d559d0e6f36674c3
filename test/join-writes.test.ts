import assert from 'node:assert/strict';
import {test} from 'node:test';
import {stripVTControlCharacters} from 'node:util';
import {joinWrites, type Operation} from '../source/terminal/join-writes.ts';
import {lineChange} from '../source/terminal/line-change.ts';

type InkOutput = {operations: Operation[]; get(): {output: string; height: number}};

// Ink does not export it.
const {default: Output} = (await import(new URL('output.js', import.meta.resolve('ink')).href)) as {
	default: new (size: {width: number; height: number}) => InkOutput;
};

const [width, height] = [60, 8];

function composed(operations: readonly Operation[]): string {
	const output = new Output({width, height});
	output.operations.push(...operations);
	return output.get().output;
}

function write(x: number, y: number, text: string, open?: string, close?: string): Operation {
	const transformers =
		open === undefined ? [] : [(line: string) => `\u001B[${open}m${line}\u001B[${close ?? '39'}m`];
	return {type: 'write', x, y, text, transformers};
}

let seed = 7;
function random(below: number): number {
	seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
	return seed % below;
}

const styles = [[], ['36'], ['7', '27'], ['38;2;1;2;3']] as const;

function randomText(length: number): string {
	return Array.from({length}, () => 'ab 01█▌·▸'[random(9)]).join('');
}

function randomFrame(): Operation[] {
	return Array.from({length: height}, (_, y) => {
		const writes: Operation[] = [];
		for (let x = random(5); x < width - 12; x += random(4)) {
			const text = randomText(1 + random(8));
			writes.push(write(x, y, text, ...styles[random(4)]!));
			x += text.length;
		}

		return writes;
	}).flat();
}

function randomCover(): Operation[] {
	const [x, cells] = [random(30), 1 + random(25)];
	return Array.from({length: 3}, (_, row) => write(x, 2 + row, randomText(cells), ...styles[random(4)]!));
}

function assertAsComposed(frame: readonly Operation[]): void {
	const [lines, expected] = [joinWrites(frame, height)!.split('\n'), composed(frame).split('\n')];
	assert.equal(lines.length, expected.length);
	for (const [row, line] of lines.entries()) {
		assert.equal(
			stripVTControlCharacters(line).trimEnd(),
			stripVTControlCharacters(expected[row]!).trimEnd(),
		);
		assert.equal(lineChange(expected[row]!, line), '', JSON.stringify({line, expected: expected[row]}));
	}
}

test('joined texts show what Ink composes from cells', () => {
	for (let round = 0; round < 200; round++) {
		assertAsComposed(randomFrame());
	}
});

test('a text covers those before it', () => {
	for (let round = 0; round < 200; round++) {
		assertAsComposed([...randomFrame(), ...randomCover(), ...randomCover()]);
	}
});

test('wide characters count two cells, and a covered half makes the other half blank', () => {
	const frame = [write(0, 0, '線形'), write(4, 0, 'a'), write(8, 0, '👍'), write(11, 0, 'b')];
	assert.equal(joinWrites(frame, 1), '線形a   👍 b');
	for (const x of [0, 1, 2, 3]) {
		const covered = [write(0, 0, '線形 a'), write(x, 0, '-')];
		assert.equal(joinWrites(covered, 1), ['- 形 a', ' -形 a', '線-  a', '線 - a'][x]);
	}
});

test('texts outside of their clip or the screen are omitted', () => {
	const frame: Operation[] = [
		write(0, 0, 'first'),
		{type: 'clip', clip: {y1: 1, y2: 3}},
		...[0, 1, 2, 3].map(y => write(10, y, `line ${y}`)),
		{type: 'unclip'},
		write(0, 4, 'last'),
		write(0, height, 'below'),
	];
	assert.equal(joinWrites(frame, height), composed(frame));
});

test('several lines and a clip on a side are left to Ink', () => {
	assert.equal(joinWrites([write(0, 0, 'two\nlines')], 2), undefined);
	assert.equal(joinWrites([{type: 'clip', clip: {x1: 0, x2: 2}}, write(0, 0, 'text')], 1), undefined);
});
