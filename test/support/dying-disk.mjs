// Preload script: logs the program's changes below one folder, and kills it with SIGKILL right after one of them.
// Environment: ROOT, the folder; JOURNAL, a file that receives one JSON line per call; DIE_AFTER, the number of the
// last call (from 1), or none; NO_LINKS, set for a disk without hard links.
import callbacks, {appendFileSync, cpSync, existsSync} from 'node:fs';
import fs from 'node:fs/promises';
import {syncBuiltinESMExports} from 'node:module';
import path from 'node:path';
import process from 'node:process';

const {ROOT: root = '', JOURNAL: journal = '', DIE_AFTER: dieAfter, NO_LINKS: noLinks} = process.env;
const paths = new WeakMap();
/** Keyed by descriptor. */
const openPaths = new Map();
const positionOf = {write: 3, truncate: 0};
let calls = 0;

function isOurs(file) {
	return file?.startsWith(root + path.sep);
}

function note(call) {
	appendFileSync(journal, `${JSON.stringify(call)}\n`);
	calls++;
	if (calls === Number(dieAfter)) {
		process.kill(process.pid, 'SIGKILL');
	}
}

/** Keeps a copy of a file before it is removed or replaced: a power cut may restore it. */
function keep(file) {
	if (!existsSync(file)) {
		return undefined;
	}

	const kept = `${journal}.${calls}-${path.basename(file)}`;
	cpSync(file, kept, {recursive: true});
	return kept;
}

for (const name of ['rename', 'link', 'copyFile', 'rm', 'mkdir']) {
	const original = fs[name];
	fs[name] = async (...args) => {
		const [from] = args;
		const to = ['rm', 'mkdir'].includes(name) ? from : args[1];
		if (!isOurs(from)) {
			return original(...args);
		}

		if (name === 'link' && noLinks) {
			throw Object.assign(new Error('EPERM: operation not permitted, link'), {
				code: 'EPERM',
				syscall: 'link',
			});
		}

		const replaced = name === 'mkdir' ? undefined : keep(to);
		const isNew = !existsSync(to);
		const result = await original(...args);
		if (name !== 'mkdir' || isNew) {
			note({call: name, from, path: to, replaced});
		}

		return result;
	};
}

const {open} = fs;
fs.open = async (file, ...args) => {
	const isNew = isOurs(file) && !existsSync(file);
	const handle = await open(file, ...args);
	paths.set(handle, file);
	openPaths.set(handle.fd, file);
	if (isNew) {
		note({call: 'create', path: file});
	}

	return handle;
};

const handle = await open(process.execPath, 'r');
const methods = Object.getPrototypeOf(handle);
await handle.close();
for (const name of ['write', 'writeFile', 'truncate', 'sync', 'datasync']) {
	const original = methods[name];
	methods[name] = async function (...args) {
		const begun = calls;
		const result = await original.apply(this, args);
		const file = paths.get(this);
		if (isOurs(file)) {
			const start = args[positionOf[name]] ?? 0;
			const end = name === 'write' ? start + result.bytesWritten : undefined;
			note({call: name, path: file, start, end, begun});
		}

		return result;
	};
}

const {writeSync} = callbacks;
callbacks.writeSync = (descriptor, bytes, ...args) => {
	const begun = calls;
	const bytesWritten = writeSync(descriptor, bytes, ...args);
	const file = openPaths.get(descriptor);
	if (isOurs(file)) {
		const [, , start = 0] = args;
		note({call: 'write', path: file, start, end: start + bytesWritten, begun});
	}

	return bytesWritten;
};

syncBuiltinESMExports();
