// A tunnel through a SOCKS proxy. The only user of socks.
import {isIP, type Socket} from 'node:net';
import {SocksClient} from 'socks';
import {lookup} from 'node:dns/promises';
import {credentialsOf, bareHost, type Socks} from './proxy-settings.ts';
import {DownStreamError} from '../../downstream.ts';
import {authenticationFailed, nameOf} from './proxy-login.ts';

export type OpenTunnel = (host: string, port: number) => Promise<Socket>;

export function socksTunnel(proxy: URL, socks: Socks, timeout: number): OpenTunnel {
	const [user, password] = credentialsOf(proxy);
	return async (host, port) => {
		const resolvesLocally = !socks.resolvesNames && !isIP(host);
		const resolved = resolvesLocally ? await resolve(host, socks.version === 4 ? 4 : 0) : host;
		try {
			const {socket} = await SocksClient.createConnection({
				proxy: {
					host: bareHost(proxy),
					port: Number(proxy.port) || 1080,
					type: socks.version,
					...(user === '' ? {} : {userId: user, password}),
				},
				command: 'connect',
				timeout,
				destination: {host: resolved, port},
			});
			return socket;
		} catch (error) {
			throw socksError(error, proxy, socks, host);
		}
	};
}

async function resolve(host: string, family: 0 | 4): Promise<string> {
	try {
		return (await lookup(host, {family})).address;
	} catch (error) {
		throw new DownStreamError('origin-unreachable', `No such host: ${host}`, {cause: error});
	}
}

function socksError(error: unknown, proxy: URL, {version}: Socks, host: string): DownStreamError {
	const text = String(error);
	if (/authentication|NoAcceptable|invalid.*auth|RejectedIdent/i.test(text)) {
		return authenticationFailed(proxy, {cause: error});
	}

	// Replies of RFC 1928 section 6, or of SOCKS4: the proxy works, but the origin behind it is unreachable.
	const [, reply] = /Socks[45] proxy rejected connection - \(?(\w+)/i.exec(text) ?? [];
	if (reply === 'NotAllowed') {
		return new DownStreamError(
			'upstream-proxy-refused',
			`${nameOf(proxy)} does not allow connections to ${host}`,
			{cause: error},
		);
	}

	return reply === undefined
		? new DownStreamError(
				'upstream-proxy-unreachable',
				`${nameOf(proxy)} does not respond as a SOCKS${version} proxy`,
				{cause: error},
			)
		: new DownStreamError('origin-unreachable', `${nameOf(proxy)} cannot reach ${host} (${reply})`, {
				cause: error,
			});
}
