// Moves downloads in the queue. A move that would lose bytes asks first.
import {isFetching, type Download, type DownloadId, type QueueMove} from '../downstream.ts';
import {cleanText} from '../text/clean-text.ts';
import {sortKeys} from './list-view.ts';
import type {UiStore} from './ui-store.ts';

export class QueueMoves {
	readonly #ui: UiStore;
	/** The download whose move would lose bytes: the question was asked. */
	#confirmedMove: DownloadId | undefined;

	constructor(ui: UiStore) {
		this.#ui = ui;
	}

	/** The next move asks again. */
	forgetQuestion(): void {
		this.#confirmedMove = undefined;
	}

	/** Switches to the order of the queue, to show the move. */
	move(selected: Download, by: QueueMove): void {
		const {feed, downstream, state} = this.#ui;
		if (selected.status === 'complete') {
			this.#ui.say('Already complete: not in the queue');
			return;
		}

		const queue = feed.frame.snapshot.downloads
			.filter(({status}) => status !== 'complete')
			.toSorted((a, b) => a.queueRank - b.queueRank);
		const end = by === 1 ? queue.at(-1) : queue[0];
		if (end?.id === selected.id) {
			this.#ui.say(`Already ${by === 1 ? 'last' : 'first'} in the queue`);
			return;
		}

		const displaced = displacedBy(selected, by, queue);
		if (displaced?.acceptsRanges === false && displaced.present > 0 && this.#confirmedMove !== selected.id) {
			this.#confirmedMove = selected.id;
			this.#ui.say(`Press again to stop ${cleanText(displaced.name)}: it would start over from 0`, true);
			return;
		}

		const sort = sortKeys.findIndex(({name}) => name === 'queue');
		if (state.view.sort !== sort || state.view.isReversed) {
			this.#ui.changeView({sort, isReversed: false});
		}

		this.#ui.run(async () => {
			await downstream.moveInQueue(selected.id, by);
			return displaced && `${cleanText(displaced.name)} is queued now`;
		});
	}
}

/** The running download that gives its place to a queued one. `queue`: in its order. */
function displacedBy(
	{id, status}: Download,
	by: QueueMove,
	queue: readonly Download[],
): Download | undefined {
	if (status !== 'queued' || by === 1) {
		return undefined;
	}

	const before = queue.slice(
		0,
		queue.findIndex(each => each.id === id),
	);
	const last = by === 'front' ? before.findLast(each => isFetching(each)) : before.at(-1);
	return last && isFetching(last) ? last : undefined;
}
