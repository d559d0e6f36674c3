// How many connections each host takes at a time: learnt from its refusals, and forgotten again.

/** A ceiling rises by one for each such time without a refusal. */
export const riseMs = 30_000;
const forgottenMs = 10 * 60_000;
/** How long a host may still count a connection that is closed. */
const lingeringMs = {read: 300, cut: 2000};

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
	limit: {readonly ceiling: number; readonly refusedAt: number} | undefined;
	timer: NodeJS.Timeout | undefined;
};

/** What a refused connection says of its host. */
export type Refusal =
	/** Others work: it takes no more than those. */
	| 'too-many'
	/** None works now, but one did when this one was opened, as far as the host knew. */
	| 'perhaps'
	/** The number of connections was not the reason. */
	| 'alone';

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
		return this.#host(name).open.size < this.ceiling(name);
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
	 * The host refused a connection. While another one that it answered lives there are half as many from now on (8, 4, 2,
	 * 1). `retryAfterMs`: it asked not to be tried by more for so long.
	 */
	refused(name: string, connection: HostConnection, retryAfterMs = 0): Refusal {
		const host = this.#host(name);
		const others = [...host.open].filter(other => other !== connection);
		if (!others.some(({isAnswered}) => isAnswered)) {
			return host.countedUntil >= connection.openedAt ? 'perhaps' : 'alone';
		}

		const half = 2 ** Math.floor(Math.log2(Math.min(this.ceiling(name), others.length + 1) / 2));
		host.limit = {
			ceiling: Math.max(1, Math.min(half, others.length)),
			refusedAt: Date.now() + retryAfterMs,
		};
		this.#watch(name, host);
		return 'too-many';
	}

	/** Downloads that wait for a connection are told when there may be one more. */
	#watch(name: string, host: Host): void {
		clearTimeout(host.timer);
		const untilRise = (host.limit?.refusedAt ?? 0) - Date.now();
		host.timer = setTimeout(
			() => {
				this.#onRise(name);
				if (this.isLimited(name)) {
					this.#watch(name, host);
				}
			},
			Math.min(0x7f_ff_ff_ff, Math.max(0, untilRise) + riseMs),
		).unref();
	}

	#host(name: string): Host {
		let host = this.#hosts.get(name);
		if (!host) {
			host = {open: new Set(), countedUntil: -Infinity, limit: undefined, timer: undefined};
			this.#hosts.set(name, host);
		}

		return host;
	}
}
