import assert from 'node:assert/strict';
import {test} from 'node:test';
import xterm from '@xterm/headless';
import {lineChange} from '../source/terminal/line-change.ts';

const styles = [
	'',
	'\u001B[1m',
	'\u001B[38;2;1;2;3m',
	'\u001B[38;2;9;9;9m',
	'\u001B[7m',
	'\u001B[36m',
	'\u001B[2m',
	'\u001B[4m',
];
const ends: Record<string, string> = {1: '22', 38: '39', 7: '27', 36: '39', 2: '22', 4: '24'};

let seed = 3;
function random(below: number): number {
	seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
	return seed % below;
}

function randomPiece(): string {
	const style = styles[random(styles.length)]!;
	const text = Array.from({length: 1 + random(9)}, () => 'ab 01█▌·▸'[random(9)]).join('');
	const [, code = ''] = /\[(\d+)/.exec(style) ?? [];
	return style === '' ? text : `${style}${text}\u001B[${ends[code]}m`;
}

async function cellsAfter(...writes: string[]): Promise<unknown[]> {
	const terminal = new xterm.Terminal({cols: 120, rows: 2, allowProposedApi: true});
	for (const text of writes) {
		await new Promise<void>(resolve => {
			terminal.write(text, resolve);
		});
	}

	const line = terminal.buffer.active.getLine(0)!;
	return Array.from({length: 120}, (_, column) => {
		const cell = line.getCell(column)!;
		const text = cell.getChars() || ' ';
		// A blank shows no color.
		const color = text === ' ' ? '' : `${cell.getFgColorMode()} ${cell.getFgColor()}`;
		const flags = [
			cell.isInverse(),
			cell.isUnderline(),
			text !== ' ' && cell.isBold(),
			text !== ' ' && cell.isDim(),
		];
		return [text, color, ...flags.map(Boolean)].join(' ');
	});
}

test('writing the changed cells over the old line gives the new line', async () => {
	for (let round = 0; round < 300; round++) {
		const pieces = Array.from({length: random(10)}, () => randomPiece());
		const changed = pieces.map(piece => (random(4) === 0 ? randomPiece() : piece)).slice(0, random(12));
		const [before, after] = [pieces.join('').trimEnd(), changed.join('').trimEnd()];
		const change = lineChange(before, after)!;
		assert.deepEqual(
			await cellsAfter(`${before}\u001B[${1 + random(100)}G`, change),
			await cellsAfter(after),
			JSON.stringify({before, after, change}),
		);
	}
});

test('only one changed digit is written', () => {
	assert.equal(lineChange('\u001B[1ma\u001B[22m 41% b', '\u001B[1ma\u001B[22m 42% b'), '\u001B[4G2');
	assert.equal(lineChange('same', 'same'), '');
	assert.equal(lineChange('longer', 'long'), '\u001B[5G\u001B[K');
});

test('a line with wide characters, links or unknown sequences is written whole', () => {
	for (const line of [
		'線形',
		'👍',
		'\u001B]8;;http://a/\u0007a\u001B]8;;\u0007',
		'\u001B[5;1Hx',
		'e\u0301',
	]) {
		assert.equal(lineChange('a', line), undefined);
		assert.equal(lineChange(line, 'a'), undefined);
	}
});
