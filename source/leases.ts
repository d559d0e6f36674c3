// Leases: once a client is gone, its additions and resumptions are undone, unless it released them first.
import {
	byId,
	type AddRequest,
	type Download,
	type DownloadChange,
	type DownloadEngine,
	type DownloadId,
} from './downstream.ts';
import {Logger} from './log.ts';
import {messageOf} from './text/message-of.ts';

/** Milliseconds for a client to connect again. */
const graceMs = 5000;

type Lease = {
	connections: number;
	/** Runs while there is no connection. */
	timer?: NodeJS.Timeout;
};

type Hold = {
	readonly leases: Set<string>;
	/** A client that would have cleaned up the list is gone, or has left that to the others. */
	isOrphaned: boolean;
	/** Its state before; undefined if it was not in the list. */
	readonly before: Download | undefined;
};

/** The engine of leases. It undoes what is temporary at the next start, even if it is killed. */
export interface LeasedEngine extends DownloadEngine {
	add(request: AddRequest, options?: {isTemporary?: boolean}): ReturnType<DownloadEngine['add']>;
	resume(id: DownloadId, options?: {isTemporary?: boolean}): Promise<void>;
	/** Nothing of the download is temporary any longer. */
	keep(id: DownloadId): Promise<void>;
}

type Command = Exclude<keyof DownloadEngine, 'snapshot' | 'subscribe' | 'add' | 'setLimitRate' | 'dispose'>;

/** Commands of one download. */
const commands = Object.keys({
	pause: true,
	resume: true,
	cancel: true,
	remove: true,
	restore: true,
	update: true,
	acceptChange: true,
	startOver: true,
	verify: true,
	makeSafe: true,
	lift: true,
	moveInQueue: true,
	export: true,
	linkPlayer: true,
	controlPlayer: true,
} satisfies Record<Command, true>) as Command[];

export class Leases {
	readonly #engine: LeasedEngine;
	readonly #graceMs: number;
	readonly #leases = new Map<string, Lease>();
	/** The downloads that leases have added or resumed, and no other client has commanded since. */
	readonly #holds = new Map<DownloadId, Hold>();
	#isClosed = false;

	constructor(engine: LeasedEngine, grace = graceMs) {
		this.#engine = engine;
		this.#graceMs = grace;
	}

	/** The engine for clients without a lease, including those of this process: a command takes its download out of all leases. */
	without<Engine extends DownloadEngine>(engine: Engine): Engine {
		const forgetting = commands.map(name => [
			name,
			(id: DownloadId, ...rest: unknown[]) => {
				this.#forget(id);
				return (engine[name] as (...args: unknown[]) => unknown)(id, ...rest);
			},
		]);
		return overriding(engine, {
			...Object.fromEntries(forgetting),
			add: async (...args: unknown[]) => {
				const result = await (engine.add as (...args: unknown[]) => ReturnType<Engine['add']>)(...args);
				this.#forget(result.download.id);
				return result;
			},
		});
	}

	/** The engine for the client of a lease. A download that it stops or removes continues if another lease holds it. */
	with(name: string): DownloadEngine {
		const engine = this.#engine;
		return overriding(engine, {
			pause: async (id: DownloadId) => this.#leaves(name, id) || engine.pause(id),
			cancel: async (id: DownloadId) => this.#leaves(name, id) || engine.cancel(id),
			remove: async (id: DownloadId, removal: Parameters<DownloadEngine['remove']>[1]) =>
				this.#leaves(name, id) || engine.remove(id, removal),
			update: async (id: DownloadId, change: DownloadChange) =>
				change.onDemand && this.#leaves(name, id)
					? byId(engine.snapshot.downloads, id)
					: engine.update(id, change),
			add: async (request: AddRequest) => {
				const {downloads} = engine.snapshot;
				const result = await engine.add(request, {isTemporary: true});
				this.#hold(name, result.download.id, byId(downloads, result.download.id));
				return result;
			},
			resume: async (id: DownloadId) => {
				const before = byId(engine.snapshot.downloads, id);
				await engine.resume(id, {isTemporary: true});
				this.#hold(name, id, before);
			},
		});
	}

	/** The client has connected. Returns the function for the end of its connection. */
	connect(name: string): () => void {
		const lease = this.#of(name);
		lease.connections++;
		clearTimeout(lease.timer);
		return () => {
			lease.connections--;
			if (this.#leases.get(name) === lease) {
				this.#wait(name, lease);
			}
		};
	}

	/** Ends a lease. Undoes only the work that it has taken over from lost clients. */
	release(name: string): void {
		clearTimeout(this.#leases.get(name)?.timer);
		this.#leases.delete(name);
		this.#letGo(name);
	}

	/** The instance ends: nothing is undone before the next start, not even a command that is still running. */
	close(): void {
		this.#isClosed = true;
		this.#holds.clear();
		for (const name of this.#leases.keys()) {
			this.release(name);
		}
	}

	#forget(id: DownloadId): void {
		if (this.#holds.delete(id)) {
			this.#keep(id);
		}
	}

	#keep(id: DownloadId): void {
		// It may have been removed.
		this.#engine.keep(id).catch(() => undefined);
	}

	#of(name: string): Lease {
		const known = this.#leases.get(name);
		const lease = known ?? {connections: 0};
		this.#leases.set(name, lease);
		return lease;
	}

	#hold(name: string, id: DownloadId, before: Download | undefined): void {
		const hold = this.#holds.get(id) ?? {leases: new Set(), isOrphaned: false, before};
		hold.leases.add(name);
		this.#holds.set(id, hold);
		// The client may have disconnected by now.
		this.#wait(name, this.#of(name));
	}

	/** Leaves a download to the other leases that hold it. False if there are none. */
	#leaves(name: string, id: DownloadId): boolean {
		const hold = this.#holds.get(id);
		if (!hold || [...hold.leases].every(each => each === name)) {
			return false;
		}

		hold.leases.delete(name);
		hold.isOrphaned = true;
		return true;
	}

	/** Ends the lease unless a client connects in time. */
	#wait(name: string, lease: Lease): void {
		clearTimeout(lease.timer);
		if (lease.connections === 0 && !this.#isClosed) {
			lease.timer = setTimeout(() => this.#end(name), this.#graceMs);
		}
	}

	#end(name: string): void {
		for (const hold of this.#holds.values()) {
			hold.isOrphaned ||= hold.leases.has(name);
		}

		this.release(name);
	}

	/** The last lease of a download undoes it. */
	#letGo(name: string): void {
		for (const [id, {leases, isOrphaned, before}] of this.#holds) {
			if (leases.delete(name) && leases.size === 0) {
				this.#holds.delete(id);
				if (isOrphaned) {
					Logger.info(`${id}: its client is gone`);
					this.#undo(id, before).catch((error: unknown) => {
						Logger.warn(`${id}: not undone: ${messageOf(error)}`);
					});
				} else {
					this.#keep(id);
				}
			}
		}
	}

	async #undo(id: DownloadId, before: Download | undefined): Promise<void> {
		const download = byId(this.#engine.snapshot.downloads, id);
		if (!download) {
			return;
		}

		if (download.players.some(({connected}) => connected)) {
			this.#keep(id);
		} else if (before) {
			await putBack(this.#engine, before);
			this.#keep(id);
		} else {
			await takeOff(this.#engine, download);
		}
	}
}

/** Returns a download to an earlier state, if it was stopped or on demand then. */
export async function putBack(
	downstream: Pick<DownloadEngine, 'update' | 'pause' | 'cancel'>,
	{id, status, onDemand}: Download,
): Promise<void> {
	if (onDemand) {
		await downstream.update(id, {onDemand: true});
	}

	if (status === 'paused' || status === 'failed') {
		await downstream.pause(id);
	} else if (status === 'cancelled') {
		await downstream.cancel(id);
	}
}

/** Takes a download off the list. Its bytes stay for the next addition of its URL, unless they are a page. */
export async function takeOff(
	downstream: Pick<DownloadEngine, 'remove'>,
	{id, present, isPageForFile}: Download,
): Promise<void> {
	const isUseless = present === 0 || isPageForFile;
	await downstream.remove(id, isUseless ? {data: 'delete', undoMs: 0} : {data: 'keep'});
}

/** `target` with other members in place of its own. */
function overriding<T extends object>(target: T, members: Readonly<Record<string, unknown>>): T {
	return new Proxy(target, {
		get(_target, name) {
			if (typeof name === 'string' && Object.hasOwn(members, name)) {
				return members[name];
			}

			const member: unknown = Reflect.get(target, name, target);
			// Private fields are those of the target.
			return typeof member === 'function' ? (member.bind(target) as unknown) : member;
		},
	});
}
