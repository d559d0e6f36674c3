// A client of the proxy that sends exact bytes and records the exact response.
import {once} from 'node:events';
import http from 'node:http';
import type {TestContext} from 'node:test';
import {ProxyServer, type ProxyServerOptions} from '../../source/proxy/server.ts';
import {MemoryEngine} from './proxy-engine.ts';

/** A proxy on a free port, closed after the test. */
export async function startProxy(
	t: TestContext,
	options: Partial<ProxyServerOptions> = {},
): Promise<{engine: MemoryEngine; proxy: ProxyServer}> {
	const engine = new MemoryEngine();
	const proxy = await ProxyServer.listen({
		engine,
		port: 0,
		exactPort: true,
		allowOrigins: [],
		openStream: false,
		...options,
	});
	t.after(() => proxy.close());
	return {engine, proxy};
}

export type Answer = {
	status: number;
	headers: http.IncomingHttpHeaders;
	body: Buffer;
};

export type RequestOptions = {
	method?: string;
	/** Replaces the headers of the same name that Node's client adds. */
	headers?: http.OutgoingHttpHeaders;
	body?: string | Buffer;
};

/** Resolves with the response once its headers have arrived. */
export async function open(
	proxy: Pick<ProxyServer, 'port'>,
	target: string,
	{method = 'GET', headers = {}, body}: RequestOptions = {},
): Promise<http.IncomingMessage> {
	const request = http.request({
		host: '127.0.0.1',
		port: proxy.port,
		path: target,
		method,
		headers,
		agent: false,
	});
	request.end(body);
	const [response] = (await once(request, 'response')) as [http.IncomingMessage];
	return response;
}

/** The complete response; rejects if it is cut. */
export async function ask(
	proxy: Pick<ProxyServer, 'port'>,
	target: string,
	options: RequestOptions = {},
): Promise<Answer> {
	const response = await open(proxy, target, options);
	const chunks: Buffer[] = [];
	for await (const chunk of response as AsyncIterable<Buffer>) {
		chunks.push(chunk);
	}

	return {status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks)};
}
