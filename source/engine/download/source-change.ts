// Replaces the source of a download by one that has the same file, or accepts a changed file at the same source.
import {Logger} from '../../log.ts';
import {turns} from '../../turns.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import {verifyAcceptance, verifyReplacement} from '../version/replacement-check.ts';
import type {DataSource, OriginResponse} from '../origin/data-source.ts';
import type {DownloadRecord} from '../store/record.ts';
import {SparseFile} from '../store/sparse-file.ts';
import type {DownloadEffects, DownloadState} from './download-state.ts';
import type {VersionReset} from './version-reset.ts';
import {isPageForFile} from './view.ts';

export class SourceChange {
	readonly #state: DownloadState;
	readonly #scheduler: Scheduler;
	readonly #versions: VersionReset;
	readonly #effects: DownloadEffects;
	readonly #inTurn = turns();

	constructor(state: DownloadState, scheduler: Scheduler, versions: VersionReset, effects: DownloadEffects) {
		this.#state = state;
		this.#scheduler = scheduler;
		this.#versions = versions;
		this.#effects = effects;
	}

	/**
	 * Saves the change and fetches from the source made for it. Concurrent calls run in series, each on the result of the
	 * one before. Resolves with the change. A source with another URL must have the same file, else this rejects
	 * with `origin-changed`; it also rejects with the error of a source that cannot be reached. Nothing has changed then.
	 */
	async change(
		changeOf: (record: DownloadRecord) => Partial<DownloadRecord>,
		sourceOf: (changed: DownloadRecord) => DataSource,
	): Promise<Partial<DownloadRecord>> {
		return this.#inTurn(async () => {
			const {record} = this.#state;
			const change = changeOf(record);
			await this.#change(change, sourceOf({...record, ...change}));
			return change;
		});
	}

	/**
	 * Keeps the cached bytes if samples of them match the origin's current file. Rejects with `origin-changed` if they
	 * do not, or with the error of the origin.
	 */
	async accept(): Promise<void> {
		await this.#scheduler.exclusively(async () => {
			const {validator, isUnstable} = await verifyAcceptance(this.#scheduler.comparison(this.#state.ending));
			Logger.info(`${this.#state.record.id}: continues with the current file`);
			this.#state.retries.reset();
			await this.#state.recordFile.save({
				validator,
				hasUnstableValidator: isUnstable || undefined,
				intent: 'run',
				error: undefined,
			});
			this.#scheduler.begin(true);
		});
		this.#effects.reevaluate();
	}

	/**
	 * Resolves with a response of the source if it has the same file. A page stored in place of the file proves nothing: any
	 * file may follow it. Rejects as `change` does.
	 */
	async prove(source: DataSource): Promise<OriginResponse> {
		const {file, record} = this.#state;
		const compared = isPageForFile(record) ? await SparseFile.open(file.path, Infinity, []) : file;
		return verifyReplacement({...this.#scheduler.comparison(this.#state.ending, source), file: compared});
	}

	/**
	 * No segment may be running. `response`: the proof that another URL has the same file. Rejects with `disk-full` or
	 * `disk-failed`.
	 */
	async replace(
		change: Partial<DownloadRecord>,
		source: DataSource,
		response?: OriginResponse,
	): Promise<void> {
		const {recordFile, retries} = this.#state;
		const {hasFileInfo} = this.#state;
		await this.#scheduler.replaceSource(source);
		retries.reset();
		const {file} = this.#state;
		const isOther = response && response.info.size !== file.size && file.present.size === 0;
		if (response && hasFileInfo && (isOther || isPageForFile(recordFile.record))) {
			await this.#versions.reset(change);
		} else {
			const {validator, acceptsRanges} = (hasFileInfo && response) || recordFile.record;
			const {hasUnstableValidator} = response ? {} : recordFile.record;
			await recordFile.save({
				...change,
				validator,
				hasUnstableValidator,
				acceptsRanges,
				error: undefined,
			});
			this.#scheduler.begin(response !== undefined);
		}
	}

	async #change(change: Partial<DownloadRecord>, source: DataSource): Promise<void> {
		let isTaken = false;
		try {
			const {file} = this.#state;
			const wasEmpty = file.present.size === 0;
			let response = change.url === undefined ? undefined : await this.prove(source);
			await this.#scheduler.exclusively(async () => {
				// The old source ran on: it may have delivered the first bytes, or another version.
				if (response && (file !== this.#state.file || (wasEmpty && file.present.size > 0))) {
					response = await this.prove(source);
				}

				isTaken = true;
				await this.replace(change, source, response);
			});
		} finally {
			if (!isTaken) {
				await source.dispose();
			}
		}
	}
}
