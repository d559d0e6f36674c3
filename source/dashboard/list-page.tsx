// The page of the list: header, tabs, banners, the table, docked details, status line and keys.
import {Box} from 'ink';
import {useMemo} from 'react';
import type {Download} from '../downstream.ts';
import {Bottom} from './bottom.tsx';
import {dockedLines} from './details.ts';
import {DownloadTable, headingPlaces, longestOf} from './download-table.tsx';
import {footerOf} from './footer.ts';
import {bannerLines, EmptyList, headerLine, mostBanners, tabsLayout, type TabsLayout} from './header.tsx';
import {noTargets, type Targets} from './hit-test.ts';
import {rowHeights, scrollThumb, type Rows} from './layout.ts';
import {listWindow, queueOf} from './list-view.ts';
import {originsOf} from './same-names.ts';
import type {Screen} from './screen.ts';
import type {Frame} from './snapshot-feed.ts';
import {Lines, LineView, span, type Line} from './spans.tsx';

type Parts = {
	readonly layout: Rows;
	/** Rows of the table. */
	readonly visible: number;
	readonly downloads: readonly Download[];
	readonly selected: Download | undefined;
	/** The first visible row. */
	readonly top: number;
	readonly tabs: TabsLayout;
	readonly hasScrollbar: boolean;
	/** Cells of the table. */
	readonly tableWidth: number;
};

function partsOf({frame, state, width, height, ascii}: Screen): Parts {
	const {snapshot} = frame;
	const layout = rowsOf(frame, height);
	const visible = Math.max(1, layout.list);
	const {downloads, index, top} = listWindow(snapshot.downloads, state, visible);
	const count = downloads.length;
	const hasScrollbar = count > visible;
	const place = hasScrollbar ? `${index + 1}/${count}` : '';
	return {
		...{layout, visible, downloads, top, hasScrollbar},
		selected: downloads[index],
		tabs: tabsLayout(frame, state.view, count, place, {width, ascii}),
		tableWidth: width - (hasScrollbar ? 1 : 0),
	};
}

/** The heights of the parts of the page. */
export function rowsOf({snapshot}: Frame, height: number): Rows {
	return rowHeights(height, snapshot.downloads.length, bannerCount(snapshot));
}

function bannerCount({banners}: Frame['snapshot']): number {
	return Math.min(mostBanners, banners.length);
}

export function ListPage(screen: Screen) {
	const {frame, state, width, height, ascii, isAdding} = screen;
	const {snapshot, now} = frame;
	const {layout, visible, downloads, selected, top, tabs, hasScrollbar, tableWidth} = partsOf(screen);
	const place = {width, ascii};
	const queue = useMemo(() => queueOf(snapshot.downloads), [snapshot.downloads]);
	const origins = originsOf(snapshot.downloads);
	const longest = useMemo(() => longestOf(snapshot.downloads, origins), [snapshot.downloads, origins]);
	return (
		<Box flexDirection="column" width={width} height={height}>
			<LineView line={headerLine(frame, place)} />
			{layout.tabs ? <LineView line={tabs.line} /> : null}
			<LineView line={[span((ascii ? '-' : '─').repeat(width), 'rule')]} />
			<Lines lines={bannerLines(snapshot, now, place)} />
			<Box flexDirection="column" height={layout.list + (layout.headings ? 1 : 0)} overflowY="hidden">
				{downloads.length === 0 ? (
					<EmptyList {...place} height={layout.list} view={state.view} isAdding={isAdding} />
				) : (
					<Box>
						<Box flexDirection="column" width={tableWidth}>
							<DownloadTable
								downloads={downloads.slice(top, top + visible)}
								selected={selected?.id}
								marks={state.marks}
								width={tableWidth}
								longest={longest}
								origins={origins}
								headings={layout.headings}
								ascii={ascii}
								now={now}
								queue={queue}
								speedsOf={frame.speedsOf}
								freshOf={frame.freshOf}
							/>
						</Box>
						{hasScrollbar ? (
							<Box flexDirection="column" width={1}>
								<Lines
									lines={[
										...(layout.headings ? [[]] : []),
										...scrollbarLines(top, visible, downloads.length, ascii),
									]}
								/>
							</Box>
						) : null}
					</Box>
				)}
			</Box>
			{layout.details > 0 ? (
				<Box flexDirection="column" height={layout.details} overflowY="hidden">
					{selected ? (
						<Lines
							lines={dockedLines({
								...place,
								download: selected,
								speeds: frame.speedsOf(selected.id),
								fresh: frame.freshOf(selected.id),
								showsBytes: state.showsBytes,
								height: layout.details,
								now,
							})}
						/>
					) : null}
				</Box>
			) : null}
			<Bottom
				{...screen}
				downloads={downloads}
				selected={selected}
				namesState={layout.details === 0}
				scrolls={false}
			/>
		</Box>
	);
}

function scrollbarLines(top: number, visible: number, count: number, ascii: boolean): Line[] {
	const {start, length} = scrollThumb(top, visible, count);
	return Array.from({length: visible}, (_, row) =>
		row >= start && row < start + length ? [span(ascii ? '#' : '▐', 'label')] : [],
	);
}

export function listTargets(screen: Screen): Targets {
	const {snapshot} = screen.frame;
	const {layout, visible, downloads, selected, top, tabs, tableWidth} = partsOf(screen);
	const {places, order} = tabs;
	const first = 2 + (layout.tabs ? 1 : 0) + bannerCount(snapshot) + (layout.headings ? 1 : 0);
	return {
		...noTargets,
		list: {row: first, count: Math.min(visible, downloads.length - top)},
		tabs: layout.tabs ? {row: 1, places} : undefined,
		headings: layout.headings
			? {
					row: first - 1,
					places: headingPlaces(tableWidth, longestOf(snapshot.downloads, originsOf(snapshot.downloads))),
				}
			: undefined,
		order: layout.tabs && order ? {top: 1, bottom: 2, left: order[0], right: order[1]} : undefined,
		footer: footerOf(screen, downloads, selected, false),
	};
}
