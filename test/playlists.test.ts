// The first bytes identify a playlist in place of a film, whatever its name and type.
import assert from 'node:assert/strict';
import path from 'node:path';
import {test} from 'node:test';
import {stateWords, substituteOf} from '../source/text/status-words.ts';
import type {Download} from '../source/downstream.ts';
import {sniffType} from '../source/engine/origin/file-info.ts';
import {CliProcess} from './support/cli.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';

const hls = '#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\npart1.ts\n';
const dash = '<?xml version="1.0"?>\n<!-- made by <hand> -->\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>\n';

for (const [what, text, type, kind] of [
	['HLS as plain text', hls, 'text/plain; charset=utf-8', 'HLS'],
	['HLS as bytes', hls, 'application/octet-stream', 'HLS'],
	['HLS as a film', hls, 'video/x-matroska', 'HLS'],
	['HLS with a byte order mark', `\uFEFF${hls}`, 'text/plain', 'HLS'],
	['DASH as plain text', dash, 'text/plain', 'DASH'],
	['DASH as XML', dash, 'application/xml', 'DASH'],
	['DASH as bytes', dash, 'application/octet-stream', 'DASH'],
	['DASH without a declaration', '<MPD>\n</MPD>', '', 'DASH'],
] as const) {
	test(`${what} is recognized as a playlist without a further request`, async t => {
		const body = Buffer.from(text);
		const origin = await startOrigin(t, {
			size: body.length,
			intercept(_request, response) {
				response.writeHead(200, {...(type !== '' && {'content-type': type}), 'content-length': body.length});
				response.end(body);
				return true;
			},
		});
		const {engine} = await startEngine(t);
		const {download} = await engine.add({url: origin.urlOf('/watch')});
		const done = await until(engine, download.id, ({status}) => status === 'complete');
		assert.equal(substituteOf(done)?.words, `a playlist (${kind}), not the film itself`);
		assert.equal(stateWords(done, Date.now(), false).word, 'playlist');
		assert.equal(done.type, kind === 'HLS' ? 'application/vnd.apple.mpegurl' : 'application/dash+xml');
		assert.equal(origin.requests.length, 1);
	});
}

for (const [what, text, type] of [
	['text that mentions a playlist', `# Notes\n${hls}`, 'text/plain'],
	['a longer word', '#EXTM3UX\n', 'text/plain'],
	['XML that mentions a playlist', '<list><MPD/></list>', 'application/xml'],
] as const) {
	test(`${what} is not a playlist`, async t => {
		const body = Buffer.from(text);
		const origin = await startOrigin(t, {
			size: body.length,
			intercept(_request, response) {
				response.writeHead(200, {'content-type': type, 'content-length': body.length}).end(body);
				return true;
			},
		});
		const {engine} = await startEngine(t);
		const {download} = await engine.add({url: origin.urlOf('/watch')});
		const done = await until(engine, download.id, ({status}) => status === 'complete');
		assert.equal(substituteOf(done), undefined);
		assert.equal(done.type, type);
	});
}

test('detection stops early in a file that starts with only comments', async () => {
	const comments = '<!---->'.repeat(1000);
	assert.equal(await sniffType(Buffer.from(`${comments}<MP`)), undefined);
});

test('get and list name a playlist sent as plain text', async t => {
	const origin = await startOrigin(t, {
		size: hls.length,
		intercept(_request, response) {
			response.writeHead(200, {'content-type': 'text/plain', 'content-length': hls.length}).end(hls);
			return true;
		},
	});
	const folder = await temporaryFolder(t);
	const at = ['--storage', path.join(folder, 'storage')];
	const get = await CliProcess.start(t, [
		...['get', '--keep', ...at, '--export-dir', folder, '--port', '0'],
		origin.urlOf('/film'),
	]);
	assert.equal(await get.exit(), 0);
	assert.match(get.stderr, /^downstream-tui: film\S* is a playlist \(HLS\), not the film itself$/m);
	const list = await CliProcess.start(t, ['list', ...at]);
	await list.exit();
	assert.match(list.stdout, /a playlist \(HLS\), not the film itself$/m);
	const json = await CliProcess.start(t, ['list', '--json', ...at]);
	await json.exit();
	const [listed] = JSON.parse(json.stdout) as Download[];
	assert.equal(listed?.type, 'application/vnd.apple.mpegurl');
});
