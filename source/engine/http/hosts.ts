// Names and addresses of hosts as URLs have them. Pure.

/** Whether the host of a URL is this machine. */
export function isLoopback(hostname: string): boolean {
	return /^(?:(?:.+\.)?localhost\.?|127\.[\d.]+|0\.0\.0\.0|\[::(?:1|ffff:7f[\da-f]{2}:[\da-f]+)?\])$/.test(
		hostname,
	);
}
