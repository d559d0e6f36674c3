// An engine and its proxy on any free port.
import {Engine} from '../../source/engine/engine.ts';
import type {EngineOptions} from '../../source/engine/options.ts';
import {ProxyServer} from '../../source/proxy/server.ts';

export async function openEngine(options: EngineOptions): Promise<{engine: Engine; proxy: ProxyServer}> {
	const engine = await Engine.open({proxy: 'direct', ...options});
	const proxy = await ProxyServer.listen({
		engine,
		port: 0,
		exactPort: false,
		allowOrigins: [],
		openStream: false,
	});
	await engine.publish(proxy.origin);
	return {engine, proxy};
}
