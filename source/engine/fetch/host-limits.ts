// How many connections each host takes at a time: learnt from its refusals, and forgotten again.

/** A ceiling rises by one for each such time without a refusal. */
export const riseMs = 30_000;
const forgottenMs = 10 * 60_000;
/** How long a host may still count a connection that is closed. */
const lingeringMs = {read: 300, cut: 2000};
/** A download that was refused is tried again after so long where the host may have counted a closed connection. */
const restMs = 500;
/** A place is kept free for its second attempt for so long. */
const reservedMs = 3000;

export type HostConnection = {
	readonly openedAt: number;
	/** The host gave the file by it. */
	readonly isAnswered: boolean;
	/** All of its answer was read; otherwise closing it cuts the answer, which the host may notice late. */
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
	/** Open beside the refused one. */
	readonly others: number;
	/** Of these, or closed so late that the host may still count them: those that brought the file. */
	readonly answered: number;
	/** Of these, those of the refused download. */
	readonly ownAnswered: number;
	/** `answered` at the first refusal of a download that is tried for the second time. */
	readonly answeredBefore: number | undefined;
};

/**
 * What a refusal means: `fewer`, the host takes fewer connections; `unclear`, that, or it refuses this download alone: a
 * second attempt with fewer connections tells; `other`, the number is not the reason.
 */
export function meaningOfRefusal(facts: RefusalFacts): 'fewer' | 'unclear' | 'other' {
	const {others, answered, ownAnswered, answeredBefore} = facts;
	if (ownAnswered > 0) {
		return 'fewer';
	}

	const fits = answeredBefore !== undefined && others < answeredBefore;
	return answered === 0 || fits ? 'other' : 'unclear';
}

/** Of a download that was refused beside connections of others. */
type SecondAttempt = {
	/** So many connections had been answered. */
	readonly answered: number;
	/** Fewer are open, and the host counts the closed ones no longer, in milliseconds since the epoch. */
	startsAt: number | undefined;
};

type Host = {
	/** With the download of each. */
	readonly open: Map<HostConnection, unknown>;
	/** Until when the host may have counted one that worked and is closed now. */
	countedUntil: number;
	/** By download. */
	readonly attempts: Map<unknown, SecondAttempt>;
	limit: {readonly ceiling: number; readonly refusedAt: number} | undefined;
	timer: NodeJS.Timeout | undefined;
	/** A wake-up of its users is due in this tick. */
	isWaking: boolean;
};

/** Downloads are told apart by identity alone. The times are milliseconds since the epoch. */
export class HostLimits {
	readonly #hosts = new Map<string, Host>();
	readonly #users = new Set<HostUser>();

	/** From now on the user is woken when its host may take another connection. */
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
	 * Infinity where no limit is known. One place is reserved for a download that waits for its second attempt, but not from
	 * a player that waits (`isUrgent`).
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

	/** A second attempt that works shows that the number was the reason. */
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
	 * The host refused a connection. Beside another one of the same download that it answered, there are half as many from
	 * now on (8, 4, 2, 1), and what this one was to bring is asked for again when one may be opened. Beside those of other
	 * downloads alone, this download is tried once more as soon as one of them has ended. Returns false if the number of
	 * connections was not the reason. `retryAfterMs`: it asked for so long a wait. `isPlain`: it refused outright; in other
	 * cases a connection that is closed already proves nothing.
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

	/** What others may open beside each download that waits for its second attempt. */
	*#reservations({attempts, open}: Host): Generator<number> {
		const now = Date.now();
		for (const [download, {answered, startsAt = now}] of attempts) {
			if (now < startsAt + reservedMs) {
				yield [...open.values()].includes(download) ? answered : answered - 1;
			}
		}
	}

	/** Downloads that wait for a connection are told when there may be one more. */
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

	/** A download that did not try again by now found its place taken by a player, or needs none any more. */
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

	/** Once the caller has recorded the end of its connection. Calls of one tick share a wake-up. */
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

/** By refusals, and forgotten again. */
function learntCeiling({limit}: Host): number {
	return limit && Date.now() - limit.refusedAt < forgottenMs
		? limit.ceiling + risesSince(limit.refusedAt)
		: Infinity;
}

function risesSince(refusedAt: number): number {
	return Math.max(0, Math.floor((Date.now() - refusedAt) / riseMs));
}
