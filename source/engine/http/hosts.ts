// Names and addresses of hosts as URLs have them. Pure.

/** True if the host of a URL is this machine. */
export function isLoopback(hostname: string): boolean {
	return /^(?:(?:.+\.)?localhost\.?|127\.[\d.]+|0\.0\.0\.0|\[::(?:1|ffff:7f[\da-f]{2}:[\da-f]+)?\])$/.test(
		hostname,
	);
}

/**
 * True if no connection to the URL is possible: a label longer than any name has (RFC 1035 section 2.3.4), or port 0.
 */
export function isImpossible({hostname, port}: URL): boolean {
	const name = hostname.replace(/\.$/, '');
	const isName =
		hostname.startsWith('[') || (/[\da-z]/i.test(name) && /^(?:[^.]{1,63}(?:\.|$))+$/.test(name));
	return !isName || name.endsWith('.') || name.length > 253 || port === '0';
}
