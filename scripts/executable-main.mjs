// Entry point of the single executable: unpacks the bundle once into the user's cache folder and starts it.
import {createHash} from 'node:crypto';
import {lstatSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import process from 'node:process';
import {getAsset} from 'node:sea';
import {userFolders} from '../source/home-folder.ts';

/** Name and SHA-256 of each file. */
const manifest = getAsset('manifest.json', 'utf8');
const files = Object.entries(JSON.parse(manifest));
const sha256 = bytes => createHash('sha256').update(bytes).digest('hex');
// Named by its content: another version gets its own folder, even while this one runs.
const {cache} = userFolders('downstream-tui-program');
const folder = path.join(cache, sha256(manifest).slice(0, 32));

function isWhole() {
	try {
		// It must belong to the user, and no one else may be able to write to it.
		const {uid, mode} = lstatSync(folder);
		const isOurs = process.getuid === undefined || (uid === process.getuid() && (mode & 0o077) === 0);
		return (
			isOurs && files.every(([name, digest]) => sha256(readFileSync(path.join(folder, name))) === digest)
		);
	} catch {
		return false;
	}
}

/** Unpacks under a temporary name: a concurrent start never sees an incomplete folder. */
function unpack() {
	mkdirSync(cache, {recursive: true, mode: 0o700});
	const temporary = mkdtempSync(`${folder}.`);
	try {
		for (const [name] of files) {
			writeFileSync(path.join(temporary, name), Buffer.from(getAsset(name)), {mode: 0o600});
		}

		replaceFolder(temporary);
	} finally {
		rmSync(temporary, {recursive: true, force: true});
	}
}

function replaceFolder(temporary) {
	try {
		renameSync(temporary, folder);
	} catch {
		// A concurrent start was first, or the existing folder is damaged.
		if (!isWhole()) {
			rmSync(folder, {recursive: true, force: true});
			renameSync(temporary, folder);
		}
	}
}

function start() {
	try {
		if (!isWhole()) {
			unpack();
		}
	} catch (error) {
		process.stderr.write(
			`downstream-tui: the program cannot be unpacked into ${cache} (${error.code ?? error.message}); XDG_CACHE_HOME names another place\n`,
		);
		process.exitCode = 1;
		return;
	}

	// The executable itself can load only Node's built-in modules.
	createRequire(path.join(folder, 'start.cjs'))('./start.cjs');
}

start();
