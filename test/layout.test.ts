import assert from 'node:assert/strict';
import {test} from 'node:test';
import {columnWidths, rowHeights, scrollTop, windowTop} from '../source/dashboard/layout.ts';

const nothing = {name: 0, watch: 0, shortWatch: 0};
/** Films of more than an hour, one of them with a long name. */
const films = {name: 45, watch: 22, shortWatch: 9};

test('columns fill the width, and a narrow screen drops them in order', () => {
	for (let width = 39; width < 200; width++) {
		for (const longest of [nothing, films, {...films, name: 500}]) {
			const columns = columnWidths(width, longest);
			assert.equal(
				Object.values(columns).reduce((sum, cells) => sum + cells),
				width,
			);
			assert.ok(columns.ranges >= 8 && columns.name >= 20, `${width}`);
		}
	}

	const gone = (width: number) =>
		Object.entries(columnWidths(width, films))
			.filter(([, cells]) => cells === 0)
			.map(([name]) => name);
	assert.deepEqual(
		[gone(160), gone(80), gone(71), gone(67), gone(51)],
		[
			[],
			['chart'],
			['chart', 'left', 'watch'],
			['players', 'chart', 'left', 'watch'],
			['players', 'speed', 'chart', 'left', 'watch'],
		],
	);
});

test('names have the room they need, and the bar has a fifth of the width', () => {
	assert.ok(columnWidths(119, films).ranges > 24, 'a blank follows the bar');
	assert.equal(columnWidths(119, films).watch, 22, 'minutes in full');
	assert.equal(columnWidths(79, films).watch, 9, 'in short');
	assert.equal(columnWidths(79, nothing).watch, 0);
	// Cursor, mark, symbol and a blank before the name, a blank after it.
	assert.equal(columnWidths(119, {...films, name: 25}).name, 4 + 25 + 1);
	assert.equal(columnWidths(119, {...nothing, name: 60}).name, 4 + 40 + 1, 'at most a third');
	assert.equal(columnWidths(199, films).name, 4 + 45 + 1);
	assert.equal(columnWidths(199, {...films, name: 500}).name, 4 + 70 + 1);
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

test('scrolling moves by the fewest rows', () => {
	assert.equal(scrollTop(0, 5, 10, 100), 0);
	assert.equal(scrollTop(0, 10, 10, 100), 1);
	assert.equal(scrollTop(50, 20, 10, 100), 20);
	assert.equal(scrollTop(95, 99, 10, 100), 90);
	assert.equal(scrollTop(5, 2, 10, 4), 0);
});

test('a row keeps its line while rows before it come and go', () => {
	assert.equal(windowTop(20, 5, 10, 100), 15);
	assert.equal(windowTop(3, 5, 10, 100), 0);
	assert.equal(windowTop(99, 0, 10, 100), 90);
	assert.equal(windowTop(20, 50, 10, 100), 11);
	assert.equal(windowTop(0, 0, 10, 0), 0);
});
