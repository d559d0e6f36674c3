// Permission to write to the storage folder, which the holder of its lock has. Without the lock, stored bytes are served.
import {DownStreamError} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import {errorCode, isFull, takesNoWrites} from './disk-error.ts';
import {StorageLock, storageOwner, type LockLoss} from './storage-lock.ts';
import type {Writable} from './writable.ts';

type AccessEvents = {
	/** The lock was acquired late. The records in memory must match the disk before anything is written. */
	reread(): Promise<void>;
	/** The folder may be written from now on. */
	gained(): void;
	/** The folder must not be written again in this run. */
	lost(reason: DownStreamError): void;
};

/** Milliseconds between two attempts to take the lock in the background. */
const retryMs = 10_000;

export class StorageAccess implements Writable {
	readonly #storageDir: string;
	#events: AccessEvents | undefined;
	#lock: StorageLock | undefined;
	#refusal: DownStreamError | undefined;
	#isLost = false;
	#hasEnded = false;
	#acquiring: Promise<void> | undefined;
	#retryTimer: NodeJS.Timeout | undefined;
	#origin: string | undefined;

	/**
	 * Opens without the lock if the disk takes no writes: it is full or read-only, or the folder belongs to another user.
	 * Otherwise rejects like `StorageLock.acquire`.
	 */
	static async open(storageDir: string): Promise<StorageAccess> {
		const access = new StorageAccess(storageDir);
		try {
			access.#lock = await access.#takeLock();
		} catch (error) {
			if (!takesNoWrites(error) || (await storageOwner(storageDir))) {
				throw error;
			}

			access.#refusal = access.#refusalFor(error);
			access.#retryTimer = setInterval(() => void access.obtain().catch(() => undefined), retryMs).unref();
		}

		return access;
	}

	private constructor(storageDir: string) {
		this.#storageDir = storageDir;
	}

	get refusal(): DownStreamError | undefined {
		return this.#refusal;
	}

	/** The last process to write here has ended properly. */
	get wasReleased(): boolean {
		return this.#lock?.wasReleased ?? false;
	}

	/** One sentence for the user while the folder cannot be written. */
	get banner(): string | undefined {
		const {message} = this.#refusal ?? {};
		return message === undefined
			? undefined
			: `${message}${this.#isLost ? '; quit this instance.' : '. Stored data can be played; nothing can be downloaded.'}`;
	}

	set events(events: AccessEvents) {
		this.#events = events;
	}

	/** Takes the lock unless it is held. Rejects with the refusal. Concurrent calls share one attempt. */
	async obtain(): Promise<void> {
		if (!this.#refusal) {
			return;
		}

		if (this.#isLost || this.#hasEnded) {
			throw this.#refusal;
		}

		this.#acquiring ??= this.#acquire().finally(() => {
			this.#acquiring = undefined;
		});
		await this.#acquiring;
	}

	/** Publishes the origin of the proxy to other instances. Rejects with `disk-failed`. */
	async publish(origin: string): Promise<void> {
		this.#origin = origin;
		await this.#lock?.publish(origin);
	}

	/** Replaces an error caused by the removal of the folder, which ends all writing, with the refusal. */
	explain(error: unknown): unknown {
		const cause = error instanceof DownStreamError ? error.cause : error;
		if (errorCode(cause) === 'ENOENT' && this.#lock?.isInPlace === false) {
			this.#lose('removed');
		}

		return (this.#isLost && this.#refusal) || error;
	}

	async release(): Promise<void> {
		this.#hasEnded = true;
		clearInterval(this.#retryTimer);
		await this.#acquiring?.catch(() => undefined);
		await this.#lock?.release();
	}

	async #acquire(): Promise<void> {
		let lock: StorageLock | undefined;
		try {
			lock = await this.#takeLock();
			await this.#events?.reread();
			if (this.#isLost) {
				throw this.#refusal!;
			}

			if (this.#origin !== undefined) {
				await lock.publish(this.#origin);
			}
		} catch (error) {
			await lock?.release();
			this.#refusal = this.#isLost ? this.#refusal : this.#refusalFor(error);
			throw this.#refusal!;
		}

		Logger.info(`${this.#storageDir}: writable again`);
		clearInterval(this.#retryTimer);
		this.#lock = lock;
		this.#refusal = undefined;
		this.#events?.gained();
	}

	#takeLock(): Promise<StorageLock> {
		return StorageLock.acquire(this.#storageDir, loss => this.#lose(loss));
	}

	#refusalFor(error: unknown): DownStreamError {
		if (error instanceof DownStreamError && error.code === 'storage-locked') {
			return error;
		}

		const code = errorCode(error instanceof DownStreamError ? error.cause : error);
		return new DownStreamError(
			isFull(error) ? 'disk-full' : 'disk-failed',
			code === 'ENOENT'
				? wasRemoved(this.#storageDir)
				: `The storage folder ${this.#storageDir} is not writable (${code ?? String(error)})`,
			{cause: error},
		);
	}

	#lose(loss: LockLoss): void {
		if (this.#isLost) {
			return;
		}

		this.#isLost = true;
		this.#refusal =
			loss === 'taken'
				? new DownStreamError('storage-locked', 'Another instance has taken over the storage folder')
				: new DownStreamError('disk-failed', wasRemoved(this.#storageDir));
		this.#events?.lost(this.#refusal);
	}
}

function wasRemoved(storageDir: string): string {
	return `The storage folder ${storageDir} was removed`;
}
