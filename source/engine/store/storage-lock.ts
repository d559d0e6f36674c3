// One writer for each storage folder: two copies of the program would ruin each other's downloads.
import fs, {statSync} from 'node:fs';
import {readFile, readlink, rm, stat, symlink} from 'node:fs/promises';
import {connect} from 'node:net';
import {hostname} from 'node:os';
import path from 'node:path';
import {setTimeout} from 'node:timers/promises';
import {lock} from 'proper-lockfile';
import {DownStreamError} from '../../downstream.ts';
import {diskError, errorCode, isFull} from './disk-error.ts';
import {writeDurably} from './durable-file.ts';

/** Who holds the folder, as `owner.json` says. */
export type StorageOwner = {
	readonly pid: number;
	readonly host: string;
	/** `http://127.0.0.1:PORT`, once the proxy listens. */
	readonly origin?: string;
	/** Milliseconds since the epoch. */
	readonly startedAt: number;
};

/** Another process has the folder, or it is not there any more. */
export type LockLoss = 'taken' | 'removed';

// The holder touches its lock every 2 s; a lock that was not touched for 10 s is stale.
const staleMs = 10_000;
const updateMs = 2000;
const startingStaleMs = 2000;
const startingPollMs = 20;

type Callback = (error: NodeJS.ErrnoException | null) => void;

/**
 * The file system as proper-lockfile uses it. A full disk (ext4) has no block for a new folder, but makes empty files: the
 * lock is one of these there, and as exclusive.
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
 * The lock is the folder `owner.json.lock`, which only one process can make. Whoever wants it looks at the holder
 * first, and a dead one is taken over at once. All of that happens under a second lock, `starting.lock`: otherwise
 * two starters could both find the holder dead, and the slower one would remove the lock of the faster one. A
 * starter that is killed in those few milliseconds delays the next one by the 2 s after which its guard is stale.
 */
export class StorageLock {
	readonly #ownerFile: string;
	readonly #isInPlace: () => boolean;
	#owner: StorageOwner;
	readonly #unlock: () => Promise<void>;

	/**
	 * Rejects with `storage-locked` if the folder has a living holder, with `disk-full` or `disk-failed` if it
	 * cannot be written. `onLost`: another process has the folder now (this one did not run for so long that it
	 * was taken for dead), or the folder was removed; nothing may be written from here on.
	 */
	static async acquire(
		storageDir: string,
		onLost: (loss: LockLoss) => void = () => undefined,
	): Promise<StorageLock> {
		const file = ownerFileOf(storageDir);
		try {
			const endStart = await lockStarting(startingOf(file));
			try {
				const folder = await stat(storageDir);
				const isInPlace = () => isSame(folder, storageDir);
				const held = await takeOver(file, () => onLost(isInPlace() ? 'taken' : 'removed'));
				return new StorageLock(file, held, isInPlace);
			} finally {
				await endStart();
			}
		} catch (error) {
			throw isLocked(error)
				? new DownStreamError('storage-locked', `Another copy is starting on ${storageDir}`, {cause: error})
				: diskError(error, file);
		}
	}

	private constructor(ownerFile: string, {owner, unlock}: Held, isInPlace: () => boolean) {
		this.#ownerFile = ownerFile;
		this.#isInPlace = isInPlace;
		this.#owner = owner;
		this.#unlock = unlock;
	}

	/** False once the storage folder was removed or replaced. Costs one stat. */
	get isInPlace(): boolean {
		return this.#isInPlace();
	}

	/** Tells other copies where the proxy listens, if the disk has room for that. Rejects with `disk-failed`. */
	async publish(origin: string): Promise<void> {
		this.#owner = {...this.#owner, origin};
		await writeOwner(this.#ownerFile, this.#owner);
	}

	/** Frees the folder; it is freed too when the process ends by itself or by a signal that it can handle. */
	async release(): Promise<void> {
		// Nobody starts meanwhile: the next holder's owner file is not ours to remove.
		const endStart = await lockStarting(startingOf(this.#ownerFile)).catch(() => undefined);
		// A lock that was lost is not ours to release.
		await this.#unlock().catch(() => undefined);
		const {pid, startedAt} = this.#owner;
		const stored = endStart && (await readOwner(this.#ownerFile));
		if (stored?.pid === pid && stored.startedAt === startedAt) {
			await forgetOwner(this.#ownerFile).catch(() => undefined);
		}

		await endStart?.().catch(() => undefined);
	}
}

/** The process that holds the folder now; undefined if none does. */
export async function storageOwner(storageDir: string): Promise<StorageOwner | undefined> {
	const file = ownerFileOf(storageDir);
	const touchedAt = await lockTouchedAt(file);
	const owner = await readOwner(file);
	return owner && touchedAt !== undefined && (await isAlive(owner, touchedAt)) ? owner : undefined;
}

/** Waits for other starters, each of which needs some milliseconds. */
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

type Held = {readonly owner: StorageOwner; readonly unlock: () => Promise<void>};

async function takeOver(file: string, onLost: () => void): Promise<Held> {
	const touchedAt = await lockTouchedAt(file);
	if (touchedAt !== undefined) {
		const holder = await readOwner(file);
		if (holder ? await isAlive(holder, touchedAt) : isFresh(touchedAt)) {
			const who = holder ? ` (pid ${holder.pid}${holder.origin ? `, ${holder.origin}` : ''})` : '';
			throw new DownStreamError(
				'storage-locked',
				`downstream-tui already runs${who} on ${path.dirname(file)}`,
			);
		}

		await rm(lockOf(file), {recursive: true, force: true});
	}

	const owner = {pid: process.pid, host: hostname(), startedAt: Date.now()};
	// Before the lock: a lock whose holder is killed before it has said who it is would hold until it is stale.
	await writeOwner(file, owner);
	const unlock = await lock(file, {
		realpath: false,
		stale: staleMs,
		update: updateMs,
		onCompromised: onLost,
		fs: lockingFs,
	});
	return {owner, unlock};
}

/**
 * A process that is stopped touches nothing, but its port still takes connections; a pid that another program has
 * now comes with neither. A holder that just starts or ends has no port, but a fresh lock. Of a process on another
 * host (a shared disk, a container) nothing can be known but that.
 */
async function isAlive(owner: StorageOwner, touchedAt: number): Promise<boolean> {
	if (owner.host !== hostname()) {
		return isFresh(touchedAt);
	}

	return (
		isProcess(owner.pid) &&
		!(await isZombie(owner.pid)) &&
		(isFresh(touchedAt) || (await takesConnections(owner.origin)))
	);
}

function isFresh(touchedAt: number): boolean {
	return Date.now() - touchedAt < staleMs;
}

function isProcess(pid: number): boolean {
	try {
		return process.kill(pid, 0);
	} catch (error) {
		// EPERM: it is there and belongs to someone else.
		return errorCode(error) === 'EPERM';
	}
}

/**
 * Linux tells of a process that has ended while its parent has not asked for it yet, which in a container may take for
 * ever. Its last thread must have ended too: others may still be in the middle of a write (proc(5): state, num_threads).
 */
async function isZombie(pid: number): Promise<boolean> {
	const stored = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
	const fields = stored.slice(stored.lastIndexOf(')') + 2).split(' ');
	return fields[0] === 'Z' && fields[17] === '1';
}

async function takesConnections(origin: string | undefined): Promise<boolean> {
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
		// No answer at all on loopback: something listens, and its queue is full.
		socket.setTimeout(1000, () => settle(true));
	});
}

/** Milliseconds since the epoch; undefined if nobody has the lock. Rejects with `disk-failed`. */
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

/** Undefined if there is none that can be read. */
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
 * bytes). Where there is none for that either, other copies know only that the folder has an owner.
 */
async function writeOwner(file: string, owner: StorageOwner): Promise<void> {
	try {
		await rm(ownerLinkOf(file), {force: true});
		await writeDurably(file, JSON.stringify(owner));
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

async function forgetOwner(file: string): Promise<void> {
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

/** Who has its lock is the only one that starts or ends. */
function startingOf(file: string): string {
	return path.join(path.dirname(file), 'starting');
}

/** Where proper-lockfile keeps the lock of a file. */
function lockOf(file: string): string {
	return `${file}.lock`;
}

function isLocked(error: unknown): boolean {
	return error instanceof Error && 'code' in error && error.code === 'ELOCKED';
}
