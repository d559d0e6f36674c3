// One download in operation: its commands and its status.
import {
	DownStreamError,
	type Download,
	type DownloadId,
	type DownloadStatus,
	type Pledge,
	type SafeRequest,
} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {turns} from '../../turns.ts';
import type {Places} from '../fetch/fetch-target.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import type {Film} from '../film/film.ts';
import type {DataSource} from '../origin/data-source.ts';
import type {Range} from '../store/range-set.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {RecordFile} from '../store/record-store.ts';
import {CachedReading} from './cached-reading.ts';
import {changing} from './changing.ts';
import type {DownloadState} from './download-state.ts';
import {cancelled, closing} from './errors.ts';
import {exportFailed, exporting, type Export} from './exporting.ts';
import {partsOf, type Parts} from './parts.ts';
import type {ReadRequest, Representation} from './reading.ts';
import {openDataFile, recover} from './recovery.ts';
import {attemptsOf, changesOverTime, statusOf, wantsPlace} from './status.ts';
import type {TransferServices} from './transfer-services.ts';
import {downloadView, isPageForFile, queueRankOf} from './view.ts';
import type {Watching} from './watching.ts';

export class Transfer {
	readonly #parts: Parts;
	readonly #state: DownloadState;
	readonly #scheduler: Scheduler;
	readonly film: Film;
	/** For readers other than players. */
	readonly cached: CachedReading;
	readonly #exportInTurn = turns();
	/** The last view showed facts that change over time. */
	#viewChangesOverTime = false;

	/** Compares the record with its data file; needs no network. Rejects with `disk-full` or `disk-failed`. */
	static async open(
		recordFile: RecordFile,
		source: DataSource,
		services: TransferServices,
	): Promise<Transfer> {
		const parts = partsOf(recordFile, source, services, await openDataFile(recordFile));
		await recover(parts.state, parts);
		parts.pledges.update();
		if (services.film === 'stored') {
			await parts.film.loadStored();
		}

		return new Transfer(parts);
	}

	private constructor(parts: Parts) {
		const {state, scheduler, film} = parts;
		this.#parts = parts;
		this.#state = state;
		this.#scheduler = scheduler;
		this.film = film;
		this.cached = new CachedReading(state, scheduler);
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
		return wantsPlace(this.#state);
	}

	/** As `Pledges.demand`. */
	get pledge() {
		return this.#parts.pledges.demand;
	}

	/** Missing bytes of pledges. */
	get pledgedBytes(): number {
		return this.#parts.pledges.missing;
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
		const {background, pledges, yields} = this.#state.places;
		if (background !== places.background || pledges !== places.pledges || yields !== places.yields) {
			this.#state.places = places;
			this.#scheduler.wake();
		}

		this.film.look();
	}

	get status(): DownloadStatus {
		return statusOf(this.#state, this.#scheduler);
	}

	/** As `Reading.representation`. */
	async representation(signal: AbortSignal): Promise<Representation> {
		return this.#parts.reading.representation(signal);
	}

	/** As `Reading.read`. */
	read(request: ReadRequest): AsyncGenerator<Uint8Array, void, undefined> {
		return this.#parts.reading.read(request);
	}

	/** As `Pledges.make`. */
	async makeSafe(request: SafeRequest): Promise<Pledge> {
		return this.#parts.pledges.make(request);
	}

	/** As `Pledges.lift`. */
	async lift(n: number): Promise<void> {
		await this.#parts.pledges.lift(n);
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
		await this.#parts.checkpoints.run();
	}

	/**
	 * Runs again; after an error, retries at once. The next start undoes a temporary resumption. Rejects with `disk-full` or
	 * `disk-failed`.
	 */
	async resume(isTemporary = false): Promise<void> {
		Logger.info(`${this.id}: resumed`);
		const {record, recordFile, retries} = this.#state;
		this.#parts.links.reset();
		this.#state.isResumed = true;
		if (record.intent !== 'run' || retries.blockingError) {
			this.#scheduler.requireCheck();
		}

		const {onDemand, before = {intent: this.status === 'failed' ? 'pause' : record.intent, onDemand}} =
			record;
		retries.retryNow(true);
		await recordFile.save({intent: 'run', error: undefined, before: isTemporary ? before : undefined});
		void this.#parts.verification.settleDoubt().catch(() => undefined);
		void this.#parts.pages.run();
		this.reevaluate();
	}

	/** Ends readers, then segments and checks. Rejects with `disk-full` or `disk-failed`. */
	async cancel(): Promise<void> {
		Logger.info(`${this.id}: cancelled`);
		const saved = this.#state.recordFile.save({intent: 'cancel'});
		this.#state.readers.reject(cancelled());
		this.#state.retries.cancel();
		this.#scheduler.cancel();
		this.#parts.verification.abort(cancelled());
		this.#state.changed();
		this.#state.services.queueChanged();
		await saved;
		await this.#parts.checkpoints.run();
	}

	/** Changes the record and, with `sourceOf`, the source. Rejects as `SourceChange.change` does. */
	async change(
		changeOf: (record: DownloadRecord) => Partial<DownloadRecord>,
		sourceOf?: (changed: DownloadRecord) => DataSource,
	): Promise<void> {
		await changing(this.#state, this.#parts, changeOf, sourceOf);
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
		await (this.#state.file.present.size === 0 ? this.startOver() : this.#parts.sources.accept());
	}

	/** Drops the cached bytes and fetches the current file. Rejects with `disk-full` or `disk-failed`. */
	async startOver(): Promise<void> {
		this.#parts.links.reset();
		await this.#parts.versions.startOver();
	}

	/** As `Verification.verify`. */
	verify(): Promise<Range[]> {
		return this.#parts.verification.verify();
	}

	/** As `Verification.settled`. */
	async settled(): Promise<void> {
		await this.#parts.verification.settled();
	}

	/** As the function `exporting`. Calls run in series, since a move takes the file from the next one. */
	async exporting(run: Export): Promise<string> {
		return this.#exportInTurn(() => exporting(this.#state, this.#parts.checkpoints, run));
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
		this.#parts.checkpoints.unschedule();
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
		await Promise.allSettled([this.#scheduler.stop(), this.#parts.verification.ended()]);
		await this.#parts.checkpoints.run(change);
		await this.#state.watching.end();
		await this.#state.file.retire();
		await this.#scheduler.dispose();
	}

	/** As `Checkpoints.runIfWhole`. */
	async recordWhole(): Promise<void> {
		await this.#parts.checkpoints.runIfWhole();
	}

	/** As `Checkpoints.run`. */
	checkpoint(): Promise<void> {
		return this.#parts.checkpoints.run();
	}

	#end(): void {
		this.#state.close(closing());
		this.#parts.patience.stop();
		this.#parts.verification.abort(closing());
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
		this.#state.view = downloadView(this.#state, this.#parts, now);
		return this.#state.view;
	}

	/** Acts on changed facts. */
	reevaluate(): void {
		this.#parts.reevaluate();
	}
}
