// The frame of all dialogs: one at a time, centred, whole screen where there is no room.
import {Box, Text} from 'ink';
import type {ReactNode} from 'react';

/** Letters and Enter are ignored so long after a dialog opened: they were typed for what was there before. */
export const settleMs = 250;

export type Button = {readonly label: string; readonly letter: string};

export type DialogProps = {
	readonly title: string;
	readonly hint: string;
	readonly width: number;
	readonly height: number;
	readonly ascii: boolean;
	readonly children: ReactNode;
};

export function Dialog({title, hint, width, height, ascii, children}: DialogProps) {
	const whole = width < 72 || height < 18;
	return (
		<Box width={width} height={height} alignItems="center" justifyContent="center">
			<Box
				flexDirection="column"
				width={whole ? width : 70}
				borderStyle={ascii ? 'classic' : 'round'}
				paddingX={1}
			>
				<Text bold wrap="truncate">
					{title}
				</Text>
				<Text> </Text>
				{children}
				<Text> </Text>
				<Text wrap="truncate">{hint}</Text>
			</Box>
		</Box>
	);
}

export function Buttons({
	buttons,
	focus,
	ascii,
}: {
	buttons: readonly Button[];
	focus: number;
	ascii: boolean;
}) {
	return (
		<Text wrap="truncate">
			{buttons.map(({label}, index) => (
				<Text key={label}>
					{index === focus ? (ascii ? '>' : '▸') : ' '}
					<Text inverse={index === focus} bold={index === focus}>{`[ ${label} ]`}</Text>
					{'  '}
				</Text>
			))}
		</Text>
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
