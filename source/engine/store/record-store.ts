// What survives a restart: one folder for each download, with its bytes (`data`) and its record (`entry.json`).
import {createHmac, randomBytes} from 'node:crypto';
import {lstatSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync} from 'node:fs';
import {mkdir, rm} from 'node:fs/promises';
import path from 'node:path';
import {isDeepStrictEqual} from 'node:util';
import {Low, type Adapter} from 'lowdb';
import type {DownloadId, DownStreamError} from '../../downstream.ts';
import {diskError, errorCode, isFull} from './disk-error.ts';
import {syncFolder, temporarySuffix, writeDurably} from './durable-file.ts';
import {checkRecord, InvalidRecord, type DownloadRecord} from './record.ts';
import {makeFolder} from './make-folder.ts';

export type {DownloadRecord} from './record.ts';

const dataName = 'data';
const checksName = 'checks';
const entryName = 'entry.json';
const backupName = 'entry.json.bak';
/** Bytes; a million ranges are 25 MB. */
const largestRecord = 64 * 1024 * 1024;
const idPattern = /^[\da-f]{32}$/;

export class RecordStore {
	readonly #storageDir: string;

	/** Rejects with `disk-full` or `disk-failed` if the folder cannot be made. */
	static async open(storageDir: string): Promise<RecordStore> {
		await makeFolder(storageDir, 0o700).catch(throwDiskError(storageDir));
		return new RecordStore(storageDir);
	}

	private constructor(storageDir: string) {
		this.#storageDir = storageDir;
	}

	folderOf(id: DownloadId): string {
		return path.join(this.#storageDir, id);
	}

	/** Rejects with `disk-full` or `disk-failed`. */
	async create(entry: DownloadRecord): Promise<RecordFile> {
		const folder = this.folderOf(entry.id);
		await mkdir(folder, {mode: 0o700}).catch(throwDiskError(folder));
		const file = new RecordFile(new DurableRecord(folder), entry);
		await file.save({});
		await syncFolder(this.#storageDir).catch(throwDiskError(this.#storageDir));
		return file;
	}

	/**
	 * Every entry that can be trusted, and a plain sentence for each that cannot; those stay on the disk as they
	 * are. Folders whose name is not that of a download are not ours. Nobody is served yet who could be kept waiting,
	 * and for thousands of small files asking other threads takes several times as long as reading. Rejects
	 * with `disk-failed`.
	 */
	async readAll(): Promise<{entries: RecordFile[]; problems: string[]}> {
		const entries: RecordFile[] = [];
		const problems: string[] = [];
		for (const name of this.#ids()) {
			const folder = this.folderOf(name);
			try {
				if (isEmptied(folder)) {
					continue;
				}

				const record = new DurableRecord(folder, problem => problems.push(problem));
				const entry = await record.read();
				entries.push(new RecordFile(record, entry, entry));
			} catch (error) {
				const reason = error instanceof InvalidRecord ? error.message : (errorCode(error) ?? String(error));
				problems.push(`The download in ${folder} is left as it is: ${reason}`);
			}
		}

		return {entries, problems};
	}

	#ids(): DownloadId[] {
		try {
			return readdirSync(this.#storageDir, {withFileTypes: true})
				.filter(entry => entry.isDirectory() && idPattern.test(entry.name))
				.map(({name}) => name);
		} catch (error) {
			throw diskError(error, this.#storageDir);
		}
	}

	/** Its record goes last: a crash leaves an entry without bytes, never bytes without an entry. */
	async delete(id: DownloadId): Promise<void> {
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

/** The record of one download, in memory and on the disk. */
export class RecordFile {
	readonly folder: string;
	readonly #record: DurableRecord;
	readonly #database: Low<DownloadRecord>;
	/** What is on the disk, as far as that is known. */
	#durable: DownloadRecord | undefined;

	/** `durable`: what was read from the disk. */
	constructor(record: DurableRecord, entry: DownloadRecord, durable?: DownloadRecord) {
		this.folder = record.folder;
		this.#record = record;
		this.#database = new Low(record, entry);
		this.#durable = durable;
	}

	/** Never changes; each `save` makes a new one. */
	get entry(): DownloadRecord {
		return this.#database.data;
	}

	get dataPath(): string {
		return path.join(this.folder, dataName);
	}

	get checksPath(): string {
		return path.join(this.folder, checksName);
	}

	/** The folder is another copy's now. */
	get isAbandoned(): boolean {
		return this.#record.refusal !== undefined;
	}

	/** Nothing is written from here on: `save` rejects with the reason. */
	abandon(reason: DownStreamError): void {
		this.#record.refusal = reason;
	}

	/**
	 * Changes the entry at once, and resolves when that is durable; a field set to undefined is dropped. Rejects
	 * with `disk-full` or `disk-failed`; the change is then part of the next save. What changes nothing is not written:
	 * thousands of downloads that did nothing must not keep the program from ending.
	 */
	async save(change: Partial<DownloadRecord>): Promise<void> {
		const {entry} = this;
		const keys = Object.keys(change) as Array<keyof DownloadRecord>;
		if (entry === this.#durable && keys.every(key => isDeepStrictEqual(entry[key], change[key]))) {
			return;
		}

		const changed = {...entry, ...change};
		this.#database.data = changed;
		await this.#database.write().catch(throwDiskError(path.join(this.folder, entryName)));
		this.#durable = changed;
	}
}

/** `entry.json` in one folder; calls that come while a write runs become one write of the newest. */
class DurableRecord implements Adapter<DownloadRecord> {
	readonly folder: string;
	readonly #onProblem: (sentence: string) => void;
	/** Why nothing may be written any more. */
	refusal: DownStreamError | undefined;
	#newest: DownloadRecord | undefined;
	#running: Promise<void> = Promise.resolve();
	#next: Promise<void> | undefined;

	constructor(folder: string, onProblem: (sentence: string) => void = () => undefined) {
		this.folder = folder;
		this.#onProblem = onProblem;
	}

	/** What is damaged is set aside, and the copy before it is read. Throws `InvalidRecord`. */
	async read(): Promise<DownloadRecord> {
		for (const name of [entryName, backupName]) {
			const file = path.join(this.folder, name);
			const text = readIfThere(file);
			if (text === undefined) {
				continue;
			}

			const stored = parseJson(text);
			if (stored) {
				return checkRecord(stored, path.basename(this.folder));
			}

			this.#onProblem(`A damaged record was ${setAside(file)}`);
		}

		throw new InvalidRecord('it has no record');
	}

	async write(entry: DownloadRecord): Promise<void> {
		this.#newest = entry;
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
		if (this.refusal) {
			throw this.refusal;
		}

		const previous = path.join(this.folder, backupName);
		const write = async () =>
			writeDurably(path.join(this.folder, entryName), JSON.stringify(this.#newest), previous);
		try {
			await write();
		} catch (error) {
			if (!isFull(error)) {
				throw error;
			}

			// The bytes took the last room: the copy gives its own to the record of them.
			await rm(previous, {force: true});
			await write();
		}
	}
}

/**
 * The key of the storage folder: 32 random bytes in base64url, made when there is none. Only the holder of the
 * storage lock may ask for one to be made. Rejects with `disk-full` or `disk-failed`.
 */
export async function readKey(storageDir: string): Promise<string> {
	const file = path.join(storageDir, 'key');
	try {
		const key = storedKey(file);
		if (key !== undefined) {
			return key;
		}

		const made = newKey();
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
		await writeDurably(file, viewKey);
	}
}

/** Undefined also for a link, pipe or device: no key of ours. */
function storedKey(file: string): string | undefined {
	try {
		const key = readIfThere(file);
		return key !== undefined && /^[\w-]{43}$/.test(key) ? key : undefined;
	} catch (error) {
		if (error instanceof InvalidRecord) {
			return undefined;
		}

		throw error;
	}
}

/**
 * Whether the folder holds nothing: the program ended before the first record of a download was there, or after the last
 * one had gone. Removes it then, and temporary files always; a disk that takes no writes keeps them.
 */
function isEmptied(folder: string): boolean {
	const files = readdirSync(folder).filter(name => {
		const isTemporary = name.startsWith(entryName) && name.endsWith(temporarySuffix);
		return !isTemporary || !isDone(() => rmSync(path.join(folder, name)));
	});
	return files.length === 0 && isDone(() => rmdirSync(folder));
}

/** What became of the damaged file, in words. */
function setAside(file: string): string {
	const aside = `${file}.corrupt-${Date.now()}`;
	return isDone(() => renameSync(file, aside)) ? `set aside: ${aside}` : `found: ${file}`;
}

/** False where the disk takes no writes. */
function isDone(act: () => void): boolean {
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

/** Throws `InvalidRecord` for what would never end or does not fit into memory: a pipe, a device, a file that is too large. */
function readIfThere(file: string): string | undefined {
	const found = lstatSync(file, {throwIfNoEntry: false});
	if (!found) {
		return undefined;
	}

	if (!found.isFile() || found.size > largestRecord) {
		throw new InvalidRecord(`${path.basename(file)} is not a file of at most ${largestRecord} bytes`);
	}

	return readFileSync(file, 'utf8');
}

/** Undefined for what is not a JSON object. */
function parseJson(text: string): object | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
	} catch {
		return undefined;
	}
}

function throwDiskError(file: string): (error: unknown) => never {
	return error => {
		throw diskError(error, file);
	};
}
