// The page of the messages.
import {Box} from 'ink';
import {wrapped, type Place} from './dialog-view.tsx';
import {plainArrows} from './keys.ts';
import {logLine} from './messages.ts';
import type {Mode} from './mode.ts';
import type {Screen} from './screen.ts';
import {fitLine, Lines, LineView, span} from './spans.tsx';
import {fieldSpans} from './text-field.tsx';

type MessagesMode = Extract<Mode, {kind: 'messages'}>;

/** Lines around the messages: their heading, and the field below. */
const fixedLines = 2;

export function MessagesPage({mode, ...screen}: Screen & {readonly mode: MessagesMode}) {
	const {width, height, ascii} = screen;
	const lines = messageLines(screen, mode);
	const room = height - fixedLines;
	const top = Math.min(mode.top, Math.max(0, lines.length - room));
	const more = lines.length > room ? '↑↓ scroll   ' : '';
	const hint = `${more}/ find   v plain text   Esc close`;
	return (
		<Box flexDirection="column" width={width} height={height}>
			<LineView
				line={fitLine(
					[span(' Messages', 'strong'), span(`   ${ascii ? plainArrows(hint) : hint}`, 'label')],
					width,
					ascii,
				)}
			/>
			<Box flexDirection="column" height={room} overflowY="hidden">
				<Lines lines={lines.slice(top, top + room).map(line => fitLine([span(` ${line}`)], width, ascii))} />
			</Box>
			<LineView
				line={mode.typing ? [span(' / ', 'strong'), ...fieldSpans(mode.typing, width - 4, true)] : []}
			/>
		</Box>
	);
}

/** The largest scroll offset, in lines. */
export function lastMessagesTop(screen: Screen, mode: MessagesMode): number {
	return Math.max(0, messageLines(screen, mode).length - screen.height + fixedLines);
}

function messageLines({state, width, ascii}: Place & Pick<Screen, 'state'>, {find}: MessagesMode): string[] {
	const lines = state.log
		.map(message => logLine(message, ascii))
		.filter(line => line.toLowerCase().includes(find.toLowerCase()))
		.flatMap(line => wrapped(line, width - 2));
	return lines.length === 0 ? [find === '' ? 'No messages yet.' : 'No matches.'] : lines;
}
