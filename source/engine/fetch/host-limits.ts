// The number of connections that each host accepts: learned from refusals, and forgotten again.

/** Milliseconds without a refusal after which a ceiling rises by one. */
export const riseMs = 30_000;
const forgottenMs = 10 * 60_000;
/** Milliseconds for which a host may still count a closed connection. */
const lingeringMs = {read: 300, cut: 2000};
/** Milliseconds before the second attempt where the host may have counted a closed connection. */
const restMs = 500;
/** Milliseconds for which a place stays reserved for a second attempt. */
const reservedMs = 3000;

export type HostConnection = {
	readonly openedAt: number;
	/** The host sent the file on this connection. */
	readonly isAnswered: boolean;
	/** The response was read to its end; otherwise closing cuts it, which the host may notice late. */
	readonly isRead: boolean;
};

/** Counts of connections to one host at the time of a refusal. */
export type RefusalFacts = {
	/** Open beside the refused one. */
	readonly others: number;
	/** Of these, and of closed ones that the host may still count: those that brought the file. */
	readonly answered: number;
	/** Of these, those of the refused download. */
	readonly ownAnswered: number;
	/** `answered` at the first refusal, for a second attempt. */
	readonly answeredBefore: number | undefined;
};

/**
 * What a refusal means. `fewer`: the host accepts fewer connections. `unclear`: either that, or the host refuses this
 * download alone; a second attempt with fewer connections tells. `other`: the number is not the reason.
 */
export function meaningOfRefusal(facts: RefusalFacts): 'fewer' | 'unclear' | 'other' {
	const {others, answered, ownAnswered, answeredBefore} = facts;
	if (ownAnswered > 0) {
		return 'fewer';
	}

	const fits = answeredBefore !== undefined && others < answeredBefore;
	return answered === 0 || fits ? 'other' : 'unclear';
}

/** The second attempt of a download that was refused beside connections of others. */
type SecondAttempt = {
	/** Number of answered connections at the refusal. */
	readonly answered: number;
	/** When fewer are open and the host counts the closed ones no more, in milliseconds since the epoch. */
	startsAt: number | undefined;
};

type Host = {
	/** Connections and their downloads. */
	readonly open: Map<HostConnection, unknown>;
	/** Until when the host may count a closed connection that worked. */
	countedUntil: number;
	/** By download. */
	readonly attempts: Map<unknown, SecondAttempt>;
	limit: {readonly ceiling: number; readonly refusedAt: number} | undefined;
	timer: NodeJS.Timeout | undefined;
};

/** A download is any object with an identity. Times are milliseconds since the epoch. */
export class HostLimits {
	readonly #hosts = new Map<string, Host>();
	readonly #onRise: (host: string) => void;

	/** `onRise` is called when a host may accept one more connection. */
	constructor(onRise: (host: string) => void = () => undefined) {
		this.#onRise = onRise;
	}

	/**
	 * Infinity where no limit is known. One place is reserved for each download that waits for its second attempt, except
	 * from a waiting player (`isUrgent`).
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

	/** A second attempt that works proves that the number was the reason. */
	answered(name: string, connection: HostConnection): void {
		const host = this.#host(name);
		const download = host.open.get(connection);
		const attempt = host.attempts.get(download);
		if (attempt) {
			host.attempts.delete(download);
			const ceiling = Math.max(attempt.answered, [...host.open.keys()].filter(isAnswered).length);
			host.limit = {ceiling: Math.min(ceiling, learntCeiling(host)), refusedAt: Date.now()};
			this.#watch(name, host);
			queueMicrotask(() => this.#onRise(name));
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
	}

	/**
	 * The host refused a connection. Beside an answered one of the same download, this halves the ceiling (8, 4, 2, 1).
	 * Beside connections of other downloads alone, the refused download gets a second attempt as soon as one of them ends.
	 * Returns false if the number of connections was not the reason. `retryAfterMs`: the wait that the host asked for.
	 * `isPlain`: the host refused outright; otherwise a connection that is already closed proves nothing.
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
			queueMicrotask(() => this.#onRise(name));
		}

		this.#watch(name, host);
		return meaning !== 'other';
	}

	/** Connections that others may open beside each download that waits for its second attempt. */
	*#reservations({attempts, open}: Host): Generator<number> {
		const now = Date.now();
		for (const [download, {answered, startsAt = now}] of attempts) {
			if (now < startsAt + reservedMs) {
				yield [...open.values()].includes(download) ? answered : answered - 1;
			}
		}
	}

	/** Schedules the next `onRise`. */
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
				this.#onRise(name);
				this.#watch(name, host);
			};
			host.timer = setTimeout(wake, Math.min(0x7f_ff_ff_ff, next - now)).unref();
		}
	}

	/** A download without a second attempt by now lost its place to a player, or needs none. */
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

	#host(name: string): Host {
		let host = this.#hosts.get(name);
		if (!host) {
			host = {
				open: new Map(),
				countedUntil: -Infinity,
				attempts: new Map(),
				limit: undefined,
				timer: undefined,
			};
			this.#hosts.set(name, host);
		}

		return host;
	}
}

function isAnswered(connection: HostConnection): boolean {
	return connection.isAnswered;
}

/** The ceiling that refusals have shown. */
function learntCeiling({limit}: Host): number {
	return limit && Date.now() - limit.refusedAt < forgottenMs
		? limit.ceiling + risesSince(limit.refusedAt)
		: Infinity;
}

function risesSince(refusedAt: number): number {
	return Math.max(0, Math.floor((Date.now() - refusedAt) / riseMs));
}
