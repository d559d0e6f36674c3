// The interface between the engine and its clients: commands in, one immutable snapshot out.
import type {DownloadError} from './downstream/errors.ts';
import type {
	AddRequest,
	DownloadChange,
	ExportRequest,
	PlayerCommand,
	QueueMove,
	SafeRequest,
} from './downstream/requests.ts';

export * from './downstream/errors.ts';
export type * from './downstream/requests.ts';

/** Unguessable name of a download: 128 random bits as 32 hexadecimal digits. */
export type DownloadId = string;

/**
 * The activity of a download, derived from its facts:
 * - `asking`: waiting for the origin's first response (name, size), or for a new link after the old one expired
 * - `active`: a connection fetches bytes, or the last bytes are being recorded
 * - `waiting`: an attempt failed; the next one is scheduled at `retryAt`
 * - `queued`: waiting for one of `maxActive` places, for a connection to the server (`hostCeiling`) or for pledges
 *   (`waitsForPledges`), or, on demand, for a player's request
 * - `paused`: the user stopped the background download; players are still served
 * - `cancelled`: the user stopped everything, players included; stored bytes are kept
 * - `exporting`: the file is being copied out
 * - `checking`: stored bytes are being compared with their checksums
 * - `complete`: every byte is stored
 * - `failed`: stopped by a permanent error (`error`); a player's request or `resume` tries again
 */
export type DownloadStatus =
	| 'asking'
	| 'active'
	| 'waiting'
	| 'queued'
	| 'paused'
	| 'cancelled'
	| 'exporting'
	| 'checking'
	| 'complete'
	| 'failed';

type WithStatus = {readonly status: DownloadStatus};

/** Ended: only a command or a player's request changes the status. */
export function isSettled({status}: WithStatus): boolean {
	return status === 'complete' || status === 'failed' || status === 'cancelled';
}

/** Incomplete, and no request is sent before a command or a player asks. */
export function isStopped({status}: WithStatus): boolean {
	return status === 'paused' || status === 'failed' || status === 'cancelled';
}

/** Requests are in flight or scheduled. */
export function isFetching({status}: WithStatus): boolean {
	return status === 'active' || status === 'asking' || status === 'waiting';
}

/** `resume` continues it, retries at once, or asks the origin again for the file in place of a page. */
export function isResumable(download: Pick<Download, 'status' | 'isPageForFile'>): boolean {
	return isStopped(download) || download.status === 'waiting' || download.isPageForFile;
}

/** Fetching, or working on the stored bytes. */
function isRunning(download: WithStatus): boolean {
	return isFetching(download) || download.status === 'exporting' || download.status === 'checking';
}

/** Some pledge is not met, and can be. */
export function isPledged(download: Pick<Download, 'status' | 'pledges'>): boolean {
	return !isSettled(download) && download.pledges.some(({state}) => state === 'pending');
}

/** Nothing is fetched before a command or a player asks. */
export function isAtRest(download: Pick<Download, 'status' | 'pledges'>): boolean {
	return isSettled(download) || (isStopped(download) && !isPledged(download));
}

/** The end of the engine would interrupt it. */
export function isAtWork(download: Pick<Download, 'status' | 'pledges'>): boolean {
	return isRunning(download) || isPledged(download);
}

/** Undefined for a download that is not in the list. */
export function byId<Listed extends {readonly id: DownloadId}>(
	downloads: readonly Listed[],
	id: DownloadId,
): Listed | undefined {
	return downloads.find(download => download.id === id);
}

/** Played, but not to the end. */
export function isBegun({position, film}: Pick<Download, 'position' | 'film'>): boolean {
	// A changed file may be shorter.
	const isInside = position !== null && position.ms < (film?.durationMs ?? Infinity);
	return isInside && position.ms > 0 && !position.watched;
}

/** The position to resume at, in milliseconds: 0 unless the film was left in the middle. */
export function continuedMs(download: Pick<Download, 'position' | 'film'>): number {
	return isBegun(download) ? download.position!.ms : 0;
}

/** A program that reads the stream of a download. Listed until 10 s after its last request. */
export type Player = {
	readonly id: string;
	/** From the User-Agent, such as `mpv 0.38`, or the address. Untrusted: clean before showing. */
	readonly name: string;
	/** The next byte to read: a position in the file, not in the film. */
	readonly offset: number;
	/** Contiguous stored bytes from `offset` on. */
	readonly ready: number;
	/**
	 * Milliseconds that these bytes last: by the film's index, or else at the rate of the player's reads. Null while neither is
	 * known.
	 */
	readonly readyMs: number | null;
	/** Waiting for missing bytes. */
	readonly blocked: boolean;
	/** Has an open request. */
	readonly connected: boolean;
};

/** The last position in a video or audio file. */
export type Position = {
	/** Milliseconds from the start. */
	readonly ms: number;
	/** Time of this position, in milliseconds since the epoch. */
	readonly at: number;
	/** Played to the end, or past 92 %. */
	readonly watched: boolean;
	/** Reported by a linked player or set by a client; otherwise inferred from the bytes that a player reads. */
	readonly exact: boolean;
};

/** The state of a linked player, which was started with a control socket of the engine. */
export type Playback = {
	/** Such as `mpv 0.38.0`. Untrusted: clean before showing. */
	readonly player: string;
	/** Milliseconds; null while unknown. */
	readonly durationMs: number | null;
	readonly paused: boolean;
	/** 1 is normal. */
	readonly speed: number;
	/** The byte of the picture or sound at the position; null without a film map. */
	readonly offset: number | null;
	/** Waiting for bytes in the middle of the film. */
	readonly stalled: boolean;
	/** Number of stalls so far. */
	readonly stalls: number;
	/** The language of the shown subtitles, such as `en`; null without. Untrusted: clean before showing. */
	readonly subtitles: string | null;
};

/** A connection to the origin and its range. Bytes `[offset, end)` are yet to arrive. */
export type OpenSegment = {
	readonly start: number;
	readonly offset: number;
	/** Exclusive; `null` while the size is unknown. */
	readonly end: number | null;
	readonly for: SegmentUse;
};

/** The bytes are for a player, a pledge, or the background. */
export type SegmentUse = 'player' | 'pledge' | 'fill';

/**
 * A stretch of a download to keep on disk for times without a network. It is fetched before all background downloads, even
 * for a paused or on-demand download, and never evicted.
 */
export type Pledge = {
	/** Unique among the pledges of the download. */
	readonly n: number;
	/**
	 * Milliseconds of the film; null for a stretch in bytes, also for a file without a timeline. `toMs` is
	 * null until the duration of the film is known.
	 */
	readonly fromMs: number | null;
	readonly toMs: number | null;
	/** False for minutes of a film whose times are estimates. */
	readonly exact: boolean;
	/** Half-open range of bytes, of which a film may need only parts; null until it is known. */
	readonly start: number | null;
	readonly end: number | null;
	/** Missing bytes of the stretch and of the film's index; null until they are known. */
	readonly missing: number | null;
	/** End of the part that can be read (bytes) or watched (milliseconds) from its start; null if there is none. */
	readonly safeTo: number | null;
	readonly safeToMs: number | null;
	/** The deadline in milliseconds since the epoch; null for none. */
	readonly by: number | null;
	/** The expected time of completion at the current speed, in milliseconds since the epoch; null if unknown. */
	readonly etaAt: number | null;
	/**
	 * - `pending`: bytes are missing, or the bytes are not known yet
	 * - `safe`: every byte is durably stored
	 * - `impossible`: it cannot be fulfilled now (`reason`)
	 */
	readonly state: 'pending' | 'safe' | 'impossible';
	/** One sentence; null unless it is impossible. */
	readonly reason: string | null;
};

/**
 * Reasons why the index of a film cannot be read:
 * - `damaged`: it contradicts itself or its format
 * - `no-duration`: it does not state the duration
 * - `no-tracks`: it lists neither video nor audio
 * - `past-end`: it points past the end of the file
 * - `scattered`: it lies in more places than eight requests can fetch
 * - `too-large`: it has more than 64 MiB, or more than 32 MiB while no player reads
 * - `too-slow`: reading it takes more than 5 s of work
 */
export const filmProblems = [
	'damaged',
	'no-duration',
	'no-tracks',
	'past-end',
	'scattered',
	'too-large',
	'too-slow',
] as const;

export type FilmProblem = (typeof filmProblems)[number];

/** A video or audio file in time. All times are milliseconds from its start. */
export type DownloadFilm = {
	readonly durationMs: number;
	/** From the file's index. Otherwise times are interpolated from bytes, and `watchTo` and `stallAt` are estimates. */
	readonly exact: boolean;
	/** Bytes of the index. */
	readonly indexBytes: number;
	/** Offset of the last part of the index. */
	readonly indexOffset: number;
	readonly tracks: ReadonlyArray<{
		readonly kind: 'video' | 'audio';
		/** Such as `avc` or `aac`; null if unknown. */
		readonly codec: string | null;
		/** ISO 639-2; null if unknown. */
		readonly language: string | null;
		/** Pixels; null for audio. */
		readonly width: number | null;
		readonly height: number | null;
	}>;
	/** Stretches that a player can show without another byte: half-open, sorted. Never an estimate. */
	readonly playable: ReadonlyArray<readonly [fromMs: number, toMs: number]>;
	/** Time of the linked player, or at the read position of the newest player; 0 without players. */
	readonly position: number;
	/** End of the stretch that can be watched from `position` on; null if playback cannot start there. */
	readonly watchTo: number | null;
	/**
	 * Bytes per second that playback from `position` gets, averaged over 20 s: without those that other players and pledges
	 * take from it, and at most the speed limit. 0 while nothing is fetched beyond the requests of players.
	 */
	readonly forecastRate: number;
	/** Where playback from `position` stalls at `forecastRate` if it starts now; null if it plays through. */
	readonly stallAt: number | null;
	/** Milliseconds until it would play through: 0 if it does now, null at the rate 0. */
	readonly waitMs: number | null;
	/** Bytes per second at which it would play through after a wait of at most 5 s; 0 if nothing is missing. */
	readonly neededRate: number;
};

/** A download as clients see it. The control API sends it as JSON. */
export type Download = {
	readonly id: DownloadId;
	/** The given URL without user and password. May contain tokens: mask before showing. */
	readonly url: string;
	/** The item that the URL was resolved from, such as the page of a film; null if the URL itself was given. */
	readonly item: string | null;
	/** `http://127.0.0.1:PORT/stream/ID/NAME` */
	readonly streamUrl: string;
	/** A safe file name. */
	readonly name: string;
	/** Bytes; null while unknown. */
	readonly size: number | null;
	/** MIME type; `application/octet-stream` while unknown. */
	readonly type: string;
	readonly status: DownloadStatus;
	/** Stored bytes. */
	readonly present: number;
	/** Stored ranges: half-open, sorted, merged. */
	readonly ranges: ReadonlyArray<readonly [start: number, end: number]>;
	/** Bytes written, averaged over 3 s. */
	readonly bytesPerSecond: number;
	/** Averaged over 20 s, for estimates of the remaining time; at most the speed limit. */
	readonly bytesPerSecondLong: number;
	/** Open connections to the origin. */
	readonly connections: number;
	/** Limit on `connections`. */
	readonly maxConnections: number;
	/** The server's limit on connections, while the download is queued for one of them; else null. */
	readonly hostCeiling: number | null;
	/** Queued because pledges have priority, those of other downloads included. */
	readonly waitsForPledges: boolean;
	readonly segments: readonly OpenSegment[];
	readonly players: readonly Player[];
	/** By number. */
	readonly pledges: readonly Pledge[];
	/** The last position; null if it was never played. */
	readonly position: Position | null;
	/** The newest linked player; null without one. */
	readonly playback: Playback | null;
	/** The current error: of a `failed` or `waiting` download, or of a refused background download. */
	readonly error: DownloadError | null;
	/** The last error, even if it no longer matters. */
	readonly lastError: DownloadError | null;
	/** Time of the next attempt, in milliseconds since the epoch. */
	readonly retryAt: number | null;
	/** Time of the last write, in milliseconds since the epoch. */
	readonly lastByteAt: number | null;
	readonly addedAt: number;
	readonly completedAt: number | null;
	/** Null until the first response. */
	readonly acceptsRanges: boolean | null;
	/** The ETag or Last-Modified of the stored bytes. */
	readonly validator: string | null;
	/** The server's validator changes without the file: bytes are compared instead. */
	readonly hasUnstableValidator: boolean;
	/** The server sent a web page for a file of another kind. */
	readonly isPageForFile: boolean;
	readonly onDemand: boolean;
	/** Order of the queue: smaller first, never the same twice. */
	readonly queueRank: number;
	/** The download's own limit in bytes per second; null for none. */
	readonly limitRate: number | null;
	/** Expected checksum of the whole file, such as `sha256:…`; null if none was given. */
	readonly checksum: string | null;
	/** Fraction 0 to 1 of a running check. */
	readonly checkProgress: number | null;
	/** Fraction 0 to 1 of a running export. */
	readonly exportProgress: number | null;
	/** Path of the last export. */
	readonly exportedTo: string | null;
	/** Path of the export planned for completion. */
	readonly exportWhenComplete: string | null;
	/** Null unless the file is a video or audio file with a known index. */
	readonly film: DownloadFilm | null;
	/** The reason why a video or audio file has no `film`; otherwise null, and until its index was read. */
	readonly filmProblem: FilmProblem | null;
	/** The folder of the data. */
	readonly folder: string;
};

export type Snapshot = {
	/** Increases by one with each snapshot. */
	readonly version: number;
	/** In order of addition. Unchanged downloads are the same objects in the next snapshot. */
	readonly downloads: readonly Download[];
	readonly bytesPerSecond: number;
	/** Limit on the bytes per second of all downloads together; null for none. */
	readonly limitRate: number | null;
	/** Free bytes on the disk of the data; null if unknown. */
	readonly freeBytes: number | null;
	/** `http://127.0.0.1:PORT` */
	readonly origin: string;
	/** Sentences about the whole program: port taken, disk full, … */
	readonly banners: readonly string[];
};

/**
 * The commands, by id; the library offers them by URL. They reject with a `DownStreamError`: `not-found` for an unknown id,
 * and the codes named at each of them. Errors of the caller are of the kind `usage`.
 */
export interface DownloadEngine {
	/** The newest snapshot. The same object until something changes. */
	readonly snapshot: Snapshot;
	/** Calls `listener` at most about 3 times a second while snapshots change. Returns the function that unsubscribes. */
	subscribe(listener: () => void): () => void;
	/**
	 * Adds a download, or resumes the one with the same URL and headers (`existed`). Rejects with `bad-request` and a
	 * message that names the bad field.
	 */
	add(request: AddRequest): Promise<{download: Download; existed: boolean}>;
	/** Stops the background download. Players are still served. */
	pause(id: DownloadId): Promise<void>;
	/** Continues a paused, cancelled or failed download, and retries a waiting one at once. */
	resume(id: DownloadId): Promise<void>;
	/** Stops everything, players included. Stored bytes are kept. */
	cancel(id: DownloadId): Promise<void>;
	/**
	 * Removes a download from the list. `keep`: its bytes stay, and adding the URL again continues from them. `delete`: its
	 * bytes are deleted after `undoMs` milliseconds (10 s unless given); until then `restore` undoes the removal.
	 */
	remove(id: DownloadId, options: {data: 'keep' | 'delete'; undoMs?: number}): Promise<void>;
	/** Undoes a removal. Rejects with `not-found` if it is too late. */
	restore(id: DownloadId): Promise<void>;
	/** Rejects with `bad-request`, or with `origin-changed` if the file of a new URL differs, and then changes nothing. */
	update(id: DownloadId, change: DownloadChange): Promise<Download>;
	/**
	 * After `origin-changed`: keeps the stored bytes if they match the server's file. Rejects with `origin-changed` unless
	 * 32 samples of 4 KiB and both ends of the stored bytes match.
	 */
	acceptChange(id: DownloadId): Promise<void>;
	/**
	 * After `origin-changed`: fetches the new version from the start. Drops the bytes of the old version, or with `keepOld`
	 * leaves them and adds the new version as another download. Resolves with the download of the new version.
	 */
	startOver(id: DownloadId, options?: {keepOld?: boolean}): Promise<Download>;
	/**
	 * Compares stored bytes with the recorded checksums of their blocks, and a complete file with the given checksum too.
	 * Damaged blocks become holes, which a running download fetches again. Resolves with the damaged half-open ranges.
	 */
	verify(id: DownloadId): Promise<{damaged: ReadonlyArray<readonly [start: number, end: number]>}>;
	/**
	 * Fetches a stretch before all downloads in the background, and keeps it until it is lifted. Resolves with the pledge that
	 * includes the stretch. Rejects with `bad-request`, with `incomplete` while the position of the player is unknown, or with
	 * `disk-full` if the disk has no room for it.
	 */
	makeSafe(id: DownloadId, request: SafeRequest): Promise<Pledge>;
	/** Ends a pledge; its bytes stay. Rejects with `not-found`. */
	lift(id: DownloadId, n: number): Promise<void>;
	/** Moves a download in the queue. */
	moveInQueue(id: DownloadId, by: QueueMove): Promise<void>;
	/** Limits the bytes per second of all downloads together until the program ends; null for no limit. */
	setLimitRate(bytesPerSecond: number | null): Promise<void>;
	/** Resolves with the path of the file, which may not exist yet for `when: 'complete'`. */
	export(id: DownloadId, request: ExportRequest): Promise<{path: string}>;
	/**
	 * Resolves with the path of a socket (on Windows the name of a pipe) for mpv's `--input-ipc-server`. A player that listens
	 * there within 30 s is linked: its position is kept, and `controlPlayer` reaches it. Rejects with `no-player` if no socket
	 * can be made.
	 */
	linkPlayer(id: DownloadId): Promise<{socket: string}>;
	/** For the newest linked player. Rejects with `no-player` without one, `bad-request` past the end of the film. */
	controlPlayer(id: DownloadId, command: PlayerCommand): Promise<void>;
	/** Closes connections, saves records, and releases the port and the storage folder. */
	dispose(): Promise<void>;
}
