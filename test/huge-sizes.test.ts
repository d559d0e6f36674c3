// Origins that claim sizes beyond every file system.
import assert from 'node:assert/strict';
import {open} from 'node:fs/promises';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {startEngine, temporaryFolder, until} from './support/engines.ts';
import {startRawOrigin} from './support/raw-origin.ts';

const timeout = 60_000;

/** Whether the file system of temporary folders has room for the name of so large a file. */
async function canHold(t: TestContext, size: number): Promise<boolean> {
	const file = await open(path.join(await temporaryFolder(t), 'large'), 'w');
	try {
		await file.truncate(size);
		return true;
	} catch {
		return false;
	} finally {
		await file.close();
	}
}

for (const size of [2 ** 50, Number.MAX_SAFE_INTEGER]) {
	for (const isPart of [true, false]) {
		test(
			`${isPart ? 'a part of a file' : 'a whole'} of ${size} bytes is told as that`,
			{timeout},
			async t => {
				const url = await startRawOrigin(t, ({socket, range}) => {
					const {start = 0, end = size} = (isPart && range) || {};
					socket.write(
						[
							isPart ? 'HTTP/1.1 206 Partial Content' : 'HTTP/1.1 200 OK',
							...(isPart ? [`Content-Range: bytes ${start}-${end - 1}/${size}`] : []),
							`Content-Length: ${end - start}`,
							'Content-Type: video/x-matroska',
							'',
							'x',
						].join('\r\n'),
					);
				});
				const {engine} = await startEngine(t);
				const {download} = await engine.add({url: `${url}/film.mkv`});
				const told = await until(
					engine,
					download.id,
					({status, present}) => status === 'failed' || present > 0,
				);
				assert.equal(told.size, (await canHold(t, size)) ? size : null);
				if (told.size === null) {
					assert.match(told.error!.message, new RegExp(`The disk cannot hold a file of ${size} bytes`));
				}
			},
		);
	}
}

for (const total of ['9007199254740992', '99999999999999999999']) {
	test(`a part of a file of ${total} bytes is not believed`, {timeout}, async t => {
		const url = await startRawOrigin(t, ({socket}) =>
			socket.write(
				`HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-99/${total}\r\nContent-Length: 100\r\n\r\n`,
			),
		);
		const {engine} = await startEngine(t);
		const {download} = await engine.add({url: `${url}/film.mkv`});
		const {error} = await until(engine, download.id, ({status}) => status === 'failed');
		assert.match(error!.message, /states an impossible size for the file/);
	});
}

test('a length that is no number of bytes is none: the file ends with the connection', {timeout}, async t => {
	const url = await startRawOrigin(t, ({socket}) =>
		socket.end('HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nfilm'),
	);
	const {engine} = await startEngine(t);
	const {download} = await engine.add({url: `${url}/film.mkv`});
	const {size} = await until(engine, download.id, ({status}) => /complete|failed/.test(status));
	assert.equal(size, 4);
});
