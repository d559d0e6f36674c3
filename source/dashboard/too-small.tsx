// The screen of a terminal too small for the dashboard.
import {Text} from 'ink';
import {formatSpeed} from '../text/format.ts';
import {wrapped} from './dialog-view.tsx';
import {smallest} from './layout.ts';

type TooSmallProps = {
	readonly columns: number;
	readonly rows: number;
	readonly bytesPerSecond: number;
	/** The quit dialog is open. */
	readonly isQuitting: boolean;
};

export function TooSmall({columns, rows, bytesPerSecond, isQuitting}: TooSmallProps) {
	const lines = isQuitting
		? ['Quit? q or Esc', 'Downloads stop now and continue next time.']
		: [
				`${columns}x${rows}: too small`,
				`Downloads continue (${formatSpeed(bytesPerSecond)}).`,
				`Make it ${smallest.columns}x${smallest.rows} or larger, or q to quit.`,
			];
	const shown = lines.flatMap(line => wrapped(line, columns)).slice(0, rows);
	return shown.map(line => (
		<Text key={line} wrap="truncate">
			{line}
		</Text>
	));
}
