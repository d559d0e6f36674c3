// How many connections each host takes at a time: learnt from its refusals, and forgotten again.

/** A ceiling rises by one for each such time without a refusal. */
export const riseMs = 30_000;
const forgottenMs = 10 * 60_000;
/** How long a host may still count a connection that is closed. */
const lingeringMs = {read: 300, cut: 2000};
/** It is asked again after so long. */
const restMs = 500;

export type HostConnection = {
	readonly openedAt: number;
	/** The host gave the file by it. */
	readonly isAnswered: boolean;
	/** All of its answer was read; otherwise closing it cuts the answer, which the host may notice late. */
	readonly isRead: boolean;
};

type Host = {
	readonly open: Set<HostConnection>;
	/** Until when the host may have counted one that worked and is closed now. */
	countedUntil: number;
	/** No connection is opened before. */
	restsUntil: number;
	limit: {readonly ceiling: number; readonly refusedAt: number} | undefined;
	timer: NodeJS.Timeout | undefined;
};

/** The times are milliseconds since the epoch. */
export class HostLimits {
	readonly #hosts = new Map<string, Host>();
	readonly #onRise: (host: string) => void;

	/** `onRise`: a host may take one more connection than before. */
	constructor(onRise: (host: string) => void = () => undefined) {
		this.#onRise = onRise;
	}

	/** Infinity where no limit is known. */
	ceiling(name: string): number {
		const {limit} = this.#host(name);
		const quietMs = limit ? Date.now() - limit.refusedAt : Infinity;
		return limit && quietMs < forgottenMs
			? limit.ceiling + Math.max(0, Math.floor(quietMs / riseMs))
			: Infinity;
	}

	mayOpen(name: string): boolean {
		const {open, restsUntil} = this.#host(name);
		return open.size < this.ceiling(name) && Date.now() >= restsUntil;
	}

	isLimited(name: string): boolean {
		return this.ceiling(name) !== Infinity;
	}

	opened(name: string, connection: HostConnection): void {
		this.#host(name).open.add(connection);
	}

	closed(name: string, connection: HostConnection): void {
		const host = this.#host(name);
		if (host.open.delete(connection) && connection.isAnswered) {
			const until = Date.now() + lingeringMs[connection.isRead ? 'read' : 'cut'];
			host.countedUntil = Math.max(host.countedUntil, until);
		}
	}

	/**
	 * The host refused a connection. While another one that it answered lives, as far as it knows, there are half as many
	 * from now on (8, 4, 2, 1), and what this one was to bring is asked for again when one may be opened. Returns false if
	 * there was none: then the number of connections was not the reason. `retryAfterMs`: it asked for so long a wait.
	 * `isPlain`: it refused outright; in other cases a connection that is closed already proves nothing.
	 */
	refused(
		name: string,
		connection: HostConnection,
		{retryAfterMs = 0, isPlain = true}: {retryAfterMs?: number | undefined; isPlain?: boolean} = {},
	): boolean {
		const host = this.#host(name);
		const others = [...host.open].filter(other => other !== connection);
		const isOther = others.some(({isAnswered}) => isAnswered);
		if (!isOther && !(isPlain && host.countedUntil >= connection.openedAt)) {
			return false;
		}

		const now = Date.now();
		const half = 2 ** Math.floor(Math.log2(Math.min(this.ceiling(name), others.length + 1) / 2));
		host.limit = {
			ceiling: Math.max(1, Math.min(half, others.length)),
			refusedAt: isOther ? now + retryAfterMs : now,
		};
		host.restsUntil = isOther ? 0 : now + restMs;
		this.#watch(name, host);
		return true;
	}

	/** Downloads that wait for a connection are told when there may be one more. */
	#watch(name: string, host: Host): void {
		clearTimeout(host.timer);
		const now = Date.now();
		const risesAt = Math.max(now, host.limit?.refusedAt ?? now) + riseMs;
		const next = host.restsUntil > now ? host.restsUntil : risesAt;
		host.timer = setTimeout(
			() => {
				// Timers may fire a moment too early.
				host.restsUntil = 0;
				this.#onRise(name);
				if (this.isLimited(name)) {
					this.#watch(name, host);
				}
			},
			Math.min(0x7f_ff_ff_ff, next - now),
		).unref();
	}

	#host(name: string): Host {
		let host = this.#hosts.get(name);
		if (!host) {
			host = {open: new Set(), countedUntil: -Infinity, restsUntil: 0, limit: undefined, timer: undefined};
			this.#hosts.set(name, host);
		}

		return host;
	}
}
