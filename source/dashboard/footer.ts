// The keys of the footer for the selected download. Pure.
import {hasExpired, isResumable, isStopped, type Download} from '../downstream.ts';
import type {Targets} from './hit-test.ts';
import {entryOf, footerKeys, playerKeys, type Command, type FooterKey} from './keys.ts';
import type {Screen} from './screen.ts';

type Words = Partial<Record<Command, string | false>>;

export type FooterState = Pick<Screen, 'frame' | 'state' | 'width' | 'ascii'>;

/** Narrower footers keep their room for other keys than `g`. */
const roomyFooter = 110;

/** `scrolls`: the details do not fit the screen. */
export function shownKeys(
	screen: FooterState,
	downloads: readonly Download[],
	selected: Download | undefined,
	scrolls: boolean,
): FooterKey[] {
	const {state, width, ascii} = screen;
	const watching = selected?.playback
		? playerKeys({scrolls})
		: selected?.film && width >= roomyFooter
			? [entryOf('go-to')]
			: [];
	const special = state.mode.kind === 'details' ? watching : [];
	return footerKeys(width, footerWords(screen, downloads, selected), special, ascii);
}

/** The keys that take clicks; none while a filter is typed. */
export function footerOf(
	screen: Screen,
	downloads: readonly Download[],
	selected: Download | undefined,
	scrolls: boolean,
): Targets['footer'] {
	return screen.state.typing
		? undefined
		: {row: screen.height - 1, keys: shownKeys(screen, downloads, selected, scrolls)};
}

/** The words for the selected row; keys that would do nothing are left out. */
function footerWords(
	{frame, state}: FooterState,
	downloads: readonly Download[],
	selected: Download | undefined,
): Words {
	const {mode, marks} = state;
	const {isOrphan, isAttached} = frame;
	const quit = isAttached && !isOrphan ? {quit: 'detach'} : {};
	const commands = ['pause', 'resume', 'remove', 'export', 'copy-stream', 'play'] as const;
	const none = Object.fromEntries(commands.map(command => [command, false]));
	if (!selected) {
		return {
			...quit,
			...none,
			open: false,
			mark: false,
			filter: false,
			sort: false,
			...(isOrphan && orphanWords),
		};
	}

	const inDetails: Words =
		mode.kind === 'details'
			? {
					open: false,
					back: 'back',
					next: 'next',
					'plain-text': 'plain text',
					mark: false,
					filter: false,
					sort: false,
					frames: selected.film?.tracks.some(({kind}) => kind === 'video') ? 'frames' : false,
					...(!selected.playback && {'go-to': selected.film ? 'watch from' : false}),
					...(selected.playback?.paused && {'pause-player': 'resume player'}),
				}
			: {};
	if (isOrphan) {
		return {...inDetails, ...none, ...orphanWords};
	}

	const marked = mode.kind === 'details' ? [] : downloads.filter(({id}) => marks.has(id));
	const targets = marked.length > 0 ? marked : [selected];
	const stopped = targets.find(each => isResumable(each));
	const {status, error, isPageForFile} = selected;
	return {
		...quit,
		...inDetails,
		pause: targets.some(each => !isStopped(each) && each.status !== 'complete') ? 'pause' : false,
		resume: stopped ? resumeWord(stopped) : false,
		'new-url': isPageForFile || (status === 'failed' && error && hasExpired(error)) ? 'new link' : false,
		...(marked.length > 0 && {back: 'clear marks', open: false, play: false, 'new-url': false}),
	};
}

const orphanWords = {'take-over': 'continue here', add: false, 'go-to': false, frames: false} as const;

function resumeWord({status, error, isPageForFile}: Download): string {
	return error?.code === 'origin-changed' && !isPageForFile
		? 'decide'
		: status === 'paused'
			? 'resume'
			: 'retry';
}
