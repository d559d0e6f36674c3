// A dialog as lines: centered, or on the whole screen if that is small.
import {Box} from 'ink';
import {maskUrl} from '../text/mask-url.ts';
import {cellsOf, cleanText, fitText, graphemesOf} from '../text/clean-text.ts';
import {
	fieldsOf,
	isVertical,
	labelCells,
	optionGap,
	type ChoiceItem,
	type Form,
	type Item,
	type TextItem,
} from './form.ts';
import {plainArrows} from './keys.ts';
import {fitLine, lineCells, Lines, selectedLine, span, type Line, type Span} from './spans.tsx';
import {fieldSpans, shortened, withDots} from './text-field.tsx';

/** The screen. */
export type Place = {readonly width: number; readonly height: number; readonly ascii: boolean};

/** The cells `[left, right)` of a button, or of a command of the palette, on the screen. */
export type ButtonPlace = {
	readonly name: string;
	readonly row: number;
	readonly left: number;
	readonly right: number;
};

export type DialogLayout = {
	readonly lines: readonly Line[];
	readonly top: number;
	readonly left: number;
	/** Cells of each line. */
	readonly cells: number;
	readonly buttons: readonly ButtonPlace[];
};

/** The box on the screen. */
export function BoxView({lines, top, left, width, height}: DialogLayout & Place) {
	return (
		<Box
			flexDirection="column"
			width={width}
			height={height}
			paddingTop={top}
			paddingLeft={left}
			overflowY="hidden"
		>
			<Lines lines={lines} />
		</Box>
	);
}

/** Too small a screen for anything below a dialog. */
export function fillsScreen({width, height}: Place): boolean {
	return width < 71 || height < 18;
}

/** The cells inside the frame of a dialog. */
export function dialogCells(place: Place): number {
	return (fillsScreen(place) ? place.width : 70) - 4;
}

/** A frame around the lines, each cut to fit. */
export function framed(
	title: Line,
	lines: readonly Line[],
	hint: string,
	cells: number,
	ascii: boolean,
): Line[] {
	const [topLeft, topRight, bottomLeft, bottomRight, side] = ascii ? '++++|' : '╭╮╰╯│';
	const rule = ascii ? '-' : '─';
	const edge = (start: string, words: Line, end: string): Line => {
		const fitted = fitLine(words, cells - 2, ascii);
		const rest = rule.repeat(Math.max(0, cells - lineCells(fitted) - 1)) + end;
		return [span(`${start}${rule} `, 'rule'), ...fitted, span(` ${rest}`, 'rule')];
	};
	return [
		edge(topLeft!, title, topRight!),
		...lines.map((line): Line => {
			const fitted = fitLine(line, cells, ascii);
			const blanks = ' '.repeat(Math.max(0, cells - lineCells(fitted)));
			return [span(`${side} `, 'rule'), ...fitted, span(blanks), span(` ${side}`, 'rule')];
		}),
		edge(bottomLeft!, [span(hint, 'label')], bottomRight!),
	];
}

export function dialogLayout(asked: Form, place: Place): DialogLayout {
	const {width, height, ascii} = place;
	const form = ascii ? inAscii(asked) : asked;
	const cells = dialogCells(place);
	const buttons = buttonLines(form, cells, place);
	const room = height - 2 - buttons.lines.length;
	let body = form.items.flatMap(item => itemLines(form, item, cells, place));
	if (body.length > 0 && body.length < room && room > 6) {
		body.push([]);
	}

	// The body loses lines to fit; the buttons always stay.
	body = [...visiblePart(body, Math.max(1, room))];
	const title = [span(cleanText(form.title), 'strong')];
	const lines = framed(title, [...body, ...buttons.lines], form.hint, cells, ascii);
	const top = Math.max(0, Math.floor((height - lines.length) / 2));
	const left = Math.floor((width - cells - 4) / 2);
	return {
		lines,
		top,
		left,
		cells: cells + 4,
		buttons: buttons.places.map(({name, row, left: start, right}) => ({
			name,
			row: top + 1 + body.length + row,
			left: left + 2 + start,
			right: left + 2 + right,
		})),
	};
}

/** As many lines as fit, the focused one included. */
function visiblePart(body: readonly Line[], room: number): readonly Line[] {
	// The cursor of the focused field, or the chosen option, is inverse.
	const at = body.findIndex(line => line.some(({role}) => role === 'selected'));
	const start = Math.max(0, Math.min(at - room + 2, body.length - room));
	return body.slice(start, start + room);
}

const focusMark = '▸';

function itemLines(form: Form, item: Item, cells: number, {ascii, height}: Place): Line[] {
	const room = cells - labelCells;
	if (item.kind === 'note') {
		const {text, isProblem = false, isIndented = isProblem} = item;
		const words = cleanText(isProblem ? `! ${text}` : text);
		return wrapped(words, isIndented ? room : cells).map(line => [
			...(isIndented ? [span(' '.repeat(labelCells))] : []),
			span(line, isProblem ? 'waiting' : 'plain'),
		]);
	}

	const label = item.label.padEnd(labelCells);
	const isFocused = fieldsOf(form).indexOf(item) === form.focus;
	return item.kind === 'text'
		? textLines(item, isFocused, label, room, ascii, height)
		: choiceLines(item, isFocused, label, cells, ascii);
}

function textLines(
	item: TextItem,
	isFocused: boolean,
	label: string,
	room: number,
	ascii: boolean,
	height: number,
): Line[] {
	const {field, lines = 1, placeholder = '', secret} = item;
	const heading = span(label, isFocused ? 'strong' : 'label');
	if (secret === 'url' && !isFocused && field.text !== '') {
		return [[heading, span(fitText(cleanText(shortened(maskUrl(field.text))), room, {ascii}))]];
	}

	if (field.text === '' && placeholder !== '') {
		const cursor = isFocused ? [span(' ', 'selected')] : [];
		return [[heading, ...cursor, span(fitText(placeholder, room - cursor.length, {ascii}), 'label')]];
	}

	if (lines === 1) {
		const shown = secret === 'header' ? {...field, text: withDots(field.text)} : field;
		return [[heading, ...fieldSpans(shown, room, isFocused)]];
	}

	// One word per line: the last ones, or those up to the cursor.
	const words = splitAtBlanks(field.text);
	const visible = Math.min(lines, Math.max(1, height - 8));
	const at = words.findLastIndex(({start}) => start <= field.cursor);
	const first = Math.max(0, Math.min(at, words.length - visible));
	return words.slice(first, first + visible).map(({text, start}, index) => {
		const here = isFocused && first + index === at;
		const cursor = Math.min(text.length, field.cursor - start);
		return [
			index === 0 ? heading : span(' '.repeat(labelCells)),
			...(here
				? fieldSpans({text, cursor}, room, true)
				: [span(fitText(cleanText(shortened(text)), room, {ascii}))]),
		];
	});
}

/** The words with their start; at least one, possibly empty. */
function splitAtBlanks(text: string): Array<{text: string; start: number}> {
	const found = Array.from(text.matchAll(/\S+/g), match => ({text: match[0], start: match.index}));
	if (found.length === 0 || /\s$/.test(text)) {
		found.push({text: '', start: text.length});
	}

	return found;
}

function choiceLines(
	item: ChoiceItem,
	isFocused: boolean,
	label: string,
	cells: number,
	ascii: boolean,
): Line[] {
	const options = item.options.map((option, index): Span => {
		const isChosen = index === item.chosen;
		const sign = isChosen ? (ascii ? '(*)' : '(•)') : '( )';
		return span(`${sign} ${option}`, isChosen && isFocused ? 'selected' : isChosen ? 'strong' : 'plain');
	});
	const heading = span(label, isFocused ? 'strong' : 'label');
	if (isVertical(item, cells)) {
		return options.map((option, index) => [index === 0 ? heading : span(' '.repeat(labelCells)), option]);
	}

	const gap = span(' '.repeat(optionGap));
	return [[heading, ...options.flatMap((option, index) => (index === 0 ? [option] : [gap, option]))]];
}

type Buttons = {readonly lines: readonly Line[]; readonly places: readonly ButtonPlace[]};

/** One button per line in a column that fits the screen, else as many per line as fit. */
function buttonLines(form: Form, cells: number, {height, ascii}: Place): Buttons {
	const isColumn = form.isColumn === true && form.buttons.length <= height - 2;
	const first = fieldsOf(form).length;
	const all = form.buttons.map(({name, label, key}, index) => {
		const isFocused = first + index === form.focus;
		const text = form.isColumn ? ` ${label} ` : `[ ${label} ]`;
		return {
			name,
			spans: [
				span(isFocused ? (ascii ? '>' : focusMark) : ' ', 'strong'),
				...(isFocused ? selectedLine(withKey(text, key)) : withKey(text, key)),
			],
			cells: 1 + cellsOf(text),
		};
	});
	const lines: Array<Array<Span>> = [];
	const places: ButtonPlace[] = [];
	let left = 0;
	for (const {name, spans, cells: wide} of all) {
		const isNext = lines.length === 0 || isColumn || left + 2 + wide > cells;
		if (isNext) {
			lines.push([]);
			left = 0;
		} else {
			lines.at(-1)!.push(span('  '));
			left += 2;
		}

		lines.at(-1)!.push(...spans);
		places.push({name, row: lines.length - 1, left, right: left + wide});
		left += wide;
	}

	return {lines, places};
}

/** Marks the first letter of the text that is the key. */
function withKey(text: string, key: string | undefined): Line {
	const at = key === undefined ? -1 : text.toLowerCase().indexOf(key.toLowerCase());
	return at === -1
		? [span(text)]
		: [span(text.slice(0, at)), span(text.slice(at, at + 1), 'key'), span(text.slice(at + 1))];
}

/** A blank, except that before a unit. */
const breaks = / (?![KMGTPE]?i?B\b)/;

/** Wraps at blanks, but not between a number and its unit, and inside words longer than a line. */
export function wrapped(text: string, cells: number): string[] {
	const lines: string[] = [''];
	for (const word of text.split(breaks)) {
		for (const piece of pieces(word, cells)) {
			const last = lines.at(-1)!;
			if (last === '') {
				lines[lines.length - 1] = piece;
			} else if (cellsOf(last) + 1 + cellsOf(piece) <= cells) {
				lines[lines.length - 1] = `${last} ${piece}`;
			} else {
				lines.push(piece);
			}
		}
	}

	return lines;
}

function pieces(word: string, cells: number): string[] {
	if (cellsOf(word) <= cells) {
		return [word];
	}

	const found = [''];
	for (const grapheme of graphemesOf(word)) {
		if (cellsOf(found.at(-1)! + grapheme) > cells) {
			found.push('');
		}

		found[found.length - 1] += grapheme;
	}

	return found;
}

/** Replaces the form's own symbols; typed text stays as it is. */
function inAscii(form: Form): Form {
	const plain = (text: string) => plainArrows(text).replaceAll('…', '~').replaceAll('•', '*');
	return {
		...form,
		title: plain(form.title),
		hint: plain(form.hint),
		buttons: form.buttons.map(button => ({...button, label: plain(button.label)})),
		items: form.items.map(item => {
			switch (item.kind) {
				case 'note':
					return {...item, text: plain(item.text)};
				case 'choice':
					return {...item, options: item.options.map(option => plain(option))};
				default:
					return {...item, placeholder: plain(item.placeholder ?? '')};
			}
		}),
	};
}
