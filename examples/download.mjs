// Downloads a file, plays nothing, and shows all there is to see meanwhile:
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

	for await (const {fileName, totalSize, mimeType} of downstream.getFileStats(url)) {
		console.log(`${fileName}: ${totalSize ?? 'unknown'} bytes, ${mimeType}`);
		break;
	}

	// Where a player would jump to is fetched first.
	const response = await fetch(localUrl, {headers: {range: 'bytes=-16'}});
	console.log(`its last 16 bytes: ${Buffer.from(await response.arrayBuffer()).toString('hex')}`);

	for await (const {progress, status, bytesPerSecond} of downstream.progressStream) {
		console.log(`${progress.toFixed(1)} %, ${Math.round(bytesPerSecond / 1024)} KiB/s, ${status}`);
		if (status === 'complete' || status === 'failed') {
			break;
		}
	}

	console.log(`exported to ${await downstream.exportFile(url, `${folder}/`, {keepBoth: true})}`);
	await downstream.removeCache(url);
} catch (error) {
	// Each says in one sentence what is wrong; its code is for programs.
	console.error(error instanceof DownStreamError ? `${error.code}: ${error.message}` : error);
	process.exitCode = 1;
} finally {
	await downstream.dispose();
}
