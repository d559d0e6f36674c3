// Learns the name, type and size of the file from responses and their first bytes.
import {DownStreamError} from '../../downstream.ts';
import type {OriginResponse} from '../origin/data-source.ts';
import {correctedType, fileName, sniffType} from '../origin/file-info.ts';
import type {FetchContext} from './fetch-context.ts';

export class FileDescription {
	readonly #context: FetchContext;

	constructor(context: FetchContext) {
		this.#context = context;
	}

	/** Sets the size of the file, once it is known. */
	async setSize(size: number): Promise<void> {
		const {file, recordFile, segments, state, hasFileInfo} = this.#context;
		await file.resize(size);
		const {info} = recordFile.record;
		if (info) {
			await recordFile.save({info: {...info, size}});
		}

		segments.clip(size);
		state.readers.recheck();
		if (hasFileInfo) {
			this.publish();
		}
	}

	/** Records the facts of the response that the record lacks. */
	async take({info, validator, acceptsRanges}: OriginResponse): Promise<void> {
		const {file, record, recordFile} = this.#context;
		const size = file.size === Infinity ? null : file.size;
		if (!record.info || record.info.size !== size || record.acceptsRanges !== acceptsRanges) {
			await recordFile.save({
				info: {...(record.info ?? {name: info.name, type: info.type}), size},
				validator: record.validator ?? validator,
				acceptsRanges,
			});
		}
	}

	/** Shows the facts known so far to players and in the snapshot. */
	publish(): void {
		const {state, services, target, wake} = this.#context;
		if (!this.#context.hasFileInfo) {
			this.#context.hasFileInfo = true;
			state.readers.identified();
			services.queueChanged();
		}

		target.identified();
		wake();
	}

	/** Takes the first bytes of the file, or of the first response. */
	async takeFirstBytes(bytes: Uint8Array): Promise<void> {
		await (this.#context.hasFileInfo ? this.#correctType(bytes) : this.#sniff(bytes));
	}

	async #sniff(firstBytes: Uint8Array): Promise<void> {
		const {record, recordFile} = this.#context;
		const {info} = record;
		const type = await sniffType(firstBytes);
		if (info && type) {
			await recordFile.save({info: {...info, type}});
		}

		this.publish();
	}

	async #correctType(firstBytes: Uint8Array): Promise<void> {
		const {record, recordFile, target} = this.#context;
		const {info, url} = record;
		const type = info && (await correctedType(fileName({url: new URL(url)}), info.type, firstBytes));
		if (info && type !== undefined) {
			await recordFile.save({info: {...info, type}});
			target.identified();
		}
	}

	/**
	 * A body of unknown length has ended. A closed connection proves no end (RFC 9112 section 8); two that end at the same
	 * byte do. Throws `origin-truncated`.
	 */
	async reachedEnd(end: number, isProven: boolean): Promise<void> {
		const {file, host, record, traits} = this.#context;
		if (!record.info) {
			return;
		}

		if (file.size !== Infinity) {
			throw truncated(`${host.name} sent ${file.size - end} bytes less than the file has`);
		}

		if (!isProven && traits.unprovenEnd !== end) {
			traits.unprovenEnd = end;
			throw truncated(
				`${host.name} closed the connection without stating the size of the file; reading it again to be sure`,
			);
		}

		const missing = file.minSize - end;
		if (missing > 0) {
			throw truncated(`${host.name} sent ${missing} bytes less than were downloaded`);
		}

		await this.setSize(end);
		this.publish();
	}
}

function truncated(message: string): DownStreamError {
	return new DownStreamError('origin-truncated', message);
}
