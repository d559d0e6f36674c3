// Persistent state: one folder per download, with its bytes (`data`) and its record (`entry.json`).
import {createHmac, randomBytes} from 'node:crypto';
import {
	existsSync,
	lstatSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	type Dirent,
} from 'node:fs';
import {mkdir, rm} from 'node:fs/promises';
import path from 'node:path';
import {isDeepStrictEqual} from 'node:util';
import {Low, type Adapter} from 'lowdb';
import type {DownloadId, DownStreamError} from '../../downstream.ts';
import {diskError, errorCode, isFull} from './disk-error.ts';
import {syncFolder, temporaryFilesOf, writeAtomically, writeDurably, writeInPlace} from './durable-file.ts';
import {checkRecord, InvalidRecord, type DownloadRecord} from './record.ts';
import {makeFolder} from './make-folder.ts';
import {alwaysWritable, refuseUnlessWritable, type Writable} from './writable.ts';

const dataName = 'data';
const checksName = 'checks';
const recordName = 'entry.json';
const backupName = 'entry.json.bak';
/** Bytes. A million ranges take 25 MB. */
const maxRecordBytes = 64 * 1024 * 1024;
/** Temporary files in the folder of a download, and in the storage folder. */
const temporaryFiles = {
	download: temporaryFilesOf('entry.json', 'film.json'),
	store: temporaryFilesOf('owner.json', 'key', 'view-key'),
};
const idPattern = /^[\da-f]{32}$/;

export class RecordStore {
	readonly #storageDir: string;
	readonly #access: Writable;
	readonly #wasReleased: boolean;

	/**
	 * Creates the folder if necessary. With `wasReleased`, no process has ended in the middle of a write, so none has left
	 * files behind. Rejects with `disk-full` or `disk-failed`.
	 */
	static async open(
		storageDir: string,
		access: Writable = alwaysWritable,
		wasReleased = false,
	): Promise<RecordStore> {
		await makeFolder(storageDir, 0o700).catch(throwDiskError(storageDir));
		return new RecordStore(storageDir, access, wasReleased);
	}

	private constructor(storageDir: string, access: Writable, wasReleased: boolean) {
		this.#storageDir = storageDir;
		this.#access = access;
		this.#wasReleased = wasReleased;
	}

	folderOf(id: DownloadId): string {
		return path.join(this.#storageDir, id);
	}

	/** Rejects with `disk-full` or `disk-failed`, or the refusal of the storage folder. */
	async create(record: DownloadRecord): Promise<RecordFile> {
		refuseUnlessWritable(this.#access);
		const folder = this.folderOf(record.id);
		await mkdir(folder, {mode: 0o700}).catch(throwDiskError(folder, this.#access));
		const file = new RecordFile(new DurableRecord(folder, this.#access), record);
		await file.save({});
		await syncFolder(this.#storageDir).catch(throwDiskError(this.#storageDir, this.#access));
		return file;
	}

	/**
	 * Resolves with all valid records, and a sentence for each invalid one, which stays on the disk unchanged. Ignores
	 * folders whose name is not a download id. Reads synchronously: no client is connected yet, and for thousands of
	 * small files, the thread pool takes several times as long. Rejects with `disk-failed`.
	 */
	async readAll(): Promise<{records: RecordFile[]; problems: string[]}> {
		const records: RecordFile[] = [];
		const problems: string[] = [];
		const entries = this.#entries();
		// A start that was killed before it took the lock leaves some, too.
		removeTemporaries(this.#storageDir, namesOf(entries), temporaryFiles.store, this.#access);
		for (const name of namesOf(entries.filter(entry => entry.isDirectory() && idPattern.test(entry.name)))) {
			const folder = this.folderOf(name);
			try {
				if (!this.#wasReleased) {
					removeTemporaries(folder, readdirSync(folder), temporaryFiles.download, this.#access);
				}

				const adapter = new DurableRecord(folder, this.#access, problem => problems.push(problem));
				const record = await adapter.read();
				if (record) {
					records.push(new RecordFile(adapter, asBefore(record), record));
				} else if (!removeIfEmpty(folder, this.#access)) {
					throw new InvalidRecord('it has no record');
				}
			} catch (error) {
				const reason = error instanceof InvalidRecord ? error.message : (errorCode(error) ?? String(error));
				problems.push(`The download in ${folder} is left unchanged: ${reason}`);
			}
		}

		return {records, problems};
	}

	#entries(): Dirent[] {
		try {
			return readdirSync(this.#storageDir, {withFileTypes: true});
		} catch (error) {
			throw diskError(error, this.#storageDir);
		}
	}

	/**
	 * Deletes the record last: a crash may leave a record without bytes, but never bytes without a record. Rejects with `disk-failed`,
	 * or the refusal of the storage folder.
	 */
	async delete(id: DownloadId): Promise<void> {
		refuseUnlessWritable(this.#access);
		const folder = this.folderOf(id);
		try {
			for (const name of [dataName, checksName, backupName]) {
				await rm(path.join(folder, name), {recursive: true, force: true});
			}

			await rm(folder, {recursive: true, force: true, maxRetries: 5});
		} catch (error) {
			throw diskError(error, folder);
		}
	}
}

/** Undoes a resumption that was temporary when the last run ended. */
function asBefore(record: DownloadRecord): DownloadRecord {
	const {before, ...rest} = record;
	return before ? {...rest, ...before} : record;
}

/** The record of one download, in memory and on disk. */
export class RecordFile {
	readonly folder: string;
	readonly #adapter: DurableRecord;
	readonly #database: Low<DownloadRecord>;
	/** The record on disk, if known. */
	#durable: DownloadRecord | undefined;

	/** `durable` is the record read from disk. */
	constructor(adapter: DurableRecord, record: DownloadRecord, durable?: DownloadRecord) {
		this.folder = adapter.folder;
		this.#adapter = adapter;
		this.#database = new Low(adapter, record);
		this.#durable = durable;
	}

	/** Immutable; each `save` creates a new object. */
	get record(): DownloadRecord {
		return this.#database.data;
	}

	get dataPath(): string {
		return path.join(this.folder, dataName);
	}

	get checksPath(): string {
		return path.join(this.folder, checksName);
	}

	/** Why record, data and checksums of this download must not be written now. */
	get refusal(): DownStreamError | undefined {
		return this.#adapter.refusal;
	}

	/** Stops all writes: `save` rejects with the reason from now on. */
	abandon(reason: DownStreamError): void {
		this.#adapter.abandonment = reason;
	}

	/** Undefined unless the record on disk has the same one: the one in memory is ahead of it while a save runs. */
	get completedAt(): number | undefined {
		const {completedAt} = this.record;
		return completedAt === this.#durable?.completedAt ? completedAt : undefined;
	}

	/** Whether both have read or written the same record. */
	isDurablyAs(other: RecordFile): boolean {
		return isDeepStrictEqual(this.#durable, other.#durable);
	}

	/** Makes the folder again if it was removed, but not the storage folder above it. Rejects as `save` does. */
	async makeFolder(): Promise<void> {
		refuseUnlessWritable(this);
		await mkdir(this.folder, {mode: 0o700}).catch((error: unknown) => {
			if (errorCode(error) !== 'EEXIST') {
				throwDiskError(this.folder, this.#adapter.access)(error);
			}
		});
	}

	/**
	 * Applies the change at once and resolves when it is durable; a field set to undefined is removed. Rejects with
	 * `disk-full` or `disk-failed`; the next save then includes the change. Skips the write if nothing changes:
	 * otherwise thousands of idle downloads would delay the exit.
	 */
	async save(change: Partial<DownloadRecord>): Promise<void> {
		const {record} = this;
		const keys = Object.keys(change) as Array<keyof DownloadRecord>;
		if (record === this.#durable && keys.every(key => isDeepStrictEqual(record[key], change[key]))) {
			return;
		}

		const changed = {...record, ...change};
		this.#database.data = changed;
		const file = path.join(this.folder, recordName);
		await this.#database.write().catch(throwDiskError(file, this.#adapter.access));
		this.#durable = changed;
	}
}

/** `entry.json` in one folder. Calls during a write are coalesced into one write of the latest record. */
class DurableRecord implements Adapter<DownloadRecord> {
	readonly folder: string;
	readonly access: Writable;
	readonly #onProblem: (sentence: string) => void;
	/** Why writes are permanently forbidden, regardless of the storage folder. */
	abandonment: DownStreamError | undefined;
	#latest: DownloadRecord | undefined;
	#running: Promise<void> = Promise.resolve();
	#next: Promise<void> | undefined;

	constructor(folder: string, access: Writable, onProblem: (sentence: string) => void = () => undefined) {
		this.folder = folder;
		this.access = access;
		this.#onProblem = onProblem;
	}

	get refusal(): DownStreamError | undefined {
		return this.abandonment ?? this.access.refusal;
	}

	/** Sets a damaged record aside and reads its backup; null if there is none. Throws `InvalidRecord`. */
	async read(): Promise<DownloadRecord | null> {
		for (const name of [recordName, backupName]) {
			const file = path.join(this.folder, name);
			const text = readIfExists(file);
			if (text === undefined) {
				continue;
			}

			const stored = parseJson(text);
			if (stored) {
				return checkRecord(stored, path.basename(this.folder));
			}

			this.#onProblem(`A damaged record was ${setAside(file, this.access)}`);
		}

		return null;
	}

	async write(record: DownloadRecord): Promise<void> {
		this.#latest = record;
		this.#next ??= this.#running
			.catch(() => undefined)
			.then(() => {
				this.#next = undefined;
				this.#running = this.#write();
				return this.#running;
			});
		return this.#next;
	}

	async #write(): Promise<void> {
		refuseUnlessWritable(this);
		const file = path.join(this.folder, recordName);
		const previous = path.join(this.folder, backupName);
		const write = async () => writeDurably(file, JSON.stringify(this.#latest), previous);
		try {
			await write();
		} catch (error) {
			// After a crash between two renames, the backup is the only record.
			if (!isFull(error) || !existsSync(file)) {
				throw error;
			}

			refuseUnlessWritable(this);
			// The data has filled the disk: only the blocks of the backup are certain.
			await writeInPlace(file, JSON.stringify(this.#latest), previous).catch(async (failure: unknown) => {
				if (!existsSync(file)) {
					throw failure;
				}

				await rm(previous, {force: true});
				await write();
			});
		}
	}
}

/**
 * The key of the storage folder: 32 random bytes in base64url, `made` when there is none. Rejects with `disk-full` or
 * `disk-failed`, or the refusal of the storage folder.
 */
export async function readKey(
	storageDir: string,
	access: Writable = alwaysWritable,
	made = newKey(),
): Promise<string> {
	const file = path.join(storageDir, 'key');
	try {
		const key = storedKey(file);
		if (key !== undefined) {
			return key;
		}

		refuseUnlessWritable(access);
		await writeDurably(file, made);
		return made;
	} catch (error) {
		throw diskError(error, file);
	}
}

export function newKey(): string {
	return randomBytes(32).toString('base64url');
}

/** The key that reads and commands nothing. It is derived, so that it changes with the key and does not reveal it. */
export function viewKeyOf(key: string): string {
	return createHmac('sha256', key).update('view').digest('base64url');
}

/** Stores the view key for players and scripts. Rejects if the disk takes no writes. */
export async function writeViewKey(storageDir: string, viewKey: string): Promise<void> {
	const file = path.join(storageDir, 'view-key');
	if (storedKey(file) !== viewKey) {
		await writeAtomically(file, viewKey);
	}
}

/** Returns undefined also for a link, pipe or device, which the program never creates. */
function storedKey(file: string): string | undefined {
	try {
		const key = readIfExists(file);
		return key !== undefined && /^[\w-]{43}$/.test(key) ? key : undefined;
	} catch (error) {
		if (error instanceof InvalidRecord) {
			return undefined;
		}

		throw error;
	}
}

/** Removes the temporary files of interrupted writes. A read-only disk keeps them. */
function removeTemporaries(
	folder: string,
	names: readonly string[],
	temporary: RegExp,
	access: Writable,
): void {
	for (const name of names) {
		if (temporary.test(name)) {
			succeeds(() => rmSync(path.join(folder, name)), access);
		}
	}
}

function namesOf(entries: readonly Dirent[]): string[] {
	return entries.map(({name}) => name);
}

/**
 * Removes an empty folder: no first record was written, or the last one was deleted. Returns true if it was removed. A
 * read-only disk keeps it.
 */
function removeIfEmpty(folder: string, access: Writable): boolean {
	return readdirSync(folder).length === 0 && succeeds(() => rmdirSync(folder), access);
}

/** Renames the damaged file, and returns the outcome in words. */
function setAside(file: string, access: Writable): string {
	const aside = `${file}.corrupt-${Date.now()}`;
	return succeeds(() => renameSync(file, aside), access) ? `set aside: ${aside}` : `found: ${file}`;
}

/** Returns false if writes are forbidden or the disk rejects the change. */
function succeeds(act: () => void, {refusal}: Writable): boolean {
	if (refusal) {
		return false;
	}

	try {
		act();
		return true;
	} catch (error) {
		if (errorCode(error) === undefined) {
			throw error;
		}

		return false;
	}
}

/** Throws `InvalidRecord` for a pipe, a device, or a file that is too large for memory. */
function readIfExists(file: string): string | undefined {
	const found = lstatSync(file, {throwIfNoEntry: false});
	if (!found) {
		return undefined;
	}

	if (!found.isFile() || found.size > maxRecordBytes) {
		throw new InvalidRecord(`${path.basename(file)} is not a file of at most ${maxRecordBytes} bytes`);
	}

	return readFileSync(file, 'utf8');
}

/** Returns undefined if the text is not a JSON object. */
function parseJson(text: string): object | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
	} catch {
		return undefined;
	}
}

function throwDiskError(file: string, access = alwaysWritable): (error: unknown) => never {
	return error => {
		throw access.explain(diskError(error, file));
	};
}
