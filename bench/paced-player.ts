// A separate process: an origin that sends chunks at a steady pace, and a player that records their arrival.
import {once} from 'node:events';
import http from 'node:http';
import type {AddressInfo} from 'node:net';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';

const chunkBytes = 16 * 1024;
const paceMs = 10;
const chunks = 1000;

/** Message of the parent: the proxy's stream of `origin`. */
export type Ask = {readonly streamUrl: string};
/** Messages to the parent: first `origin`, then the delay of each chunk in milliseconds. */
export type Answer = {readonly origin: string} | {readonly lateness: readonly number[]};

/** Time at which each chunk was sent. */
const sent: number[] = [];

const server = http.createServer((_request, response) => void pace(response));
await once(server.listen(0, '127.0.0.1'), 'listening');
tell({origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}/paced.mp4`});
const [{streamUrl}] = (await once(process, 'message')) as [Ask];
const [response] = (await once(http.get(streamUrl), 'response')) as [http.IncomingMessage];
const lateness: number[] = [];
let came = 0;
for await (const bytes of response as AsyncIterable<Buffer>) {
	came += bytes.length;
	const now = performance.now();
	while (lateness.length < Math.floor(came / chunkBytes)) {
		lateness.push(now - sent[lateness.length]!);
	}
}

tell({lateness});
server.close();
process.disconnect();

function tell(answer: Answer): void {
	process.send!(answer);
}

async function pace(response: http.ServerResponse): Promise<void> {
	// Without ranges the proxy reads it in one request, from the start.
	response.writeHead(200, {'content-length': chunks * chunkBytes, 'content-type': 'video/mp4'});
	const began = performance.now();
	for (let chunk = 0; chunk < chunks && !response.destroyed; chunk++) {
		await sleep(began + chunk * paceMs - performance.now());
		sent[chunk] = performance.now();
		response.write(Buffer.alloc(chunkBytes));
	}

	response.end();
}
