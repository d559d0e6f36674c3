// Connection limits of hosts, learnt from refusals and forgotten after a while.

/** Milliseconds without a refusal after which a ceiling rises by one. */
export const riseMs = 30_000;
const forgottenMs = 10 * 60_000;
/** Milliseconds for which a host may still count a closed connection. */
const lingeringMs = {read: 300, cut: 2000};
/**
 * Milliseconds before the second attempt of a refused download where the host may have counted a closed connection.
 */
const restMs = 500;
/** Milliseconds for which a place is reserved for a second attempt. */
const reservedMs = 3000;

export type HostConnection = {
	readonly openedAt: number;
	/** The host has sent the file on it. */
	readonly isAnswered: boolean;
	/** The response was read to its end. Otherwise closing the connection cuts it, which the host may notice late. */
	readonly isRead: boolean;
};

/** A download, as a user of connections to its host. */
export type HostUser = {
	/** The host of its source. */
	readonly host: string;
	/** A connection may have become available. Must not throw. */
	wake(): void;
	/** Ends a connection in favour of a waiting player. Returns false if players wait for all of them. */
	yieldConnection(): boolean;
};

/** Counts of connections to one host, at the time of a refusal. */
export type RefusalFacts = {
	/** Open beside the refused connection. */
	readonly others: number;
	/** Connections that brought the file: of `others`, or closed so recently that the host may still count them. */
	readonly answered: number;
	/** Of `answered`, the connections of the refused download. */
	readonly ownAnswered: number;
	/** `answered` at the first refusal, if this is the second one of the download. */
	readonly answeredBefore: number | undefined;
};

/**
 * The meaning of a refusal. `fewer`: the host accepts fewer connections. `unclear`: it does, or it refuses this
 * download; a second attempt with fewer connections decides. `other`: the number of connections is not the reason.
 */
export function meaningOfRefusal(facts: RefusalFacts): 'fewer' | 'unclear' | 'other' {
	const {others, answered, ownAnswered, answeredBefore} = facts;
	if (ownAnswered > 0) {
		return 'fewer';
	}

	const fits = answeredBefore !== undefined && others < answeredBefore;
	return answered === 0 || fits ? 'other' : 'unclear';
}

/** The second attempt of a download that was refused beside connections of other downloads. */
type SecondAttempt = {
	/** Number of answered connections at the refusal. */
	readonly answered: number;
	/**
	 * When fewer connections are open and the host no longer counts closed ones, in milliseconds since the epoch;
	 * undefined until then.
	 */
	startsAt: number | undefined;
};

type Host = {
	/** Each with its download. */
	readonly open: Map<HostConnection, unknown>;
	/** Until when the host may count a closed connection that worked. */
	countedUntil: number;
	/** Keyed by download. */
	readonly attempts: Map<unknown, SecondAttempt>;
	limit: {readonly ceiling: number; readonly refusedAt: number} | undefined;
	timer: NodeJS.Timeout | undefined;
	/** A wake-up of its users is due in this tick. */
	isWaking: boolean;
};

/** Downloads are compared by identity. All times are milliseconds since the epoch. */
export class HostLimits {
	readonly #hosts = new Map<string, Host>();
	readonly #users = new Set<HostUser>();

	/** From now on, wakes the user when its host may accept another connection. */
	join(user: HostUser): void {
		this.#users.add(user);
	}

	leave(user: HostUser): void {
		this.#users.delete(user);
	}

	/** Ends one connection to a full host in favour of a waiting player, unless players wait for all of them. */
	freeConnection(name: string): void {
		this.#usersOf(name).some(user => user.yieldConnection());
	}

	/**
	 * Maximum number of connections; Infinity while no limit is known. One place is reserved for a download before its
	 * second attempt; an urgent request, for which a player waits, may take it.
	 */
	ceiling(name: string, download?: unknown, isUrgent = false): number {
		const host = this.#host(name);
		const own = host.attempts.get(download)?.answered;
		const free = own ?? (isUrgent ? Infinity : Math.min(...this.#reservations(host)));
		return Math.min(learntCeiling(host), free);
	}

	isFull(name: string, download?: unknown, isUrgent = false): boolean {
		return this.#host(name).open.size >= this.ceiling(name, download, isUrgent);
	}

	mayOpen(name: string, download?: unknown, isUrgent = false): boolean {
		const own = this.#host(name).attempts.get(download);
		return !this.isFull(name, download, isUrgent) && (!own || Date.now() >= (own.startsAt ?? Infinity));
	}

	isLimited(name: string): boolean {
		return this.ceiling(name) !== Infinity;
	}

	/** The host may count another connection beside this one. */
	isFurther(name: string, connection: HostConnection): boolean {
		const {open, countedUntil} = this.#host(name);
		return open.size > 1 || countedUntil >= connection.openedAt;
	}

	opened(name: string, connection: HostConnection, download?: unknown): void {
		this.#host(name).open.set(connection, download);
	}

	/** A successful second attempt proves that the number of connections was the reason. */
	answered(name: string, connection: HostConnection): void {
		const host = this.#host(name);
		const download = host.open.get(connection);
		const attempt = host.attempts.get(download);
		if (attempt) {
			host.attempts.delete(download);
			const ceiling = Math.max(attempt.answered, [...host.open.keys()].filter(isAnswered).length);
			host.limit = {ceiling: Math.min(ceiling, learntCeiling(host)), refusedAt: Date.now()};
			this.#watch(name, host);
			this.#wakeSoon(name);
		}
	}

	closed(name: string, connection: HostConnection): void {
		const host = this.#host(name);
		if (!host.open.delete(connection)) {
			return;
		}

		const now = Date.now();
		if (connection.isAnswered) {
			host.countedUntil = Math.max(host.countedUntil, now + lingeringMs[connection.isRead ? 'read' : 'cut']);
		}

		if (host.attempts.size > 0) {
			for (const attempt of host.attempts.values()) {
				if (host.open.size < attempt.answered) {
					attempt.startsAt ??= Math.max(now, host.countedUntil);
				}
			}

			this.#watch(name, host);
		}

		if (this.isLimited(name)) {
			this.#wakeSoon(name);
		}
	}

	/**
	 * Records a refused connection. If the host has answered another connection of the same download, the ceiling
	 * halves (8, 4, 2, 1), and the bytes are requested again when a place is free. If it has answered connections of
	 * other downloads alone, this download makes a second attempt once one of them has ended. Returns false if the
	 * number of connections was not the reason. `retryAfterMs`: the wait that the host asked for. `isPlain`: an
	 * outright refusal; for other errors, a closed connection proves nothing.
	 */
	refused(
		name: string,
		connection: HostConnection,
		{retryAfterMs = 0, isPlain = true}: {retryAfterMs?: number | undefined; isPlain?: boolean} = {},
	): boolean {
		const host = this.#host(name);
		const now = Date.now();
		const download = host.open.get(connection);
		const others = [...host.open.keys()].filter(other => other !== connection);
		const answered = others.filter(isAnswered);
		const isLingering = answered.length === 0 && isPlain && host.countedUntil >= connection.openedAt;
		const attempt = host.attempts.get(download);
		const isSecond = attempt !== undefined && connection.openedAt >= (attempt.startsAt ?? Infinity);
		const facts = {
			others: others.length,
			answered: isLingering ? 1 : answered.length,
			ownAnswered: answered.filter(other => host.open.get(other) === download).length,
			answeredBefore: isSecond ? attempt.answered : undefined,
		};
		const meaning = meaningOfRefusal(facts);
		if (meaning === 'fewer') {
			const half = 2 ** Math.floor(Math.log2(Math.min(learntCeiling(host), others.length + 1) / 2));
			host.limit = {ceiling: Math.max(1, Math.min(half, others.length)), refusedAt: now + retryAfterMs};
		} else if (meaning === 'unclear' && (isSecond || !attempt)) {
			const startsAt = isLingering ? now + restMs : undefined;
			host.attempts.set(download, {answered: facts.answered, startsAt});
		} else if (meaning === 'other' && host.attempts.delete(download)) {
			this.#wakeSoon(name);
		}

		this.#watch(name, host);
		return meaning !== 'other';
	}

	/** The ceilings for other downloads, one for each download before its second attempt. */
	*#reservations({attempts, open}: Host): Generator<number> {
		const now = Date.now();
		for (const [download, {answered, startsAt = now}] of attempts) {
			if (now < startsAt + reservedMs) {
				yield [...open.values()].includes(download) ? answered : answered - 1;
			}
		}
	}

	/** Schedules the wake-up of the users for the time when the host may accept another connection. */
	#watch(name: string, host: Host): void {
		clearTimeout(host.timer);
		const now = Date.now();
		const times = [...host.attempts.values()].flatMap(({startsAt}) =>
			startsAt === undefined ? [] : [startsAt, startsAt + reservedMs],
		);
		if (host.limit && learntCeiling(host) < Infinity) {
			const {refusedAt} = host.limit;
			times.push(refusedAt + (risesSince(refusedAt) + 1) * riseMs);
		}

		// Timers may fire a moment too early.
		const next = Math.min(...times.filter(time => time > now));
		if (next < Infinity) {
			const wake = () => {
				this.#endReservations(host);
				this.#wake(name);
				this.#watch(name, host);
			};
			host.timer = setTimeout(wake, Math.min(0x7f_ff_ff_ff, next - now)).unref();
		}
	}

	/** Ends overdue reservations: a player has taken the place, or the download no longer needs it. */
	#endReservations({attempts, open}: Host): void {
		for (const [download, attempt] of attempts) {
			const isOver = Date.now() >= (attempt.startsAt ?? Infinity) + reservedMs;
			if (isOver && open.size >= attempt.answered) {
				attempt.startsAt = undefined;
			} else if (isOver && ![...open.values()].includes(download)) {
				attempts.delete(download);
			}
		}
	}

	#usersOf(name: string): HostUser[] {
		return [...this.#users].filter(({host}) => host === name);
	}

	#wake(name: string): void {
		for (const user of this.#usersOf(name)) {
			user.wake();
		}
	}

	/** Wakes the users after the caller has recorded the end of its connection. Calls in one tick share a wake-up. */
	#wakeSoon(name: string): void {
		const host = this.#host(name);
		if (!host.isWaking) {
			host.isWaking = true;
			queueMicrotask(() => {
				host.isWaking = false;
				this.#wake(name);
			});
		}
	}

	#host(name: string): Host {
		let host = this.#hosts.get(name);
		if (!host) {
			host = {
				open: new Map(),
				countedUntil: -Infinity,
				attempts: new Map(),
				limit: undefined,
				timer: undefined,
				isWaking: false,
			};
			this.#hosts.set(name, host);
		}

		return host;
	}
}

function isAnswered(connection: HostConnection): boolean {
	return connection.isAnswered;
}

/** The ceiling learnt from refusals; Infinity once it is forgotten. */
function learntCeiling({limit}: Host): number {
	return limit && Date.now() - limit.refusedAt < forgottenMs
		? limit.ceiling + risesSince(limit.refusedAt)
		: Infinity;
}

function risesSince(refusedAt: number): number {
	return Math.max(0, Math.floor((Date.now() - refusedAt) / riseMs));
}
