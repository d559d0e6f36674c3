// One download in operation: its commands and its status. Readers wait, segments write, the scheduler links the two.
import {
	DownStreamError,
	type Download,
	type DownloadId,
	type DownloadStatus,
	type Pledge,
	type SafeRequest,
} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {Scheduler} from '../fetch/scheduler.ts';
import type {Places} from '../fetch/fetch-target.ts';
import {Film} from '../film/film.ts';
import {firstAheadMs} from '../fetch/readers.ts';
import {bytesAhead} from '../film/playhead.ts';
import type {DataSource} from '../origin/data-source.ts';
import type {Range} from '../store/range-set.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {RecordFile} from '../store/record-store.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import {Checkpoints} from './checkpoints.ts';
import {changing} from './changing.ts';
import {complete, completeOrVerify} from './completion.ts';
import {DownloadState, firstAhead, type DownloadEffects} from './download-state.ts';
import {cancelled, closing} from './errors.ts';
import {exportFailed, exporting, type Export} from './exporting.ts';
import {Failures} from './failures.ts';
import {ForecastRate} from './forecast-rate.ts';
import {filmDownload} from './film-download.ts';
import {Holes} from './holes.ts';
import {LinkRenewal} from './link-renewal.ts';
import {Mending} from './mending.ts';
import {PageReplacement} from './page-replacement.ts';
import {Patience} from './patience.ts';
import {Pledges} from './pledges.ts';
import {CachedReading} from './cached-reading.ts';
import {Reading, type ReadRequest, type Representation} from './reading.ts';
import {openDataFile, recover} from './recovery.ts';
import {SourceChange} from './source-change.ts';
import {attemptsOf, changesOverTime, statusOf, wantsPlace} from './status.ts';
import type {TransferServices} from './transfer-services.ts';
import {Verification} from './verification.ts';
import {VersionReset} from './version-reset.ts';
import {downloadView, isPageForFile, queueRankOf} from './view.ts';
import type {Watching} from './watching.ts';

export class Transfer {
	readonly #state: DownloadState;
	readonly #scheduler: Scheduler;
	readonly #checkpoints: Checkpoints;
	readonly #pledges: Pledges;
	readonly #forecastRate: ForecastRate;
	readonly #holes: Holes;
	readonly #verification: Verification;
	readonly #versions: VersionReset;
	readonly #sources: SourceChange;
	readonly #links: LinkRenewal;
	readonly #pages: PageReplacement;
	readonly #patience: Patience;
	readonly #reading: Reading;
	readonly #failures: Failures;
	readonly film: Film;
	/** For readers other than players. */
	readonly cached: CachedReading;
	/** The last view showed facts that change over time. */
	#viewChangesOverTime = false;

	/** Compares the record with its data file; needs no network. Rejects with `disk-full` or `disk-failed`. */
	static async open(
		recordFile: RecordFile,
		source: DataSource,
		services: TransferServices,
	): Promise<Transfer> {
		const transfer = new Transfer(recordFile, source, services, await openDataFile(recordFile));
		await transfer.#recover();
		if (services.film === 'stored') {
			await transfer.film.loadStored();
		}

		return transfer;
	}

	private constructor(
		recordFile: RecordFile,
		source: DataSource,
		services: TransferServices,
		file: SparseFile,
	) {
		const effects: DownloadEffects = {
			failed: (error, silentSince) => this.#failures.handle(error, silentSince),
			reevaluate: () => this.reevaluate(),
		};
		const state = new DownloadState(recordFile, file, services, () => this.reevaluate());
		const pledges = new Pledges(state, {
			record: () => void this.#checkpoints.run(),
			film: () => this.film,
		});
		const scheduler = new Scheduler(
			{
				state,
				pledges,
				received: (offset, bytes) => this.#received(offset, bytes),
				identified: () => {
					void this.#checkpoints.runIfWhole();
					this.film.look();
					pledges.update();
				},
				disproved: range => {
					state.file.forget([range]);
					void this.#checkpoints.run();
				},
				failed: (error, silentSince) => this.#failures.handle(error, silentSince),
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
		const verification = new Verification(state, checkpoints, holes, effects, () =>
			complete(state, scheduler),
		);
		const mending = new Mending(state, holes, verification, effects);
		const versions = new VersionReset(state, scheduler, verification, effects);
		const sources = new SourceChange(state, scheduler, versions, effects);
		const links = new LinkRenewal(state, scheduler, sources, effects);
		const pages = new PageReplacement(state, scheduler, versions, effects);
		const patience = new Patience(state);
		this.#state = state;
		this.#scheduler = scheduler;
		this.#checkpoints = checkpoints;
		this.#pledges = pledges;
		this.#forecastRate = new ForecastRate(state, {scheduler, pledges, map: () => this.film.map});
		this.#holes = holes;
		this.#verification = verification;
		this.#versions = versions;
		this.#sources = sources;
		this.#links = links;
		this.#pages = pages;
		this.#patience = patience;
		this.#reading = new Reading(state, {scheduler, verification, mending, links, pages, patience});
		this.cached = new CachedReading(state, scheduler);
		this.#failures = new Failures(state, {scheduler, mending, links, versions, pages, patience});
		this.film = new Film(filmDownload(state, scheduler), services.film === true);
		state.watching.map = () => this.film.ask();
		const {readAhead, readAheadMs} = services;
		const bytesOf = (ms: number | undefined, otherwise: number) => (offset: number) =>
			this.film.map && ms !== undefined ? bytesAhead(this.film.map, offset, ms) : otherwise;
		state.readAhead = {
			all: bytesOf(readAheadMs, readAhead),
			beforePledges: bytesOf(firstAheadMs, firstAhead),
		};
	}

	async #recover(): Promise<void> {
		await recover(this.#state, {
			scheduler: this.#scheduler,
			checkpoints: this.#checkpoints,
			holes: this.#holes,
			verification: this.#verification,
		});
		this.#pledges.update();
	}

	get id(): DownloadId {
		return this.#state.record.id;
	}

	get recordFile(): RecordFile {
		return this.#state.recordFile;
	}

	get queueRank(): number {
		return queueRankOf(this.#state.record);
	}

	/** The linked player, and the last position. */
	get watching(): Watching {
		return this.#state.watching;
	}

	/** The cached ranges. */
	get present(): Iterable<Range> {
		return this.#state.file.present;
	}

	/** Every byte is on disk and recorded, and matches the checksum of the download, if any. */
	get isComplete(): boolean {
		return this.#state.isComplete;
	}

	/** A web page is stored in place of the file; each request asks the origin again. */
	get isPageForFile(): boolean {
		return isPageForFile(this.#state.record);
	}

	/** A place in the queue would let it fetch in the background. */
	get wantsPlace(): boolean {
		return wantsPlace(this.#state, this.#scheduler);
	}

	/** As `Pledges.demand`. */
	get pledge() {
		return this.#pledges.demand;
	}

	/** Missing bytes of pledges. */
	get pledgedBytes(): number {
		return this.#pledges.missing;
	}

	/** A fact of the view changes without an event: a falling speed, a player that is forgotten. */
	get changesOverTime(): boolean {
		return changesOverTime(this.#state, this.#scheduler, Date.now());
	}

	/** No request in flight has a response yet. */
	get isUnanswered(): boolean {
		return this.#scheduler.segments.areUnanswered;
	}

	/** As `attemptsOf`. */
	get attempts() {
		return attemptsOf(this.#state, this.#scheduler);
	}

	/** The queue gives or takes places. */
	setPlaces(places: Places): void {
		this.#scheduler.setPlaces(places);
		this.film.look();
	}

	get status(): DownloadStatus {
		return statusOf(this.#state, this.#scheduler);
	}

	/** As `Reading.representation`. */
	async representation(signal: AbortSignal): Promise<Representation> {
		return this.#reading.representation(signal);
	}

	/** As `Reading.read`. */
	read(request: ReadRequest): AsyncGenerator<Uint8Array, void, undefined> {
		return this.#reading.read(request);
	}

	/** As `Pledges.make`. */
	async makeSafe(request: SafeRequest): Promise<Pledge> {
		return this.#pledges.make(request);
	}

	/** As `Pledges.lift`. */
	async lift(n: number): Promise<void> {
		await this.#pledges.lift(n);
	}

	/** Ends background segments; players and pledges are still served. Rejects with `disk-full` or `disk-failed`. */
	async pause(): Promise<void> {
		Logger.info(`${this.id}: paused`);
		// Takes effect at once, however slow the disk is.
		const saved = this.#state.recordFile.save({intent: 'pause'});
		this.#state.retries.cancel();
		this.#state.services.queueChanged();
		this.#scheduler.wake();
		this.#scheduler.segments.endAll(segment => segment.for === 'fill');
		await saved;
		await this.#checkpoints.run();
	}

	/**
	 * Runs again; after an error, retries at once. The next start undoes a temporary resumption. Rejects with `disk-full` or
	 * `disk-failed`.
	 */
	async resume(isTemporary = false): Promise<void> {
		Logger.info(`${this.id}: resumed`);
		const {record, recordFile, retries} = this.#state;
		this.#links.reset();
		this.#state.isResumed = true;
		if (record.intent !== 'run' || retries.blockingError) {
			this.#scheduler.requireCheck();
		}

		const {onDemand, before = {intent: this.status === 'failed' ? 'pause' : record.intent, onDemand}} =
			record;
		retries.retryNow(true);
		await recordFile.save({intent: 'run', error: undefined, before: isTemporary ? before : undefined});
		void this.#verification.settleDoubt().catch(() => undefined);
		void this.#pages.run();
		this.reevaluate();
	}

	/** Ends readers, then segments and checks. Rejects with `disk-full` or `disk-failed`. */
	async cancel(): Promise<void> {
		Logger.info(`${this.id}: cancelled`);
		const saved = this.#state.recordFile.save({intent: 'cancel'});
		this.#state.readers.reject(cancelled());
		this.#state.retries.cancel();
		this.#scheduler.cancel();
		this.#verification.abort(cancelled());
		this.#state.changed();
		this.#state.services.queueChanged();
		await saved;
		await this.#checkpoints.run();
	}

	/** Changes the record and, with `sourceOf`, the source. Rejects as `SourceChange.change` does. */
	async change(
		changeOf: (record: DownloadRecord) => Partial<DownloadRecord>,
		sourceOf?: (changed: DownloadRecord) => DataSource,
	): Promise<void> {
		const parts = {
			scheduler: this.#scheduler,
			sources: this.#sources,
			verification: this.#verification,
			pages: this.#pages,
		};
		await changing(this.#state, parts, changeOf, sourceOf);
		this.reevaluate();
	}

	/** Fetches from another source of the same file. Rejects as `SourceChange.change` does. */
	async takeSource(source: DataSource): Promise<void> {
		if (source !== this.#scheduler.source) {
			await this.change(
				() => ({}),
				() => source,
			);
		}
	}

	/** Keeps the cached bytes of a changed file. Rejects as `SourceChange.accept` does. */
	async acceptChange(): Promise<void> {
		await (this.#state.file.present.size === 0 ? this.startOver() : this.#sources.accept());
	}

	/** Drops the cached bytes and fetches the current file. Rejects with `disk-full` or `disk-failed`. */
	async startOver(): Promise<void> {
		this.#links.reset();
		await this.#versions.startOver();
	}

	/** As `Verification.verify`. */
	verify(): Promise<Range[]> {
		return this.#verification.verify();
	}

	/** As `Verification.settled`. */
	async settled(): Promise<void> {
		await this.#verification.settled();
	}

	/** As the function `exporting`. */
	async exporting(run: Export): Promise<string> {
		return exporting(this.#state, this.#checkpoints, run);
	}

	/** Shows the failure of an export that was to follow completion; it is not retried. */
	exportFailed(cause: unknown): void {
		exportFailed(this.#state, cause);
	}

	/** Ends at once and writes nothing more. Players get `reason`, and the download shows it as its error. */
	abandon(reason: DownStreamError): void {
		const {file, readers, recordFile, retries} = this.#state;
		this.#end();
		recordFile.abandon(reason);
		this.#checkpoints.unschedule();
		retries.reset();
		retries.failed(reason);
		readers.reject(reason);
		this.#scheduler.segments.endAll();
		void file.retire();
		this.#state.changed();
	}

	/** Ends everything, then saves, with another change of the record if there is one and the bytes can be recorded. */
	async close(change: Partial<DownloadRecord> = {}): Promise<void> {
		this.#end();
		this.#state.retries.cancel();
		this.#state.readers.reject(closing());
		await Promise.allSettled([this.#scheduler.stop(), this.#verification.ended()]);
		await this.#checkpoints.run(change);
		await this.#state.watching.end();
		await this.#state.file.retire();
		await this.#scheduler.dispose();
	}

	/** As `Checkpoints.runIfWhole`. */
	async recordWhole(): Promise<void> {
		await this.#checkpoints.runIfWhole();
	}

	/** As `Checkpoints.run`. */
	checkpoint(): Promise<void> {
		return this.#checkpoints.run();
	}

	#end(): void {
		this.#state.close(closing());
		this.#patience.stop();
		this.#verification.abort(closing());
		this.film.close();
	}

	/** A fact outside the download that the view shows has changed. */
	forgetView(): void {
		this.#state.view = undefined;
	}

	/** The same object until a fact changes. `now`: milliseconds since the epoch. */
	view(now: number): Download {
		const {changesOverTime} = this;
		if (this.#state.view && !changesOverTime && !this.#viewChangesOverTime) {
			return this.#state.view;
		}

		this.#viewChangesOverTime = changesOverTime;
		this.#state.view = downloadView(
			this.#state,
			{
				scheduler: this.#scheduler,
				film: this.film,
				pledges: this.#pledges,
				forecastRate: this.#forecastRate,
			},
			now,
		);
		return this.#state.view;
	}

	/** Acts on changed facts. */
	reevaluate(): void {
		this.#state.services.queueChanged();
		this.#scheduler.wake();
		void this.#checkpoints.runIfWhole();
		this.film.look();
	}

	#received(offset: number, bytes: Uint8Array): void {
		const {meter, readers, retries, services} = this.#state;
		this.#links.reset();
		if (retries.progressed(bytes.length)) {
			// No longer probing: it needs a place in the queue.
			services.queueChanged();
		}

		const now = Date.now();
		meter.add(bytes.length, now);
		this.#forecastRate.received(offset, bytes.length, now);
		readers.wake(offset, bytes, reader => this.#scheduler.isReadable(reader));
		this.film.look(offset === 0 ? bytes : undefined);
		this.#pledges.received();
		this.#state.changed();
		if (!this.#state.isClosed) {
			this.#checkpoints.schedule();
			void this.#checkpoints.runIfWhole();
		}
	}
}
