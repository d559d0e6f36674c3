// Connection limits of hosts, learned from refusals and forgotten after a while.
import {coalesced} from '../../turns.ts';

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
	/** A connection may have become available. Must not throw. */
	wake(): void;
	/** Ends a connection in favor of a waiting player. Returns false if players wait for all of them. */
	yieldConnection(): boolean;
};

/** Counts of connections to one host, at the time of a refusal. */
type RefusalFacts = {
	/** Open beside the refused connection. */
	readonly others: number;
	/** Connections that delivered the file: of `others`, or closed so recently that the host may still count them. */
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

/** The hosts of all downloads. */
export class HostLimits {
	readonly #hosts = new Map<string, Host>();

	/** The host of a URL, identified by its name and port. */
	of(url: string): Host {
		const name = new URL(url).host;
		let host = this.#hosts.get(name);
		if (!host) {
			host = new Host(name);
			this.#hosts.set(name, host);
		}

		return host;
	}
}

/** The connections to one host, and its limit. All times are milliseconds since the epoch. */
export class Host {
	readonly name: string;
	readonly #users = new Set<HostUser>();
	/** Each with its download. */
	readonly #open = new Map<HostConnection, HostUser>();
	/** Until when the host may count a closed connection that worked. */
	#countedUntil = -Infinity;
	/** Of downloads that were refused beside others. */
	readonly #attempts = new Map<HostUser, SecondAttempt>();
	#limit: {readonly ceiling: number; readonly refusedAt: number} | undefined;
	#timer: NodeJS.Timeout | undefined;
	/** Wakes the users after the caller has recorded the end of its connection. */
	readonly #wakeSoon = coalesced(() => this.#wake());

	constructor(name: string) {
		this.name = name;
	}

	/** From now on, wakes the user when the host may accept another connection. */
	join(user: HostUser): void {
		this.#users.add(user);
	}

	leave(user: HostUser): void {
		this.#users.delete(user);
		if (this.#attempts.delete(user)) {
			this.#watch();
			this.#wakeSoon();
		}
	}

	/** Ends one connection in favor of a waiting player, unless players wait for all of them. */
	freeConnection(): void {
		[...this.#users].some(user => user.yieldConnection());
	}

	/**
	 * Maximum number of connections; Infinity while no limit is known. One place is reserved for a download before its
	 * second attempt; an urgent request, for which a player waits, may take it.
	 */
	ceiling(user?: HostUser, isUrgent = false): number {
		const own = user && this.#attempts.get(user)?.answered;
		const free = own ?? (isUrgent ? Infinity : Math.min(...this.#reservations()));
		return Math.min(this.#learnedCeiling, free);
	}

	isFull(user: HostUser, isUrgent = false): boolean {
		return this.#open.size >= this.ceiling(user, isUrgent);
	}

	mayOpen(user: HostUser, isUrgent = false): boolean {
		const own = this.#attempts.get(user);
		return !this.isFull(user, isUrgent) && (!own || Date.now() >= (own.startsAt ?? Infinity));
	}

	get isLimited(): boolean {
		return this.ceiling() !== Infinity;
	}

	/** The host may count another connection beside this one. */
	isFurther(connection: HostConnection): boolean {
		return this.#open.size > 1 || this.#countedUntil >= connection.openedAt;
	}

	opened(connection: HostConnection, user: HostUser): void {
		this.#open.set(connection, user);
	}

	/** A successful second attempt proves that the number of connections was the reason. */
	answered(connection: HostConnection): void {
		const user = this.#open.get(connection);
		const attempt = user && this.#attempts.get(user);
		if (attempt) {
			this.#attempts.delete(user);
			const ceiling = Math.max(attempt.answered, [...this.#open.keys()].filter(isAnswered).length);
			this.#limit = {ceiling: Math.min(ceiling, this.#learnedCeiling), refusedAt: Date.now()};
			this.#watch();
			this.#wakeSoon();
		}
	}

	/** Idempotent. */
	closed(connection: HostConnection): void {
		if (!this.#open.delete(connection)) {
			return;
		}

		const now = Date.now();
		if (connection.isAnswered) {
			const lingering = lingeringMs[connection.isRead ? 'read' : 'cut'];
			this.#countedUntil = Math.max(this.#countedUntil, now + lingering);
		}

		for (const attempt of this.#attempts.values()) {
			if (this.#open.size < attempt.answered) {
				attempt.startsAt ??= Math.max(now, this.#countedUntil);
			}
		}

		if (this.#attempts.size > 0) {
			this.#watch();
		}

		if (this.isLimited) {
			this.#wakeSoon();
		}
	}

	/**
	 * Records a refused connection. If the host has answered another connection of the same download, the ceiling
	 * halves (8, 4, 2, 1), and the bytes are requested again when a place is free. If it has answered only connections
	 * of other downloads, this download makes a second attempt once one of them has ended. Returns false if the
	 * number of connections was not the reason. `retryAfterMs`: the wait that the host asked for. `isPlain`: an
	 * outright refusal; for other errors, a closed connection proves nothing.
	 */
	refused(
		connection: HostConnection,
		{retryAfterMs = 0, isPlain = true}: {retryAfterMs?: number | undefined; isPlain?: boolean} = {},
	): boolean {
		const now = Date.now();
		const user = this.#open.get(connection);
		const others = [...this.#open.keys()].filter(other => other !== connection);
		const answered = others.filter(isAnswered);
		const isLingering = answered.length === 0 && isPlain && this.#countedUntil >= connection.openedAt;
		const attempt = user && this.#attempts.get(user);
		const isSecond = attempt !== undefined && connection.openedAt >= (attempt.startsAt ?? Infinity);
		const facts = {
			others: others.length,
			answered: isLingering ? 1 : answered.length,
			ownAnswered: answered.filter(other => this.#open.get(other) === user).length,
			answeredBefore: isSecond ? attempt.answered : undefined,
		};
		const meaning = meaningOfRefusal(facts);
		if (meaning === 'fewer') {
			const half = 2 ** Math.floor(Math.log2(Math.min(this.#learnedCeiling, others.length + 1) / 2));
			this.#limit = {ceiling: Math.max(1, Math.min(half, others.length)), refusedAt: now + retryAfterMs};
		} else if (user && meaning === 'unclear' && (isSecond || !attempt)) {
			const startsAt = isLingering ? now + restMs : undefined;
			this.#attempts.set(user, {answered: facts.answered, startsAt});
		} else if (user && meaning === 'other' && this.#attempts.delete(user)) {
			this.#wakeSoon();
		}

		this.#watch();
		return meaning !== 'other';
	}

	/** The ceiling learned from refusals; Infinity once it is forgotten. */
	get #learnedCeiling(): number {
		return this.#limit && Date.now() - this.#limit.refusedAt < forgottenMs
			? this.#limit.ceiling + risesSince(this.#limit.refusedAt)
			: Infinity;
	}

	/** The ceilings for other downloads, one for each download before its second attempt. */
	*#reservations(): Generator<number> {
		const now = Date.now();
		for (const [user, {answered, startsAt = now}] of this.#attempts) {
			if (now < startsAt + reservedMs) {
				yield this.#isConnected(user) ? answered : answered - 1;
			}
		}
	}

	/** Schedules the wake-up of the users for the time when the host may accept another connection. */
	#watch(): void {
		clearTimeout(this.#timer);
		const now = Date.now();
		const times = [...this.#attempts.values()].flatMap(({startsAt}) =>
			startsAt === undefined ? [] : [startsAt, startsAt + reservedMs],
		);
		if (this.#limit && this.#learnedCeiling < Infinity) {
			const {refusedAt} = this.#limit;
			times.push(refusedAt + (risesSince(refusedAt) + 1) * riseMs);
		}

		// Timers may fire a moment too early.
		const next = Math.min(...times.filter(time => time > now));
		if (next < Infinity) {
			const wake = () => {
				this.#endReservations();
				this.#wake();
				this.#watch();
			};
			this.#timer = setTimeout(wake, Math.min(0x7f_ff_ff_ff, next - now)).unref();
		}
	}

	/** Ends overdue reservations: a player has taken the place, or the download no longer needs it. */
	#endReservations(): void {
		for (const [user, attempt] of this.#attempts) {
			const isOver = Date.now() >= (attempt.startsAt ?? Infinity) + reservedMs;
			if (isOver && this.#open.size >= attempt.answered) {
				attempt.startsAt = undefined;
			} else if (isOver && !this.#isConnected(user)) {
				this.#attempts.delete(user);
			}
		}
	}

	#isConnected(user: HostUser): boolean {
		return [...this.#open.values()].includes(user);
	}

	#wake(): void {
		for (const user of this.#users) {
			user.wake();
		}
	}
}

function isAnswered(connection: HostConnection): boolean {
	return connection.isAnswered;
}

function risesSince(refusedAt: number): number {
	return Math.max(0, Math.floor((Date.now() - refusedAt) / riseMs));
}
