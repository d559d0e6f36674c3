// A public server must not send us to services of this machine or its network (server-side request forgery).
import {lookup} from 'node:dns/promises';
import ipaddr from 'ipaddr.js';
import {DownStreamError} from '../../downstream.ts';
import {bareHost} from '../http/proxy-settings.ts';

export class RedirectGuard {
	readonly #given: URL;
	readonly #isDirect: (url: URL) => boolean;
	/** The user's own URL leads there: then what it redirects to may, too. */
	#allowsPrivate = false;

	/** `given` is what the user gave. `isDirect`: whether no proxy resolves the name of the URL's host. */
	constructor(given: URL, isDirect: (url: URL) => boolean) {
		this.#given = given;
		this.#isDirect = isDirect;
	}

	/** Before a connection is made. Rejects with `origin-refused`, or if the name cannot be looked up. */
	async approveName(url: URL): Promise<void> {
		if (url === this.#given) {
			this.#allowsPrivate = hasPrivateName(url);
		} else if (
			!this.#allowsPrivate &&
			(hasPrivateName(url) || (this.#isDirect(url) && (await resolvesToPrivate(url))))
		) {
			throw this.#refusal(url);
		}
	}

	/** Where the connection was really made to: a name may lead elsewhere each time that it is looked up. */
	approveAddress(url: URL, address: string): void {
		const isPrivate = address !== '' && isPrivateAddress(address);
		if (url === this.#given) {
			this.#allowsPrivate ||= isPrivate;
		} else if (isPrivate && !this.#allowsPrivate) {
			throw this.#refusal(url);
		}
	}

	#refusal({hostname}: URL): DownStreamError {
		return new DownStreamError(
			'origin-refused',
			`${this.#given.hostname} redirects to the private address ${hostname}; add that URL itself if you trust it`,
		);
	}
}

/** What can be told without looking the name up: behind a proxy names may mean nothing here. */
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
