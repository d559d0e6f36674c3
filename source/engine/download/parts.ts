// The parts of one download, and the events between them: readers wait, segments write, the scheduler links the two.
import {Scheduler} from '../fetch/scheduler.ts';
import {firstAheadMs} from '../fetch/readers.ts';
import {Film} from '../film/film.ts';
import {bytesAhead} from '../film/playhead.ts';
import type {DataSource} from '../origin/data-source.ts';
import type {RecordFile} from '../store/record-store.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import {Checkpoints} from './checkpoints.ts';
import {complete, completeOrVerify} from './completion.ts';
import {DownloadState, type DownloadEffects} from './download-state.ts';
import {Failures} from './failures.ts';
import {filmDownload} from './film-download.ts';
import {ForecastRate} from './forecast-rate.ts';
import {Holes} from './holes.ts';
import {LinkRenewal} from './link-renewal.ts';
import {Mending} from './mending.ts';
import {PageReplacement} from './page-replacement.ts';
import {Patience} from './patience.ts';
import {Pledges} from './pledges.ts';
import {Reading} from './reading.ts';
import {SourceChange} from './source-change.ts';
import type {TransferServices} from './transfer-services.ts';
import {Verification} from './verification.ts';
import {VersionReset} from './version-reset.ts';

/** Bytes of read-ahead before pledges if the map of the film is unknown: half a minute at 4 Mbit/s. */
const firstAhead = 16 * 1024 * 1024;

export type Parts = ReturnType<typeof partsOf>;

/** Creates the parts. */
export function partsOf(
	recordFile: RecordFile,
	source: DataSource,
	services: TransferServices,
	file: SparseFile,
) {
	const reevaluate = () => {
		services.queueChanged();
		scheduler.wake();
		void checkpoints.runIfWhole();
		film.look();
	};
	const received = (offset: number, bytes: Uint8Array) => {
		const {meter, readers, retries} = state;
		links.reset();
		if (retries.progressed(bytes.length)) {
			// No longer probing: it needs a place in the queue.
			services.queueChanged();
		}

		const now = Date.now();
		meter.add(bytes.length, now);
		forecastRate.received(offset, bytes.length, now);
		readers.wake(offset, bytes, reader => scheduler.isReadable(reader));
		film.look(offset === 0 ? bytes : undefined);
		pledges.received();
		state.changed();
		if (!state.isClosed) {
			checkpoints.schedule();
			void checkpoints.runIfWhole();
		}
	};

	const failed: DownloadEffects['failed'] = (error, silentSince) => failures.handle(error, silentSince);
	const effects = {failed, reevaluate};
	const bytesOf = (ms: number | undefined, otherwise: number) => (offset: number) =>
		film.map && ms !== undefined ? bytesAhead(film.map, offset, ms) : otherwise;
	const readAhead = {
		all: bytesOf(services.readAheadMs, services.readAhead),
		beforePledges: bytesOf(firstAheadMs, firstAhead),
	};
	const state = new DownloadState(recordFile, file, services, readAhead, reevaluate);
	const pledges = new Pledges(state, {
		record: () => void checkpoints.run(),
		film: () => film,
	});
	const scheduler = new Scheduler(
		{
			state,
			pledges,
			received,
			identified() {
				void checkpoints.runIfWhole();
				film.look();
				pledges.update();
			},
			disproved(range) {
				state.file.forget([range]);
				void checkpoints.run();
			},
			failed,
		},
		source,
		services,
	);
	const checkpoints = new Checkpoints(
		state,
		scheduler,
		effects,
		change => completeOrVerify(state, scheduler, verification, change),
		recorded => pledges.recorded(recorded),
	);
	const holes = new Holes(state, checkpoints, effects);
	const verification = new Verification(state, checkpoints, holes, effects, () => complete(state, scheduler));
	const mending = new Mending(state, holes, verification, effects);
	const versions = new VersionReset(state, scheduler, verification, effects);
	const sources = new SourceChange(state, scheduler, versions, effects);
	const links = new LinkRenewal(state, scheduler, sources, effects);
	const pages = new PageReplacement(state, scheduler, versions, effects);
	const patience = new Patience(state);
	const reading = new Reading(state, {scheduler, verification, mending, links, pages, patience});
	const failures = new Failures(state, {scheduler, mending, links, versions, pages, patience});
	const film = new Film(filmDownload(state, scheduler), services.film === true);
	const forecastRate = new ForecastRate(state, {scheduler, pledges, map: () => film.map});
	state.watching.map = () => film.ask();
	return {
		...{state, scheduler, checkpoints, pledges, holes, verification, versions, sources, links, pages},
		...{patience, reading, film, forecastRate, reevaluate},
	};
}
