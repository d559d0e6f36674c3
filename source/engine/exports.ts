// Exports of downloads: now, or once they are complete.
import {DownStreamError, type ExportRequest} from '../downstream.ts';
import {Logger} from '../log.ts';
import type {Catalog} from './catalog.ts';
import type {Transfer} from './download/transfer.ts';
import {formatBytes, formatPercent} from '../text/format.ts';
import {isTransient} from './store/disk-error.ts';
import {checkTarget, resolveTarget} from './store/export-target.ts';
import {exportFile} from './store/export.ts';

/** Milliseconds before a planned export is repeated after a transient error. */
const retryMs = 2000;

export class Exports {
	readonly #catalog: Catalog;
	readonly #changed: () => void;
	readonly #ending = new AbortController();
	/** Their planned exports run, or wait for the next attempt. */
	readonly #planned = new WeakSet<Transfer>();

	/** `changed` is called when a snapshot shows another plan. */
	constructor(catalog: Catalog, changed: () => void) {
		this.#catalog = catalog;
		this.#changed = changed;
	}

	/** Ends all exports. */
	abort(reason?: DownStreamError): void {
		this.#ending.abort(reason);
	}

	/** Resolves with the path written, or with the future path for `when: 'complete'` of an incomplete download. */
	async export(transfer: Transfer, request: ExportRequest, signal?: AbortSignal): Promise<string> {
		const target = await resolveTarget(request.path, this.#catalog.view(transfer).name);
		await transfer.settled();
		await transfer.recordWhole();
		signal?.throwIfAborted();
		if (transfer.isComplete) {
			return this.#export(transfer, {...request, path: target}, {signal});
		}

		const {present, size, error} = this.#catalog.view(transfer);
		if (request.when === 'complete') {
			await this.#plan(transfer, {...request, path: target});
			return target;
		}

		if (request.partial && request.move) {
			throw new DownStreamError('bad-request', 'An incomplete file can be copied, but not moved');
		}

		if (request.partial && transfer.recordFile.record.exportWhenComplete?.path === target) {
			throw new DownStreamError(
				'bad-request',
				`The complete file will be exported to ${target}; choose another name for a copy with gaps`,
			);
		}

		if (request.partial && present > 0) {
			return this.#export(transfer, {...request, path: target}, {signal});
		}

		throw new DownStreamError(
			'incomplete',
			present === size
				? `The download is not complete: ${error?.message ?? 'its bytes are still being checked'}`
				: present === 0
					? 'Nothing is downloaded yet'
					: `Only ${size === null ? formatBytes(present) : formatPercent(present, size)} of the file is downloaded`,
		);
	}

	/** Starts the export that was planned for the end of the download, if there is one. */
	startPlanned(transfer: Transfer): void {
		const {exportWhenComplete} = transfer.recordFile.record;
		if (exportWhenComplete && transfer.status === 'complete' && !this.#planned.has(transfer)) {
			this.#planned.add(transfer);
			void this.#export(transfer, exportWhenComplete, {isPlanned: true})
				.finally(() => this.#planned.delete(transfer))
				.catch((error: unknown) => this.#plannedFailed(transfer, error));
		}
	}

	#plannedFailed(transfer: Transfer, error: unknown): void {
		if (this.#catalog.hasEnded || !this.#isListed(transfer)) {
			// The next start, or the end of an undone removal, repeats it.
			return;
		}

		if (!isTransient(error)) {
			transfer.exportFailed(error);
			return;
		}

		Logger.warn(`${transfer.id}: not exported yet: ${error.message}`);
		this.#planned.add(transfer);
		setTimeout(() => {
			this.#planned.delete(transfer);
			if (this.#isListed(transfer) && !this.#catalog.hasEnded) {
				this.startPlanned(transfer);
			}
		}, retryMs).unref();
	}

	#isListed(transfer: Transfer): boolean {
		return this.#catalog.transfers.get(transfer.id) === transfer;
	}

	async #plan(transfer: Transfer, request: ExportRequest): Promise<void> {
		await checkTarget(request.path, request);
		await transfer.recordFile.save({exportWhenComplete: request, placing: undefined});
		transfer.forgetView();
		this.#changed();
	}

	/** A planned export survives a crash, and must place its file once. */
	async #export(
		transfer: Transfer,
		request: ExportRequest,
		{signal, isPlanned = false}: {signal?: AbortSignal | undefined; isPlanned?: boolean},
	): Promise<string> {
		const ending = this.#ending.signal;
		const ranges = transfer.isComplete ? undefined : [...transfer.present];
		// A file of unknown size ends where its bytes end.
		const size = this.#catalog.view(transfer).size ?? ranges?.at(-1)?.end ?? 0;
		const {placing} = transfer.recordFile.record;
		const exporting = transfer.exporting(async (source, {onProgress, onPlacing, onPlaced}) =>
			exportFile({
				source,
				target: request.path,
				size,
				ranges,
				overwrite: request.overwrite,
				keepBoth: request.keepBoth,
				skipIdentical: request.skipIdentical,
				move: request.move,
				signal: signal ? AbortSignal.any([ending, signal]) : ending,
				onProgress,
				placing: isPlanned ? placing : undefined,
				// A renamed file must be found, too.
				onPlacing: isPlanned || request.move ? onPlacing : undefined,
				onPlaced,
			}),
		);
		const placed = await this.#catalog.track(exporting).catch((error: unknown) => {
			throw this.#isListed(transfer) || this.#catalog.hasEnded
				? error
				: new DownStreamError('not-found', 'The download was removed during its export', {cause: error});
		});
		Logger.info(`${transfer.id}: exported to ${placed}`);
		return placed;
	}
}
