// Preload script: once the file STUCK exists, syncs never complete.
import {existsSync} from 'node:fs';
import {open} from 'node:fs/promises';
import process from 'node:process';

const handle = await open(process.execPath, 'r');
const methods = Object.getPrototypeOf(handle);
await handle.close();
for (const name of ['sync', 'datasync']) {
	const original = methods[name];
	methods[name] = async function () {
		// The timer keeps the thread alive, as a pending system call would.
		await (existsSync(process.env.STUCK)
			? new Promise(() => setInterval(() => {}, 1000))
			: original.call(this));
	};
}
