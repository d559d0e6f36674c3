// The details of one download as lines: docked below the list, or as a page.
import {cellsOf, cleanText, fitName} from '../text/clean-text.ts';
import {stateWords} from '../text/status-words.ts';
import {allFacts, pageFacts, shortFacts, type DetailsProps, type Fact} from './details-facts.ts';
import {dockedMap, mapLines, smallestMap} from './details-map.ts';
import {wrapped} from './dialog-view.tsx';
import {barOf} from './film-lines.ts';
import {frameLines, type FilmFrame} from './frames.ts';
import {fitLine, lineCells, span, type Line} from './spans.tsx';

/** `frames`: above the map, where they are wanted. */
type PageProps = DetailsProps & {
	readonly frames: readonly FilmFrame[] | undefined;
	readonly manyColors: boolean;
};

/** Lines above the docked map. The number is fixed, so the map stays in its place when players come and go. */
const dockedFacts = {file: 9, film: 13};

/** At most `height` lines: the main facts with one bar, or from 16 lines on all facts with the map. */
export function dockedLines(props: DetailsProps): Line[] {
	const {download, width, height, ascii} = props;
	const title = titleLine(props);
	const toLines = (facts: readonly Fact[]) => facts.flatMap(fact => oneLine(fact, width, ascii));
	if (height < 16) {
		return [title, ...toLines(shortFacts(props))].slice(0, height);
	}

	const count = download.film ? dockedFacts.film : dockedFacts.file;
	const facts = toLines(allFacts(props, 2)).slice(0, count);
	const blanks = Array.from({length: count - facts.length}, (): Line => []);
	return [title, ...facts, ...blanks, ...dockedMap(props, height - 1 - count)];
}

/** Shortens the text in the middle to fit one line. */
function oneLine({head, text}: Fact, width: number, ascii: boolean): Line[] {
	return [fitLine(text === '' ? head : [...head, span(text)], width - 1, ascii)];
}

/** Wraps the text. */
function wholeText({head, text}: Fact, width: number, ascii: boolean): Line[] {
	const cells = lineCells(head);
	const [first, ...rest] = wrapped(text, width - 1 - cells);
	return text === ''
		? oneLine({head, text}, width, ascii)
		: [[...head, span(first!)], ...rest.map(line => [span(' '.repeat(cells)), span(line)])];
}

/** All details, on any number of lines. */
export function pageLines(props: PageProps): Line[] {
	const {download, frames, width, height, ascii, manyColors} = props;
	const facts = [
		...[...allFacts(props, Infinity), ...pageFacts(download)].flatMap(fact => wholeText(fact, width, ascii)),
		[],
	];
	const room = height - 1 - facts.length;
	const pictures =
		frames && download.film
			? frameLines(frames, barOf(download.film, width), {width, room: room - smallestMap, manyColors, ascii})
			: [];
	const map = mapLines(props, Math.max(smallestMap, room - pictures.length));
	return [titleLine(props), ...facts, ...pictures, ...map];
}

function titleLine({download, width, now, ascii}: DetailsProps): Line {
	const rule = ascii ? '-' : '─';
	const {state, tone} = stateWords(download, now, ascii);
	const name = fitName(cleanText(download.name), Math.max(8, width - state.length - 12), {ascii});
	const filled = width - cellsOf(name) - state.length - 8;
	return [
		span(`${rule.repeat(2)} `, 'rule'),
		span(name, 'strong'),
		span(` ${rule.repeat(Math.max(0, filled))} `, 'rule'),
		span(state, tone),
		span(` ${rule.repeat(2)}`, 'rule'),
	];
}
