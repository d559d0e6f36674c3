// The pledges of one download: their missing bytes, their state, and their demand for a place in the queue. Each
// version of the file resolves them again.
import {DownStreamError, type Pledge, type SafeRequest} from '../../downstream.ts';
import {Logger} from '../../log.ts';
import type {PledgedRanges} from '../fetch/fetch-target.ts';
import type {FilmMap} from '../film/film-map.ts';
import {
	missingOf,
	pledgeOf,
	resolvePledge,
	stretchRanges,
	withPledge,
	type PledgeFacts,
	type Resolved,
} from '../film/pledge.ts';
import {playable, watchTo} from '../film/playable.ts';
import {RangeSet, type Range} from '../store/range-set.ts';
import type {StoredPledge} from '../store/record.ts';
import type {Recorded} from './checkpoints.ts';
import type {DownloadState} from './download-state.ts';
import {afterRate, isSlow, type Pace} from './pace.ts';
import {isMeasured, PledgeRoom} from './pledge-room.ts';
import {playerPlace} from './player-place.ts';

/** Multiple of `keepAhead` to fetch once less than `keepAhead` is present ahead of a player. */
const aheadFactor = 1.5;
/** Bytes at the start of a file that reveal its format. */
const firstBytes = 64 * 1024;
/** Milliseconds before the end of a film at which a player counts as near the end. */
const nearEndMs = 5 * 60_000;
/** Minimum milliseconds between two measurements of the rate. */
const measureMs = 1000;

type PledgeContext = {
	/** Makes the present bytes durable. */
	readonly record: () => void;
	/** The map of the film. `isAwaited`: it may still become known. */
	readonly film: () => {readonly map: FilmMap | undefined; readonly isAwaited: boolean};
};

export class Pledges implements PledgedRanges {
	readonly #state: DownloadState;
	readonly #context: PledgeContext;
	#ranges: readonly Range[] = [];
	#isPending = false;
	#by = Number.MAX_SAFE_INTEGER;
	/** Time from which every pending pledge is late, in milliseconds since the epoch. */
	#lateFrom = Infinity;
	#wasLate = false;
	/** The missing ranges of the first pending pledge. */
	#first: readonly Range[] = [];
	#pace: Pace = {};
	/** Time of the last measurement, in milliseconds since the epoch. */
	#measuredAt = 0;
	/** What the record on disk lists. */
	#recorded: Recorded;
	/** Its ranges as a set, once a view needs them. */
	#durable: RangeSet | undefined;
	/** Numbers of the pledges whose bytes are all present: a checkpoint was requested. */
	#present = new Set<number>();
	readonly #room: PledgeRoom;
	/** Less than `keepAhead` was present ahead of a player. */
	#isCatchingUp = false;
	#wasNearEnd = false;

	constructor(state: DownloadState, context: PledgeContext) {
		const {file, record} = state;
		this.#state = state;
		this.#context = context;
		this.#recorded = {file, losses: file.losses, ranges: record.ranges};
		this.#room = new PledgeRoom(state, {
			pledged: () => this.#pledgedRanges,
			resolve: n => this.#resolved(n),
			changed: () => this.#changed(),
		});
	}

	get isPending(): boolean {
		return this.#isPending;
	}

	get ranges(): readonly Range[] {
		return this.#ranges;
	}

	/** The demand for a place in the queue; undefined if nothing is to be fetched. */
	get demand() {
		const {isClosed, record, recordFile, retries} = this.#state;
		const isStopped = isClosed || record.intent === 'cancel' || retries.permanentError || recordFile.refusal;
		const isLate = Date.now() >= this.#lateFrom;
		return this.#isPending && !isStopped ? {by: this.#by, isSlow: isSlow(this.#pace), isLate} : undefined;
	}

	/** There is a pledge, met or not: the bytes of the download are not evicted. */
	get exist(): boolean {
		return this.#stored.length > 0;
	}

	/** Missing bytes of pending pledges, as far as they are known. */
	get missing(): number {
		const {present} = this.#state.file;
		const missing = missingOf([...new RangeSet(this.#ranges.filter(({end}) => end < Infinity))], present);
		return this.exist ? missing : 0;
	}

	get #stored(): readonly StoredPledge[] {
		return this.#state.record.pledges ?? [];
	}

	/** In the order of service. */
	get #inOrder(): readonly StoredPledge[] {
		return this.#stored.toSorted((a, b) => dueAt(a) - dueAt(b) || a.n - b.n);
	}

	get #facts(): PledgeFacts {
		const {map, isAwaited} = this.#context.film();
		return {size: this.#state.file.size, map, isMapAwaited: isAwaited};
	}

	/** Rejects as `DownloadEngine.makeSafe` does. */
	async make(request: SafeRequest): Promise<Pledge> {
		const {recordFile, retries} = this.#state;
		if (recordFile.record.intent === 'cancel' && !this.#state.isComplete) {
			throw new DownStreamError('bad-request', 'The download is cancelled; resume it first');
		}

		const facts = this.#facts;
		const now = Date.now();
		const added = pledgeOf(request, facts, playerPlace(this.#state, facts.map, now), now);
		const resolved = resolvePledge(added, facts);
		const refusal = await this.#room.measure(resolved);
		if (refusal !== undefined) {
			throw new DownStreamError('disk-full', refusal);
		}

		if (request.dryRun) {
			return this.#view({...added, n: 0}, facts, Date.now());
		}

		const {pledges, n} = withPledge(this.#stored, added);
		Logger.info(`${recordFile.record.id}: pledges ${JSON.stringify(added)}`);
		await recordFile.save({pledges});
		this.#room.forget(n, isMeasured(resolved));

		// A past error does not answer a new request.
		retries.retryNow(true);
		this.#changed();
		return this.#view(
			pledges.find(each => each.n === n)!,
			facts,
			Date.now(),
		);
	}

	/** Rejects with `not-found`, `disk-full` or `disk-failed`. */
	async lift(n: number): Promise<void> {
		const pledges = this.#stored.filter(each => each.n !== n);
		if (pledges.length === this.#stored.length) {
			throw new DownStreamError('not-found', `The download has no pledge ${n}`);
		}

		await this.#state.recordFile.save({pledges: pledges.length === 0 ? undefined : pledges});
		this.#room.forget(n, true);
		this.#changed();
	}

	#changed(): void {
		this.#present.clear();
		this.#pace = {};
		this.update();
		this.#state.services.queueChanged();
		this.#state.changed();
	}

	/** Call when the record of a checkpoint is on disk. */
	recorded(recorded: Recorded): void {
		this.#recorded = recorded;
		this.#durable = undefined;
		if (this.exist) {
			this.update();
			this.#state.changed();
		}
	}

	/** Call after bytes are written. */
	received(): void {
		this.update();
		const now = Date.now();
		if (this.#isPending && Math.abs(now - this.#measuredAt) >= measureMs) {
			this.#measuredAt = now;
			this.#measure(now);
		}
	}

	#measure(now: number): void {
		const {file, services} = this.#state;
		const before = isSlow(this.#pace);
		const missing = missingOf(this.#first, file.present);
		this.#pace = afterRate(this.#pace, {missing, by: this.#by, rate: this.#state.expectedRate(now), now});
		const isLate = now >= this.#lateFrom;
		if (isSlow(this.#pace) !== before || isLate !== this.#wasLate) {
			this.#wasLate = isLate;
			services.queueChanged();
		}
	}

	update(): void {
		const {services} = this.#state;
		if (!this.exist && !this.#isPending && services.keepAhead === 0 && services.next === 0) {
			return;
		}

		const facts = this.#facts;
		const ahead = this.#ahead(facts.map);
		const pending = this.#inOrder
			.map(pledge => ({by: dueAt(pledge), ranges: this.#lacking(pledge, facts)}))
			.filter(({ranges}) => ranges !== undefined);
		this.#ranges = [...ahead, ...pending.flatMap(({ranges}) => ranges!)];
		this.#first = ahead.length > 0 ? ahead : (pending[0]?.ranges ?? []);
		const isPending = ahead.length > 0 || pending.length > 0 || this.#needsMap(facts);
		const by = pending[0]?.by ?? Number.MAX_SAFE_INTEGER;
		const lateFrom = ahead.length > 0 ? Infinity : (pending.at(-1)?.by ?? Infinity);
		if (isPending !== this.#isPending || by !== this.#by || lateFrom !== this.#lateFrom) {
			this.#isPending = isPending;
			this.#by = by;
			this.#lateFrom = lateFrom;
			services.queueChanged();
		}
	}

	/** `keepAhead` and `next` need the position of the player in the film, and thus the map. */
	#needsMap({map, isMapAwaited}: PledgeFacts): boolean {
		const {readers, services} = this.#state;
		return !map && isMapAwaited && readers.size > 0 && (services.keepAhead > 0 || services.next > 0);
	}

	/** The ranges to fetch for a pledge, none while they are unknown; undefined if it is met or impossible. */
	#lacking(pledge: StoredPledge, facts: PledgeFacts): Range[] | undefined {
		const {present} = this.#state.file;
		const resolved = resolvePledge(pledge, facts);
		if (!('ranges' in resolved)) {
			return resolved.reason === null ? this.#rangesForMap(facts.size) : undefined;
		}

		const lacking = resolved.ranges.filter(range => !present.covers(range));
		if (lacking.length > 0) {
			this.#present.delete(pledge.n);
			return this.#room.refusal(pledge.n, resolved) === undefined ? lacking : undefined;
		}

		if (!this.#present.has(pledge.n)) {
			this.#present.add(pledge.n);
			this.#context.record();
		}

		return undefined;
	}

	/** The ranges to fetch until the map is known, besides the index, which `Film` requests. */
	#rangesForMap(size: number): Range[] {
		const {file, record} = this.#state;
		if (record.info === undefined) {
			return [];
		}

		const end = record.acceptsRanges === false ? size : file.present.size === 0 ? firstBytes : 0;
		return end === 0 ? [] : [{start: 0, end: Math.min(end, size)}];
	}

	#resolved(n: number): Resolved | undefined {
		const pledge = this.#stored.find(each => each.n === n);
		return pledge && resolvePledge(pledge, this.#facts);
	}

	get #pledgedRanges(): readonly Range[] {
		return this.exist ? this.#ranges.filter(({end}) => end < Infinity) : [];
	}

	/** The missing ranges of the stretch to keep present ahead of the player. */
	#ahead(map: FilmMap | undefined): Range[] {
		const {services, file, readers} = this.#state;
		const place = map && readers.size > 0 ? playerPlace(this.#state, map, Date.now()) : undefined;
		if (!map || place?.ms === undefined) {
			this.#isCatchingUp = false;
			this.#wasNearEnd = false;
			return [];
		}

		const {ms} = place;
		const isNearEnd = map.durationMs - ms <= nearEndMs;
		if (isNearEnd && !this.#wasNearEnd) {
			services.nearEnd(this.#state.record.id);
		}

		this.#wasNearEnd = isNearEnd;
		if (services.keepAhead === 0) {
			return [];
		}

		const lackingFor = (length: number) =>
			stretchRanges(map, ms, ms + length).filter(range => !file.present.covers(range));
		this.#isCatchingUp ||= lackingFor(services.keepAhead).length > 0;
		const lacking = this.#isCatchingUp ? lackingFor(services.keepAhead * aheadFactor) : [];
		this.#isCatchingUp = lacking.length > 0;
		return lacking;
	}

	/** By number. `now`: milliseconds since the epoch. */
	views(now: number): Pledge[] {
		if (!this.exist) {
			return [];
		}

		const facts = this.#facts;
		const earlier: Range[] = [];
		const views = this.#inOrder.map(pledge => this.#view(pledge, facts, now, earlier));
		return views.toSorted((a, b) => a.n - b.n);
	}

	/** `earlier`: the ranges fetched before it; its own ranges are added. */
	#view(pledge: StoredPledge, facts: PledgeFacts, now: number, earlier: Range[] = []): Pledge {
		const {n, unit, from, to, by = null} = pledge;
		const {file, record, retries} = this.#state;
		const {map} = facts;
		const resolved = resolvePledge(pledge, facts);
		const ranges = 'ranges' in resolved ? resolved.ranges : undefined;
		// A file without a timeline has its pledges in bytes.
		const isTimed = unit === 'ms' && (map !== undefined || ranges === undefined);
		const missing = ranges && missingOf(ranges, file.present);
		const stretch = ranges && hullOf(ranges, isTimed && map ? map.index : []);
		const isSafe = missing === 0 && !file.doubt && ranges!.every(range => this.#isDurable(range));
		const stop =
			record.intent === 'cancel' ? 'The download is cancelled' : (retries.permanentError?.message ?? null);
		const reason = isSafe
			? null
			: 'reason' in resolved && resolved.reason !== null
				? resolved.reason
				: (this.#room.refusal(n, resolved) ?? stop);
		const rate = this.#state.expectedRate(now);
		const isKnown = missing !== undefined && missing < Infinity;
		const isComing = isKnown && missing > 0 && reason === null;
		if (isComing) {
			earlier.push(...ranges!);
		}

		return {
			n,
			fromMs: isTimed ? from : null,
			toMs: !isTimed ? null : map ? Math.min(to ?? Infinity, map.durationMs) : to,
			exact: !isTimed || (map?.exact ?? true),
			start: stretch?.start ?? null,
			end: stretch && stretch.end < Infinity ? stretch.end : null,
			missing: isKnown ? missing : null,
			safeTo: stretch ? (endOfRun(file.present.runEnd(stretch.start), stretch) ?? null) : null,
			safeToMs:
				isTimed && map
					? (watchTo(playable(map, file.present), Math.min(from, map.durationMs - 1)) ?? null)
					: null,
			by,
			etaAt:
				isComing && rate > 0
					? Math.round(now + (missingOf([...new RangeSet(earlier)], file.present) * 1000) / rate)
					: null,
			state: isSafe ? 'safe' : reason === null ? 'pending' : 'impossible',
			reason,
		};
	}

	/**
	 * The bytes are synced, and the record on disk lists them: the one in memory is ahead of it while a save runs. After a
	 * loss, it may list bytes that were fetched again and are not synced.
	 */
	#isDurable(range: Range): boolean {
		const {file, losses, ranges} = this.#recorded;
		this.#durable ??= new RangeSet(ranges.map(([start, end]) => ({start, end})));
		return file === this.#state.file && losses === file.losses && this.#durable.covers(range);
	}
}

/** Pledges without a deadline are due last. */
function dueAt({by = Number.MAX_SAFE_INTEGER}: StoredPledge): number {
	return by;
}

/** From the first to the last byte of the stretch itself. */
function hullOf(ranges: readonly Range[], index: readonly Range[]): Range {
	const own = ranges.slice(index.length);
	const counted = own.length > 0 ? own : ranges;
	return {start: Math.min(...counted.map(({start}) => start)), end: Math.max(...counted.map(({end}) => end))};
}

function endOfRun(end: number, stretch: Range): number | undefined {
	return end > stretch.start ? Math.min(end, stretch.end) : undefined;
}
