// The page of the mode, with a dialog or the palette over it.
import {Box} from 'ink';
import {useMemo} from 'react';
import {DetailsPage, detailsTargets, lastDetailsTop} from './details-page.tsx';
import {BoxView, dialogLayout, fillsScreen, type DialogLayout, type Place} from './dialog-view.tsx';
import {dimmedFrame} from './frames.ts';
import {noTargets, type Targets} from './hit-test.ts';
import {ListPage, listTargets} from './list-page.tsx';
import {lastMessagesTop, MessagesPage} from './messages-page.tsx';
import {details, list, type Mode} from './mode.ts';
import {paletteLayout} from './palette.ts';
import type {Screen} from './screen.ts';
import {dimmedTheme, ThemeContext, useTheme} from './theme.ts';

export function Page(screen: Screen) {
	const {mode} = screen.state;
	switch (mode.kind) {
		case 'list':
			return <ListPage {...screen} />;
		case 'details':
			return <DetailsPage {...screen} />;
		case 'messages':
			return <MessagesPage {...screen} mode={mode} />;
		default: {
			const layout = boxLayout(mode, screen);
			return fillsScreen(screen) ? (
				<BoxView {...screen} {...layout} />
			) : (
				<OverPage {...screen} layout={layout} />
			);
		}
	}
}

function boxLayout(mode: Extract<Mode, {kind: 'dialog' | 'palette'}>, place: Place): DialogLayout {
	return mode.kind === 'dialog' ? dialogLayout(mode.dialog.form, place) : paletteLayout(mode.palette, place);
}

/** A dialog or the palette over the dimmed list or details. */
function OverPage({layout, ...screen}: Screen & {readonly layout: DialogLayout}) {
	const dimmed = dimmedTheme(useTheme());
	const {state, width, height} = screen;
	const frames = useMemo(() => state.frames?.map(dimmedFrame), [state.frames]);
	const below = {...screen, state: {...state, frames, mode: state.isInDetails ? details : list}};
	return (
		<Box width={width} height={height}>
			<ThemeContext.Provider value={dimmed}>
				<Page {...below} />
			</ThemeContext.Provider>
			<Box position="absolute" width={width} height={height}>
				<BoxView {...screen} {...layout} />
			</Box>
		</Box>
	);
}

/** The largest scroll offset, in lines. */
export function lastTopOf(screen: Screen): number {
	const {mode} = screen.state;
	switch (mode.kind) {
		case 'details':
			return lastDetailsTop(screen);
		case 'messages':
			return lastMessagesTop(screen, mode);
		default:
			return 0;
	}
}

/** The areas of the screen that take clicks. */
export function targetsOf(screen: Screen): Targets {
	const {mode} = screen.state;
	switch (mode.kind) {
		case 'list':
			return listTargets(screen);
		case 'details':
			return detailsTargets(screen);
		case 'messages':
			return noTargets;
		default: {
			const {buttons, lines, top, left, cells} = boxLayout(mode, screen);
			return {
				...noTargets,
				buttons,
				box: {top, bottom: top + lines.length, left, right: left + cells},
			};
		}
	}
}
