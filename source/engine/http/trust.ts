// The certificates that origins are verified with. TLS loads on demand, in 20 ms, and parsing all root certificates takes
// 20 ms more.
import type * as tls from 'node:tls';
import type {SecureContext} from 'node:tls';

/** Keyed by the additional trusted certificate. */
const contexts = new Map<string, SecureContext>();

/** A context that trusts `ca`, a PEM file, besides the root certificates. */
export async function contextWith(ca: string): Promise<SecureContext> {
	return contextFrom(await import('node:tls'), ca);
}

/** The same where TLS is loaded. */
export function contextFrom(
	{createSecureContext, rootCertificates}: Pick<typeof tls, 'createSecureContext' | 'rootCertificates'>,
	ca: string,
): SecureContext {
	const context = contexts.get(ca) ?? createSecureContext({ca: [...rootCertificates, ca]});
	contexts.set(ca, context);
	return context;
}

/** Loads TLS and the trusted certificates before a connection needs them. */
export async function prepareTls(ca: string | undefined): Promise<void> {
	if (ca === undefined) {
		const {createSecureContext} = await import('node:tls');
		// Node keeps the parsed root certificates for later contexts.
		createSecureContext();
	} else {
		await contextWith(ca);
	}
}
