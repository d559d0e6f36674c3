// Prevents public servers from redirecting to services of this machine or its network (server-side request forgery).
import {lookup} from 'node:dns/promises';
import ipaddr from 'ipaddr.js';
import {DownStreamError} from '../../downstream.ts';
import {bareHost} from '../http/proxy-settings.ts';

export class RedirectGuard {
	readonly #userUrl: URL;
	readonly #isDirect: (url: URL) => boolean;
	/** The user's own URL is private; then its redirects may be, too. */
	#allowsPrivate = false;

	/** `userUrl` was given by the user. `isDirect` is true if no proxy resolves the URL's host name. */
	constructor(userUrl: URL, isDirect: (url: URL) => boolean) {
		this.#userUrl = userUrl;
		this.#isDirect = isDirect;
	}

	/** Call before connecting. Rejects with `origin-refused`, or if the name cannot be resolved. */
	async approveName(url: URL): Promise<void> {
		if (url === this.#userUrl) {
			this.#allowsPrivate = hasPrivateName(url);
		} else if (
			!this.#allowsPrivate &&
			(hasPrivateName(url) || (this.#isDirect(url) && (await resolvesToPrivate(url))))
		) {
			throw this.#refusal(url);
		}
	}

	/** Checks the address actually connected to: a name may resolve differently each time. */
	approveAddress(url: URL, address: string): void {
		const isPrivate = address !== '' && isPrivateAddress(address);
		if (url === this.#userUrl) {
			this.#allowsPrivate ||= isPrivate;
		} else if (isPrivate && !this.#allowsPrivate) {
			throw this.#refusal(url);
		}
	}

	#refusal({hostname}: URL): DownStreamError {
		return new DownStreamError(
			'origin-refused',
			`${this.#userUrl.hostname} redirects to the private address ${hostname}; add that URL directly if you trust it`,
		);
	}
}

/** Judges the name without resolving it: behind a proxy, local name resolution may be meaningless. */
function hasPrivateName(url: URL): boolean {
	const host = bareHost(url);
	return ipaddr.isValid(host) ? isPrivateAddress(host) : host === 'localhost' || host.endsWith('.localhost');
}

async function resolvesToPrivate(url: URL): Promise<boolean> {
	const addresses = await lookup(bareHost(url), {all: true});
	return addresses.some(({address}) => isPrivateAddress(address));
}

function isPrivateAddress(address: string): boolean {
	return ipaddr.process(address).range() !== 'unicast';
}
