// Replaces an expired link of an item by a new one that leads to the same file; players wait until then.
import {DownStreamError, hasExpired} from '../../downstream.ts';
import type {Scheduler} from '../fetch/scheduler.ts';
import type {DataSource, OriginResponse} from '../origin/data-source.ts';
import type {DownloadEffects, DownloadState} from './download-state.ts';
import type {SourceChange} from './source-change.ts';
import type {NewLink} from './transfer-services.ts';

const maxRenewals = 3;

export class LinkRenewal {
	readonly #state: DownloadState;
	readonly #scheduler: Scheduler;
	readonly #sources: SourceChange;
	readonly #effects: DownloadEffects;
	/** Consecutive new links that delivered no byte. */
	#fruitlessRenewals = 0;

	constructor(state: DownloadState, scheduler: Scheduler, sources: SourceChange, effects: DownloadEffects) {
		this.#state = state;
		this.#scheduler = scheduler;
		this.#sources = sources;
		this.#effects = effects;
	}

	/** Allows `maxRenewals` again: bytes arrived, or the user retried. */
	reset(): void {
		this.#fruitlessRenewals = 0;
	}

	/** Allows one more: a player requests bytes of a download that failed. */
	allowOne(): void {
		this.#fruitlessRenewals = Math.min(this.#fruitlessRenewals, maxRenewals - 1);
	}

	/**
	 * Begins a renewal if a new link may resolve the error. Returns false if nothing resolves links, or the last
	 * `maxRenewals` links were fruitless.
	 */
	renew(error: DownStreamError): boolean {
		if (this.#state.isRenewing) {
			return true;
		}

		const newLink = this.#state.services.newLink(this.#state.record);
		// The old link may lead to another file by now.
		const mayHelp = hasExpired(error) || error.code === 'origin-changed';
		if (!newLink || this.#fruitlessRenewals === maxRenewals || !mayHelp) {
			return false;
		}

		this.#state.isRenewing = true;
		this.#fruitlessRenewals++;
		this.#state.changed();
		void this.#renew(newLink);
		return true;
	}

	async #renew(newLink: NewLink): Promise<void> {
		try {
			await this.#scheduler.exclusively(async () => {
				const {change, source} = await newLink(this.#state.ending);
				// Without cached bytes any file will do, and a link may allow one request only.
				const response = this.#state.file.present.size > 0 ? await this.#prove(source) : undefined;
				await this.#sources.replace(change, source, response);
			});
			this.#state.isRenewing = false;
			this.#effects.reevaluate();
		} catch (error) {
			this.#state.isRenewing = false;
			if (!this.#state.isClosed) {
				if (error instanceof DownStreamError && error.kind === 'transient') {
					this.#fruitlessRenewals--;
				}

				this.#effects.failed(error);
			}
		} finally {
			this.#state.changed();
		}
	}

	/** Disposes of a source that lacks the file. */
	async #prove(source: DataSource): Promise<OriginResponse> {
		try {
			return await this.#sources.prove(source);
		} catch (error) {
			await source.dispose();
			throw error;
		}
	}
}
