// Keeps the compiled code of the program's files for the next start: compiling takes a third of the time of a short run.
// The code includes functions that V8 compiles at their first call, which Node's own cache (22.1 and later) omits.
import {
	closeSync,
	fstatSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
	type Stats,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import {cachedDataVersionTag, deserialize, serialize} from 'node:v8';
import {Script} from 'node:vm';
import {crc32} from 'node:zlib';
import {originalTag, withOriginalFlags} from './v8-flags.ts';

/** Milliseconds until the code is saved. Later V8 discards the code of functions that are no longer called. */
const saveAfterMs = 5000;
/** Milliseconds until the stored code, two megabytes, is freed. */
const forgetAfterMs = 3000;
/** Milliseconds. The caches of other versions are deleted after this time. */
const maxAgeMs = 30 * 24 * 60 * 60 * 1000;

export class CodeCache {
	readonly #file: string;
	/** The content of the file, while files are loaded. */
	#stored: Record<string, Uint8Array> | undefined;
	readonly #scripts = new Map<string, Script>();
	/** Names of files whose stored code V8 has refused. */
	readonly #refused = new Set<string>();
	#isStale = false;

	/** In `folder`, for the build of the program with this hash. */
	constructor(folder: string, build: string) {
		this.#file = path.join(folder, `${build}-${originalTag.toString(16)}`);
	}

	#code(): Record<string, Uint8Array> {
		if (!this.#stored) {
			this.#stored = read(this.#file);
			setTimeout(() => {
				this.#stored = undefined;
			}, forgetAfterMs).unref();
		}

		return this.#stored;
	}

	/** Compiles a file, or takes its code from the cache. */
	compile(name: string, source: string, filename: string): Script {
		const cachedData = this.#code()[name];
		const script = withOriginalFlags(() => new Script(source, {filename, cachedData}));
		this.#scripts.set(name, script);
		if (script.cachedDataRejected) {
			this.#refused.add(name);
		}

		if (script.cachedDataRejected !== false) {
			this.#saveLater();
		}

		return script;
	}

	#saveLater(): void {
		if (this.#isStale) {
			return;
		}

		this.#isStale = true;
		const save = () => {
			clearTimeout(timer);
			process.off('exit', save);
			this.#isStale = false;
			withOriginalFlags(() => this.#save());
		};
		const timer = setTimeout(save, saveAfterMs).unref();
		process.on('exit', save);
	}

	/** A failure has no consequence: the next start compiles again. */
	#save(): void {
		try {
			// A future V8 may start with other values of the flags: it would refuse the code.
			if (cachedDataVersionTag() !== originalTag || !makeFolder(path.dirname(this.#file))) {
				return;
			}

			const code = this.#code();
			for (const [name, script] of this.#scripts) {
				const current = script.createCachedData();
				// V8 discards the code of functions that are no longer called.
				if (this.#refused.has(name) || current.length > (code[name]?.length ?? 0)) {
					code[name] = current;
				}
			}

			write(this.#file, code);
		} catch {}
	}
}

/** Code that others can write would run as this user. */
function isPrivate({uid, mode}: Stats): boolean {
	return process.getuid === undefined || (uid === process.getuid() && (mode & 0o022) === 0);
}

/** Code by file name. Empty if there is none, if others can write it, or if it is damaged: V8 trusts its bytes. */
function read(file: string): Record<string, Uint8Array> {
	try {
		const descriptor = openSync(file, 'r');
		try {
			if (![lstatSync(path.dirname(file)), fstatSync(descriptor)].every(isPrivate)) {
				return {};
			}

			const bytes = readFileSync(descriptor);
			const code = bytes.subarray(4);
			return bytes.readUInt32LE() === crc32(code) ? (deserialize(code) as Record<string, Uint8Array>) : {};
		} finally {
			closeSync(descriptor);
		}
	} catch {
		return {};
	}
}

/** Returns whether the folder can be used. `recursive` would loop forever where folders cannot be created, as in /proc. */
function makeFolder(folder: string, mayMakeParent = true): boolean {
	try {
		mkdirSync(folder, {mode: 0o700});
	} catch (error) {
		const {code} = error as NodeJS.ErrnoException;
		const parent = path.dirname(folder);
		if (code === 'ENOENT' && mayMakeParent && parent !== folder) {
			return makeFolder(parent) && makeFolder(folder, false);
		}

		if (code !== 'EEXIST') {
			return false;
		}
	}

	const found = lstatSync(folder);
	return found.isDirectory() && isPrivate(found);
}

/** Replaces the file at once, so that others read a whole one. */
function write(file: string, code: Readonly<Record<string, Uint8Array>>): void {
	const temporary = `${file}.${process.pid}`;
	const content = serialize(code);
	const checksum = Buffer.alloc(4);
	checksum.writeUInt32LE(crc32(content));
	try {
		writeFileSync(temporary, Buffer.concat([checksum, content]), {mode: 0o600});
		renameSync(temporary, file);
	} catch (error) {
		rmSync(temporary, {force: true});
		throw error;
	}

	deleteOld(path.dirname(file));
}

function deleteOld(folder: string): void {
	for (const name of readdirSync(folder)) {
		const file = path.join(folder, name);
		if (Date.now() - lstatSync(file).mtimeMs > maxAgeMs) {
			rmSync(file);
		}
	}
}
