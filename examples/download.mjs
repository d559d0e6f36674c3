// Downloads a file and exports it, without a player:
//   node examples/download.mjs https://example.com/film.mkv [FOLDER]
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {DownStream, DownStreamError} from 'downstream-tui';

const [url, folder = '.'] = process.argv.slice(2);
if (url === undefined) {
	console.error('usage: node examples/download.mjs URL [FOLDER]');
	process.exit(2);
}

const downstream = await DownStream.init({port: 0, storageDir: path.join(tmpdir(), 'downstream-example')});
try {
	const localUrl = await downstream.cache(url);
	console.log(`play it now: mpv ${localUrl}`);

	for await (const {fileName, totalSize, mimeType} of downstream.getFileStats(localUrl)) {
		console.log(`${fileName}: ${totalSize ?? 'unknown'} bytes, ${mimeType}`);
		break;
	}

	// A seek has priority over the background download.
	const response = await fetch(localUrl, {headers: {range: 'bytes=-16'}});
	console.log(`its last 16 bytes: ${Buffer.from(await response.arrayBuffer()).toString('hex')}`);

	for await (const {progress, status, bytesPerSecond} of downstream.progress(localUrl)) {
		console.log(`${progress.toFixed(1)} %, ${Math.round(bytesPerSecond / 1024)} KiB/s, ${status}`);
	}

	await downstream.whenComplete(localUrl);
	console.log(`exported to ${await downstream.exportFile(localUrl, `${folder}/`, {keepBoth: true})}`);
	await downstream.removeCache(localUrl);
} catch (error) {
	// The message is one sentence for users; the code is for programs.
	console.error(error instanceof DownStreamError ? `${error.code}: ${error.message}` : error);
	process.exitCode = 1;
} finally {
	await downstream.dispose();
}
