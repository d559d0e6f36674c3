// Status line and keys, the last two lines of the list and the details.
import type {Download} from '../downstream.ts';
import {cellsOf, cleanText, firstFitting, fitName, fitStart} from '../text/clean-text.ts';
import {withFlag} from '../text/safe-words.ts';
import {amount, reasons, stateWords} from '../text/status-words.ts';
import {shownKeys, type FooterState} from './footer.ts';
import {plainArrows, type FooterKey} from './keys.ts';
import {fitLine, LineView, span, type Line} from './spans.tsx';
import {fieldSpans} from './text-field.tsx';

type BottomProps = FooterState & {
	readonly downloads: readonly Download[];
	readonly selected: Download | undefined;
	/** The details are not on the screen. */
	readonly namesState: boolean;
	/** The details do not fit the screen. */
	readonly scrolls: boolean;
};

export function Bottom(props: BottomProps) {
	const {state, downloads, selected, scrolls, width, ascii} = props;
	const keys = state.typing ? typingKeys(ascii) : shownKeys(props, downloads, selected, scrolls);
	return (
		<>
			<LineView line={fitLine(statusLine(props), width, ascii)} />
			<LineView line={footerLine(keys)} />
		</>
	);
}

type ShownKey = Pick<FooterKey, 'shown' | 'word'>;

/** The keys while a filter is typed: letters are text. */
function typingKeys(ascii: boolean): readonly ShownKey[] {
	const move = '↑↓';
	return [
		{shown: 'Enter', word: 'keep'},
		{shown: 'Esc', word: 'clear'},
		{shown: ascii ? plainArrows(move) : move, word: 'move'},
	];
}

/** The typed filter, the newest message, the marks, or without details on the screen the state of the selected row. */
function statusLine({frame, state, downloads, selected, width, ascii, namesState}: BottomProps): Line {
	const {typing, message, marks} = state;
	if (typing) {
		return [span(' / ', 'strong'), ...fieldSpans(typing, width - 4, true)];
	}

	if (message) {
		const text = withFlag(cleanText(message.text), ascii);
		return [span(` ${fitStart(text, width - 1, {ascii})}`, message.isError ? 'waiting' : 'plain')];
	}

	const marked = state.isInDetails ? [] : downloads.filter(({id}) => marks.has(id));
	if (marked.length > 0) {
		return [
			span(` ${marked.length} marked; p, x, e, c act on ${marked.length === 1 ? 'it' : 'them'}, Esc clears`),
		];
	}

	return namesState && selected ? [span(` ${stateLine(selected, frame.now, width, ascii)}`)] : [];
}

function stateLine(download: Download, now: number, width: number, ascii: boolean): string {
	const found = reasons(download, now);
	const state = `${stateWords(download, now, ascii).state}, ${amount(download)}`;
	const leastName = 12;
	const words = cleanText(firstFitting(found.length > 0 ? found : [state], width - leastName - 3));
	const room = Math.max(leastName, width - cellsOf(words) - 3);
	return `${fitName(cleanText(download.name), room, {ascii})}: ${words}`;
}

function footerLine(keys: readonly ShownKey[]): Line {
	return [
		span(' '),
		...keys.flatMap(({shown, word}, index) => [
			...(index === 0 ? [] : [span('  ')]),
			span(shown, 'strong'),
			span(` ${word}`, 'label'),
		]),
	];
}
