// The login at an HTTP proxy, and its name in errors. Pure.
import {DownStreamError} from '../../downstream.ts';
import {credentialsOf} from './proxy-settings.ts';

export function authenticationFailed(
	proxy: URL,
	details: {readonly status: number} | {readonly cause: unknown},
): DownStreamError {
	return new DownStreamError(
		'upstream-proxy-refused',
		`${nameOf(proxy)} requires a valid user and password`,
		details,
	);
}

export function authorizationOf(proxy: URL): Record<string, string> {
	const [user, password] = credentialsOf(proxy);
	const token = Buffer.from(`${user}:${password}`).toString('base64');
	return user === '' ? {} : {'Proxy-Authorization': `Basic ${token}`};
}

export function nameOf(proxy: URL): string {
	return `The proxy ${proxy.host}`;
}
