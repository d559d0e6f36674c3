// How many connections each host bears: learned from its refusals, remembered while the program runs.

type Host = {open: number; ceiling: number};

export class HostLimits {
	readonly #hosts = new Map<string, Host>();

	mayOpen(host: string): boolean {
		const {open, ceiling} = this.#host(host);
		return open < ceiling;
	}

	isLimited(host: string): boolean {
		return this.#host(host).ceiling !== Infinity;
	}

	opened(host: string): void {
		this.#host(host).open++;
	}

	closed(host: string): void {
		this.#host(host).open--;
	}

	/**
	 * The host refused a connection while others to it were open: half as many from now on (8, 4, 2, 1).
	 * Returns false if it was the only one: then the number of connections was not the reason.
	 */
	refused(host: string): boolean {
		const known = this.#host(host);
		const others = known.open - 1;
		if (others < 1) {
			return false;
		}

		const half = 2 ** Math.floor(Math.log2(Math.min(known.ceiling, known.open) / 2));
		known.ceiling = Math.max(1, Math.min(half, others));
		return true;
	}

	#host(name: string): Host {
		let host = this.#hosts.get(name);
		if (!host) {
			host = {open: 0, ceiling: Infinity};
			this.#hosts.set(name, host);
		}

		return host;
	}
}
