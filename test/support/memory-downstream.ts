// A stand-in for the engine: a plain list of downloads that records commands and shows the test's snapshots.
import type {
	AddRequest,
	Download,
	DownloadChange,
	DownloadEngine,
	ExportRequest,
	PlayerCommand,
	QueueMove,
	SafeRequest,
	Snapshot,
} from '../../source/downstream.ts';
import {blankDownload, blankPledge} from './blank-download.ts';

const size = 1000 * 1024 * 1024;

/** A download with its first quarter present and one connection. */
export function download(change: Partial<Download> = {}): Download {
	const name = change.name ?? 'film.mkv';
	return {
		...blankDownload,
		url: `https://cdn.example.org/v/${encodeURIComponent(name)}`,
		streamUrl: `http://127.0.0.1:8080/stream/0123456789abcdef0123456789abcdef/${encodeURIComponent(name)}`,
		name,
		size,
		status: 'active',
		present: size / 4,
		ranges: [[0, size / 4]],
		bytesPerSecond: 12.45 * 1024 * 1024,
		bytesPerSecondLong: 10 * 1024 * 1024,
		connections: 1,
		segments: [{start: 0, offset: size / 4, end: size, for: 'fill'}],
		lastByteAt: Date.now(),
		acceptsRanges: true,
		validator: '"5f3a-62b"',
		hasUnstableValidator: false,
		folder: '/home/user/.cache/downstream/0123',
		...change,
	};
}

/** The id of the download with this index. */
export function idOf(index: number): string {
	return String(index).padStart(32, '0');
}

/** `film-0.mkv`, `film-1.mkv`, … in the order of addition. */
export function films(count: number, change: Partial<Download> = {}): Download[] {
	return Array.from({length: count}, (_, index) =>
		download({id: idOf(index), name: `film-${index}.mkv`, addedAt: index, queueRank: index, ...change}),
	);
}

const idle = {bytesPerSecond: 0, bytesPerSecondLong: 0, connections: 0, segments: []};
const nothing = {...idle, present: 0, ranges: []};

/** One download in each state, with ids of their own. */
export function everyState(): Download[] {
	const error = {
		code: 'origin-unreachable',
		message: 'connection reset',
		at: 0,
		tries: 3,
		maxTries: 10,
	} as const;
	const player = {
		id: '1',
		name: 'mpv 0.38',
		offset: size / 2,
		ready: 1024,
		readyMs: null,
		blocked: false,
		connected: true,
	};
	const changes: Array<Partial<Download>> = [
		{name: 'Big.Buck.Bunny.2160p.60fps.HDR.x265-GROUP.mkv', players: [player]},
		{name: 'asking.iso', status: 'asking', ...nothing, size: null, acceptsRanges: null, validator: null},
		{
			name: '線形代数の基礎（完全版）.mp4',
			status: 'paused',
			...idle,
			ranges: [
				[0, size / 8],
				[size / 2, (size * 5) / 8],
			],
		},
		{name: 'live-recording.ts', size: null, acceptsRanges: false},
		{
			name: 'dataset-2026-part-003.tar.zst',
			status: 'failed',
			...idle,
			error: {...error, code: 'origin-refused', status: 403, message: '403 Forbidden: link expired?'},
		},
		{name: 'podcast-ep-214.mp3', status: 'complete', ...idle, present: size, ranges: [[0, size]]},
		{name: 'model-weights.safetensors', status: 'queued', ...nothing},
		{name: 'waiting 👩‍👩‍👧‍👦.bin', status: 'waiting', ...idle, error, retryAt: Date.now() + 60_000},
		{name: 'stopped.bin', status: 'cancelled', ...idle},
		{
			name: 'going-out.bin',
			status: 'exporting',
			...idle,
			present: size,
			ranges: [[0, size]],
			exportProgress: 0.62,
		},
		{name: 'empty.txt', status: 'complete', ...nothing, size: 0},
		{name: 'stalled.bin', lastByteAt: Date.now() - 60_000, bytesPerSecond: 0},
		{name: `${'x'.repeat(251)}.mkv`, acceptsRanges: false},
		{name: '\u001B[2J\u001B]0;evil\u0007\u202Egpj.mkv', onDemand: true, status: 'queued', ...idle},
	];
	return changes.map((change, index) => download({id: idOf(index), ...change}));
}

export class MemoryDownStream implements DownloadEngine {
	snapshot: Snapshot;
	/** Commands with their arguments. */
	readonly calls: unknown[][] = [];
	/** The next command rejects with this error. */
	failure: Error | undefined;
	/** URLs already in the list. */
	readonly known = new Set<string>();
	readonly #listeners = new Set<() => void>();
	readonly #removed = new Map<string, Download>();

	constructor(downloads: readonly Download[] = []) {
		this.snapshot = {
			version: 0,
			downloads,
			bytesPerSecond: downloads.reduce((sum, {bytesPerSecond}) => sum + bytesPerSecond, 0),
			limitRate: null,
			freeBytes: 41.25 * 1024 ** 3,
			origin: 'http://127.0.0.1:8080',
			banners: [],
		};
	}

	get listeners(): number {
		return this.#listeners.size;
	}

	change(change: Partial<Snapshot>): void {
		this.snapshot = {...this.snapshot, ...change, version: this.snapshot.version + 1};
		for (const listener of this.#listeners) {
			listener();
		}
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	async add(request: AddRequest) {
		const {url, ...rest} = request;
		this.#record('add', url, ...(Object.keys(rest).length > 0 ? [rest] : []));
		const existed = this.known.has(request.url);
		const name = request.url.split('/').at(-1)!;
		const added = download({id: request.url.padEnd(32, '0'), url: request.url, name});
		if (!existed) {
			this.change({downloads: [...this.snapshot.downloads, added]});
		}

		return {download: added, existed};
	}

	async pause(id: string) {
		this.#record('pause', id);
	}

	async keep() {
		// It has no next start.
	}

	async resume(id: string) {
		this.#record('resume', id);
	}

	async cancel(id: string) {
		this.#record('cancel', id);
	}

	async remove(id: string, options: {data: 'keep' | 'delete'}) {
		this.#record('remove', id, options.data);
		const {downloads} = this.snapshot;
		this.#removed.set(
			id,
			downloads.find(each => each.id === id)!,
		);
		this.change({downloads: downloads.filter(each => each.id !== id)});
	}

	async restore(id: string) {
		this.#record('restore', id);
		this.change({downloads: [...this.snapshot.downloads, this.#removed.get(id)!]});
	}

	async export(id: string, request: ExportRequest) {
		this.#record('export', id, request);
		return {path: request.path.endsWith('/') ? request.path + this.#get(id).name : request.path};
	}

	async update(id: string, change: DownloadChange) {
		this.#record('update', id, change);
		return this.#get(id);
	}

	async acceptChange(id: string) {
		this.#record('acceptChange', id);
	}

	async startOver(id: string, {keepOld = false} = {}) {
		this.#record('startOver', id, keepOld);
		return this.#get(id);
	}

	async verify(id: string) {
		this.#record('verify', id);
		return {damaged: []};
	}

	async makeSafe(id: string, request: SafeRequest) {
		this.#record('makeSafe', id, request);
		return {...blankPledge, n: request.dryRun ? 0 : 1, missing: 412 * 1024 * 1024};
	}

	async lift(id: string, n: number) {
		this.#record('lift', id, n);
	}

	async moveInQueue(id: string, by: QueueMove) {
		this.#record('moveInQueue', id, by);
	}

	async setLimitRate(limitRate: number | null) {
		this.#record('setLimitRate', limitRate);
		this.change({limitRate});
	}

	async linkPlayer(id: string) {
		this.#record('linkPlayer', id);
		return {socket: '/run/player.sock'};
	}

	async controlPlayer(id: string, command: PlayerCommand) {
		this.#record('controlPlayer', id, command);
	}

	async dispose() {}

	#get(id: string): Download {
		return this.snapshot.downloads.find(download => download.id === id)!;
	}

	#record(...call: unknown[]): void {
		this.calls.push(call);
		const {failure} = this;
		this.failure = undefined;
		if (failure) {
			throw failure;
		}
	}
}
