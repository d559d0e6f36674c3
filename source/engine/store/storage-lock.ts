// Ensures a single writer per storage folder: two processes would corrupt each other's downloads.
import fs, {lstatSync, statSync} from 'node:fs';
import {readFile, readlink, rm, stat, symlink} from 'node:fs/promises';
import {connect} from 'node:net';
import {hostname} from 'node:os';
import path from 'node:path';
import {setTimeout} from 'node:timers/promises';
import {lock} from 'proper-lockfile';
import {DownStreamError} from '../../downstream.ts';
import {diskError, errorCode, isFull} from './disk-error.ts';
import {writeAtomically, writeDurably} from './durable-file.ts';

/** The holder of the folder, stored in `owner.json`. */
type StorageOwner = {
	readonly pid: number;
	readonly host: string;
	/** `http://127.0.0.1:PORT`, once the proxy listens. */
	readonly origin?: string;
	/** Milliseconds since the epoch. */
	readonly startedAt: number;
};

/** `taken`: another process holds the folder; `removed`: the folder no longer exists. */
export type LockLoss = 'taken' | 'removed';

// The holder touches its lock every 2 s; a lock not touched for 10 s is stale.
const staleMs = 10_000;
const updateMs = 2000;
const startingStaleMs = 2000;
const startingPollMs = 20;

type Callback = (error: NodeJS.ErrnoException | null) => void;

/**
 * The file system as proper-lockfile uses it. A full disk (ext4) has no block for a new folder, but can create empty files:
 * there the lock is an empty file, which is as exclusive.
 */
const lockingFs = {
	...fs,
	mkdir(lock: string, done: Callback) {
		fs.mkdir(lock, error => {
			if (isFull(error)) {
				fs.writeFile(lock, '', {flag: 'wx', mode: 0o600}, done);
			} else {
				done(error);
			}
		});
	},
	rmdir(lock: string, done: Callback) {
		fs.rm(lock, {recursive: true, force: true}, done);
	},
	rmdirSync(lock: string) {
		fs.rmSync(lock, {recursive: true, force: true});
	},
};

/**
 * The lock is the folder `owner.json.lock`, whose creation is atomic. A starting process checks the holder first and
 * takes over from a dead one at once. It does so under a second lock, `starting.lock`: otherwise two processes could
 * both find the holder dead, and the slower one would remove the lock of the faster one. If a process is killed in
 * these few milliseconds, the next one waits 2 s, until the guard is stale.
 */
export class StorageLock {
	readonly #ownerFile: string;
	readonly #isInPlace: () => boolean;
	#owner: StorageOwner;
	readonly #unlock: () => Promise<void>;
	/** The previous holder has released the folder: it did not end in the middle of a write. */
	readonly wasReleased: boolean;

	/**
	 * Rejects with `storage-locked` if the folder has a live holder, and with `disk-full` or `disk-failed` if it is not
	 * writable. `onLost` reports that another process took over (because this one was suspended long enough to appear
	 * dead), or that the folder was removed; nothing may be written afterwards.
	 */
	static async acquire(
		storageDir: string,
		onLost: (loss: LockLoss) => void = () => undefined,
	): Promise<StorageLock> {
		const file = ownerFileOf(storageDir);
		try {
			const unlockStarting = await lockStarting(startingFileOf(file));
			try {
				const folder = await stat(storageDir);
				const isInPlace = () => isSame(folder, storageDir);
				const ownership = await takeOver(file, () => onLost(isInPlace() ? 'taken' : 'removed'));
				return new StorageLock(file, ownership, isInPlace);
			} finally {
				await unlockStarting();
			}
		} catch (error) {
			throw isLocked(error)
				? new DownStreamError('storage-locked', `Another instance is starting on ${storageDir}`, {
						cause: error,
					})
				: diskError(error, file);
		}
	}

	private constructor(ownerFile: string, {owner, unlock, wasReleased}: Ownership, isInPlace: () => boolean) {
		this.#ownerFile = ownerFile;
		this.#isInPlace = isInPlace;
		this.#owner = owner;
		this.#unlock = unlock;
		this.wasReleased = wasReleased;
	}

	/** False once the storage folder was removed or replaced. Costs one stat. */
	get isInPlace(): boolean {
		return this.#isInPlace();
	}

	/** Publishes the proxy's address to other processes, if the disk has room. Rejects with `disk-failed`. */
	async publish(origin: string): Promise<void> {
		this.#owner = {...this.#owner, origin};
		// Not synced: after a power cut an owner without an address is as useful.
		await writeOwner(this.#ownerFile, this.#owner, writeAtomically);
	}

	/** Releases the folder. This also happens on exit and on signals that the process can handle. */
	async release(): Promise<void> {
		// Prevents a concurrent start: the next holder's owner file must not be removed.
		const unlockStarting = await lockStarting(startingFileOf(this.#ownerFile)).catch(() => undefined);
		// A lost lock must not be released.
		await this.#unlock().catch(() => undefined);
		const {pid, startedAt} = this.#owner;
		const stored = unlockStarting && (await readOwner(this.#ownerFile));
		if (stored?.pid === pid && stored.startedAt === startedAt) {
			await removeOwner(this.#ownerFile).catch(() => undefined);
		}

		await unlockStarting?.().catch(() => undefined);
	}
}

/** Returns the process that holds the folder, or undefined if there is none. */
export async function storageOwner(storageDir: string): Promise<StorageOwner | undefined> {
	const file = ownerFileOf(storageDir);
	const touchedAt = await lockTouchedAt(file);
	const owner = await readOwner(file);
	return owner && touchedAt !== undefined && (await isAlive(owner, touchedAt)) ? owner : undefined;
}

/** Waits for other starting processes, each of which takes some milliseconds. */
async function lockStarting(file: string): Promise<() => Promise<void>> {
	for (let attempt = 1; ; attempt++) {
		try {
			return await lock(file, {realpath: false, stale: startingStaleMs, fs: lockingFs});
		} catch (error) {
			if (!isLocked(error) || attempt * startingPollMs > 2 * startingStaleMs) {
				throw error;
			}
		}

		await setTimeout(startingPollMs);
	}
}

type Ownership = {
	readonly owner: StorageOwner;
	readonly unlock: () => Promise<void>;
	readonly wasReleased: boolean;
};

async function takeOver(file: string, onLost: () => void): Promise<Ownership> {
	const touchedAt = await lockTouchedAt(file);
	if (touchedAt !== undefined) {
		const holder = await readOwner(file);
		if (holder ? await isAlive(holder, touchedAt) : isFresh(touchedAt)) {
			const details = holder ? ` (pid ${holder.pid}${holder.origin ? `, ${holder.origin}` : ''})` : '';
			throw new DownStreamError(
				'storage-locked',
				`downstream-tui is already running${details} on ${path.dirname(file)}`,
			);
		}

		await rm(lockOf(file), {recursive: true, force: true});
	}

	// A killed holder leaves its lock, and its name unless the disk was full.
	const wasReleased =
		touchedAt === undefined &&
		[file, ownerLinkOf(file)].every(name => lstatSync(name, {throwIfNoEntry: false}) === undefined);
	const owner = {pid: process.pid, host: hostname(), startedAt: Date.now()};
	// Written before locking: if the holder were killed before it identified itself, its lock would block others until
	// it is stale.
	await writeOwner(file, owner);
	const unlock = await lock(file, {
		realpath: false,
		stale: staleMs,
		update: updateMs,
		onCompromised: onLost,
		fs: lockingFs,
	});
	return {owner, unlock, wasReleased};
}

/**
 * A suspended process does not touch its lock, but its port still accepts connections; a reused pid has neither. A
 * process that is starting or exiting has no port, but a fresh lock. For a process on another host (a shared disk, a
 * container), only the age of the lock is known.
 */
async function isAlive(owner: StorageOwner, touchedAt: number): Promise<boolean> {
	if (owner.host !== hostname()) {
		return isFresh(touchedAt);
	}

	return (
		isProcess(owner.pid) &&
		!(await isZombie(owner.pid)) &&
		(isFresh(touchedAt) || (await acceptsConnections(owner.origin)))
	);
}

function isFresh(touchedAt: number): boolean {
	return Date.now() - touchedAt < staleMs;
}

function isProcess(pid: number): boolean {
	try {
		return process.kill(pid, 0);
	} catch (error) {
		// EPERM: the process exists and belongs to another user.
		return errorCode(error) === 'EPERM';
	}
}

/**
 * On Linux, an exited process remains visible until its parent collects it, which in a container may never happen.
 * Its last thread must have ended too: others may still be writing (proc(5): state, num_threads).
 */
async function isZombie(pid: number): Promise<boolean> {
	const stored = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
	const fields = stored.slice(stored.lastIndexOf(')') + 2).split(' ');
	return fields[0] === 'Z' && fields[17] === '1';
}

async function acceptsConnections(origin: string | undefined): Promise<boolean> {
	const port = origin === undefined ? '' : (URL.parse(origin)?.port ?? '');
	if (port === '') {
		return false;
	}

	return new Promise(resolve => {
		const socket = connect({host: '127.0.0.1', port: Number(port)});
		const settle = (alive: boolean) => {
			socket.destroy();
			resolve(alive);
		};

		socket.once('connect', () => settle(true));
		socket.once('error', () => settle(false));
		// A timeout on loopback means that a listener exists but its queue is full.
		socket.setTimeout(1000, () => settle(true));
	});
}

/** Milliseconds since the epoch; undefined if the lock is free. Rejects with `disk-failed`. */
async function lockTouchedAt(file: string): Promise<number | undefined> {
	try {
		return (await stat(lockOf(file))).mtimeMs;
	} catch (error) {
		if (errorCode(error) === 'ENOENT') {
			return undefined;
		}

		throw diskError(error, path.dirname(file));
	}
}

/** Undefined if there is no readable owner file. */
async function readOwner(file: string): Promise<StorageOwner | undefined> {
	let stored: unknown;
	try {
		const link = await readlink(ownerLinkOf(file)).catch(() => undefined);
		stored = link === undefined ? JSON.parse(await readFile(file, 'utf8')) : ownerInLink(link);
	} catch {
		return undefined;
	}

	const {pid, host, origin, startedAt} = (stored ?? {}) as Partial<Record<keyof StorageOwner, unknown>>;
	if (!Number.isSafeInteger(pid) || (pid as number) <= 0 || typeof host !== 'string') {
		return undefined;
	}

	return {
		pid: pid as number,
		host,
		...(typeof origin === 'string' ? {origin} : {}),
		startedAt: Number(startedAt),
	};
}

/**
 * On a full disk the owner is the target of a symbolic link, which needs no room for data where it is short (ext4: 59
 * bytes). Without space for that either, other instances know only that the folder has an owner.
 */
async function writeOwner(
	file: string,
	owner: StorageOwner,
	write: (file: string, text: string) => Promise<void> = writeDurably,
): Promise<void> {
	try {
		await rm(ownerLinkOf(file), {force: true});
		await write(file, JSON.stringify(owner));
	} catch (error) {
		if (!isFull(error)) {
			throw diskError(error, file);
		}

		await symlink(linkOf(owner), ownerLinkOf(file)).catch(() => undefined);
	}
}

function linkOf({pid, host, startedAt, origin}: StorageOwner): string {
	const port = origin === undefined ? undefined : Number(new URL(origin).port);
	return JSON.stringify([pid, host, startedAt, port].filter(part => part !== undefined));
}

function ownerInLink(link: string): Partial<Record<keyof StorageOwner, unknown>> {
	const [pid, host, startedAt, port] = JSON.parse(link) as unknown[];
	return {pid, host, startedAt, ...(port !== undefined && {origin: `http://127.0.0.1:${Number(port)}`})};
}

async function removeOwner(file: string): Promise<void> {
	await rm(ownerLinkOf(file), {force: true});
	await rm(file, {force: true});
}

function ownerLinkOf(file: string): string {
	return `${file}.link`;
}

function isSame({dev, ino}: {dev: number; ino: number}, folder: string): boolean {
	const found = statSync(folder, {throwIfNoEntry: false});
	return found?.dev === dev && found.ino === ino;
}

function ownerFileOf(storageDir: string): string {
	return path.join(storageDir, 'owner.json');
}

/** Only the holder of its lock may start or exit. */
function startingFileOf(file: string): string {
	return path.join(path.dirname(file), 'starting');
}

/** proper-lockfile's lock path. */
function lockOf(file: string): string {
	return `${file}.lock`;
}

function isLocked(error: unknown): boolean {
	return error instanceof Error && 'code' in error && error.code === 'ELOCKED';
}
