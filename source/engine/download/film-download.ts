// A download as its `Film` sees it.
import type {Scheduler} from '../fetch/scheduler.ts';
import type {FilmDownload} from '../film/film.ts';
import type {DownloadState} from './download-state.ts';
import {typeOf} from './view.ts';

export function filmDownload(state: DownloadState, scheduler: Scheduler): FilmDownload {
	const {record, recordFile} = state;
	return {
		id: record.id,
		folder: recordFile.folder,
		facts: () => ({
			version: state.version,
			startedOver: state.record.startedOver ?? 0,
			file: state.file,
			type: typeOf(state.record),
			mayFetch: scheduler.fetchesInBackground && scheduler.acceptsRanges,
			isPledged: scheduler.fetchesPledges && scheduler.acceptsRanges,
			isPlaying: state.readers.size > 0,
			mayWrite: !recordFile.refusal && !state.isClosed,
		}),
		want(range, isAwaited) {
			if (state.wantedIndex !== range || state.awaitsIndex !== isAwaited) {
				state.wantedIndex = range;
				state.awaitsIndex = isAwaited;
				scheduler.wake();
			}
		},
		hasRead(isShown) {
			state.closeUnused(scheduler.segments);

			// Pledged minutes have bytes, or are impossible.
			if (isShown || state.record.pledges) {
				scheduler.wake();
				state.changed();
			}
		},
	};
}
