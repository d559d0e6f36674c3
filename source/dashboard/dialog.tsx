// The frame of all dialogs: one at a time, centred, on the whole screen where there is little room.
import {Box, Text} from 'ink';
import type {ReactNode} from 'react';
import {cellsOf, fitText} from './clean-text.ts';

/** Letters and Enter are ignored so long after a dialog opened: they were typed for what was there before. */
export const settleMs = 250;

export type Button = {readonly label: string; readonly letter: string};

/** The screen. */
export type Place = {readonly width: number; readonly height: number; readonly ascii: boolean};

export type DialogProps = Place & {
	readonly title: string;
	readonly hint: string;
	readonly buttons?: readonly Button[];
	/** Which of the buttons has the focus. */
	readonly focus?: number;
	readonly children: ReactNode;
};

/** Columns between the sides of the frame. */
export function dialogCells({width, height}: Place): number {
	return (width < 71 || height < 18 ? width : 70) - 4;
}

export function Dialog({title, hint, buttons, focus = 0, children, ...place}: DialogProps) {
	const {width, height, ascii} = place;
	const cells = dialogCells(place);
	const [topLeft, topRight, bottomLeft, bottomRight] = ascii ? '++++' : '╭╮╰╯';
	const rule = ascii ? '-' : '─';
	const edge = (left: string, text: string, right: string) => {
		const start = `${left}${rule} ${fitText(text, cells - 2, {ascii})} `;
		return start + rule.repeat(cells + 3 - cellsOf(start)) + right;
	};
	const isLow = height < 12;
	return (
		<Box width={width} height={height} alignItems="center" justifyContent="center">
			<Box flexDirection="column" width={cells + 4} maxHeight={height}>
				<Text bold>{edge(topLeft!, title, topRight!)}</Text>
				<Box
					flexDirection="column"
					overflow="hidden"
					paddingX={1}
					borderStyle={ascii ? 'classic' : 'round'}
					borderTop={false}
					borderBottom={false}
				>
					{/* What has no room is cut off at the end, and never the buttons. */}
					<Box flexDirection="column" overflow="hidden">
						<Box flexDirection="column" flexShrink={0}>
							{children}
						</Box>
					</Box>
					{isLow ? null : <Text> </Text>}
					{buttons ? <Buttons buttons={buttons} focus={focus} cells={cells} ascii={ascii} /> : null}
				</Box>
				<Text>{edge(bottomLeft!, hint, bottomRight!)}</Text>
			</Box>
		</Box>
	);
}

type ButtonsProps = {buttons: readonly Button[]; focus: number; cells: number; ascii: boolean};

/** In one line, or below each other where they do not fit. */
function Buttons({buttons, focus, cells, ascii}: ButtonsProps) {
	const needed = buttons.reduce((sum, {label}) => sum + label.length + 7, -2);
	return (
		<Box flexDirection={needed > cells ? 'column' : 'row'} columnGap={2} flexShrink={0}>
			{buttons.map(({label}, index) => (
				<Text key={label}>
					{index === focus ? (ascii ? '>' : '▸') : ' '}
					<Text inverse={index === focus} bold={index === focus}>{`[ ${label} ]`}</Text>
				</Text>
			))}
		</Box>
	);
}

/** The button that a key press chooses (`press`) or moves to (`focus`). */
export function pressButton(
	buttons: readonly Button[],
	focus: number,
	name: string,
): {press: number} | {focus: number} | undefined {
	const {length} = buttons;
	if (name === 'return') {
		return {press: focus};
	}

	if (['left', 'up', 'shift+tab'].includes(name)) {
		return {focus: (focus + length - 1) % length};
	}

	if (['right', 'down', 'tab'].includes(name)) {
		return {focus: (focus + 1) % length};
	}

	const byLetter = buttons.findIndex(({letter}) => letter === name.toLowerCase());
	return byLetter === -1 ? undefined : {press: byLetter};
}
