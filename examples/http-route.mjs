// An HTTP route that streams one slow or remote file, with seeking, and caches the bytes:
//   node examples/http-route.mjs https://example.com/film.mkv [PORT]
import http from 'node:http';
import {pipeline} from 'node:stream';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {DownStream} from 'downstream-tui';

const [url, port = '3000'] = process.argv.slice(2);
if (url === undefined) {
	console.error('usage: node examples/http-route.mjs URL [PORT]');
	process.exit(2);
}

/** Request headers that select the bytes, and response headers that describe them. */
const asked = ['range', 'if-range', 'if-none-match', 'if-modified-since'];
const answered = [
	'accept-ranges',
	'content-length',
	'content-range',
	'content-type',
	'etag',
	'last-modified',
];
const pick = (headers, names) =>
	Object.fromEntries(names.filter(name => name in headers).map(name => [name, headers[name]]));

const downstream = await DownStream.init({port: 0, storageDir: path.join(tmpdir(), 'downstream-route')});
const localUrl = await downstream.cache(url);

/** A handler of GET and HEAD requests. In Express, whose `get` routes take HEAD too: `app.get('/film', streamFilm)`. */
function streamFilm(request, response) {
	const stream = http.request(localUrl, {method: request.method, headers: pick(request.headers, asked)});
	stream.on('response', local => {
		response.writeHead(local.statusCode, pick(local.headers, answered));
		pipeline(local, response, () => undefined);
	});
	stream.on('error', () => response.destroy());
	response.on('close', () => stream.destroy());
	stream.end();
}

const server = http.createServer((request, response) => {
	if (request.url === '/film' && ['GET', 'HEAD'].includes(request.method)) {
		streamFilm(request, response);
	} else {
		response.writeHead(404).end();
	}
});
server.listen(Number(port), '127.0.0.1', () =>
	console.log(`mpv http://127.0.0.1:${server.address().port}/film`),
);

process.once('SIGINT', async () => {
	server.close();
	server.closeAllConnections();
	await downstream.dispose();
});
