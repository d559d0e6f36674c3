// The page of one download: its details, scrolled, with status line and keys.
import {Box} from 'ink';
import type {Download} from '../downstream.ts';
import {barPlaces} from './bar-places.ts';
import {Bottom} from './bottom.tsx';
import {pageLines} from './details.ts';
import {footerOf} from './footer.ts';
import {headerLine} from './header.tsx';
import {noTargets, type Targets} from './hit-test.ts';
import {listWindow} from './list-view.ts';
import type {Screen} from './screen.ts';
import {Lines, LineView, span, type Line} from './spans.tsx';

/** Lines around the details: header, status line and keys. */
const fixedLines = 3;

type Parts = {
	readonly downloads: readonly Download[];
	readonly selected: Download | undefined;
	readonly lines: readonly Line[];
	/** Lines that fit. */
	readonly room: number;
	/** The largest scroll offset, in lines. */
	readonly lastTop: number;
};

function partsOf({frame, state, width, height, ascii, manyColors}: Screen): Parts {
	const {downloads, index} = listWindow(frame.snapshot.downloads, state, 1);
	const selected = downloads[index];
	const {showsBytes, frames} = state;
	const lines = selected
		? pageLines({
				download: selected,
				speeds: frame.speedsOf(selected.id),
				fresh: frame.freshOf(selected.id),
				...{showsBytes, width, ascii, frames, manyColors, height: height - fixedLines, now: frame.now},
			})
		: [];
	const room = height - fixedLines;
	return {downloads, selected, lines, room, lastTop: Math.max(0, lines.length - room)};
}

export function DetailsPage(screen: Screen) {
	const {frame, state, width, height, ascii} = screen;
	const {downloads, selected, lines, room, lastTop} = partsOf(screen);
	const top = Math.min(state.scrolled, lastTop);
	const visible = lines.slice(top, top + room);
	const hidden = lastTop - top;
	if (hidden > 0) {
		visible.splice(-1, 1, [span(` ${ascii ? 'down:' : '↓'} ${hidden + 1} more lines`, 'label')]);
	}

	return (
		<Box flexDirection="column" width={width} height={height}>
			<LineView line={headerLine(frame, screen)} />
			<Box flexDirection="column" height={room} overflowY="hidden">
				<Lines lines={visible} />
			</Box>
			<Bottom
				{...screen}
				downloads={downloads}
				selected={selected}
				namesState={false}
				scrolls={lastTop > 0}
			/>
		</Box>
	);
}

/** The largest scroll offset, in lines. */
export function lastDetailsTop(screen: Screen): number {
	return partsOf(screen).lastTop;
}

export function detailsTargets(screen: Screen): Targets {
	const {state, height} = screen;
	const {downloads, selected, lines, lastTop} = partsOf(screen);
	// Below the header.
	const row = 1 - Math.min(state.scrolled, lastTop);
	const bars = barPlaces(lines, row).filter(place => place.row > 0 && place.row < height - 2);
	return {
		...noTargets,
		footer: footerOf(screen, downloads, selected, lastTop > 0),
		bars: selected?.playback ? bars : [],
	};
}
