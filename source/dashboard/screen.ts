// What every page is drawn from.
import type {Place} from './dialog-view.tsx';
import type {Frame} from './snapshot-feed.ts';
import type {ScreenState} from './ui-store.ts';

export type Screen = Place & {
	readonly frame: Frame;
	readonly state: ScreenState;
	/** At least 256. */
	readonly manyColors: boolean;
	/** Downloads of the command line are being added to the list. */
	readonly isAdding: boolean;
};
