// An in-memory engine for tests of the proxy. Its file bytes are a pure function of the offset; reads can be blocked
// or fail.
import {EventEmitter, once} from 'node:events';
import {
	type AddRequest,
	type Download,
	type DownloadChange,
	type PlayerCommand,
	type DownloadId,
	DownStreamError,
	type ExportRequest,
	type Pledge,
	type QueueMove,
	type SafeRequest,
	type Snapshot,
} from '../../source/downstream.ts';
import type {StreamingEngine} from '../../source/proxy/server.ts';
import type {Representation} from '../../source/engine/download/reading.ts';
import type {StreamedTransfer, StreamRead} from '../../source/proxy/stream.ts';
import {blankDownload, blankPledge} from './blank-download.ts';
import {content} from './content.ts';

const chunkSize = 64 * 1024;

export class MemoryTransfer implements StreamedTransfer {
	readonly isUnanswered = false;
	readonly cached = this;
	readonly id: DownloadId;
	currentFacts: Representation;
	/** The end of the available bytes; the size, unless unknown. */
	end: number;
	/** Reads block here until `release`. */
	heldFrom = Infinity;
	/** Reads fail here. */
	failure: {offset: number; error: DownStreamError} | undefined;
	/** The rejection of `facts`. */
	factsFailure: Error | undefined;
	readonly reads: StreamRead[] = [];
	/** Reads in progress. */
	openReads = 0;
	bytesRead = 0;
	/** `blocked`: a read waits; `closed`: a read has ended. */
	readonly events = new EventEmitter();

	constructor(id: DownloadId, size: number, facts: Partial<Representation> = {}) {
		this.id = id;
		this.end = size;
		this.currentFacts = {
			name: 'film.mkv',
			type: 'video/x-matroska',
			size,
			etag: '"version-1"',
			lastModified: 'Sun, 06 Nov 1994 08:49:37 GMT',
			hasStrongDate: true,
			acceptsRanges: true,
			complete: false,
			version: 0,
			...facts,
		};
	}

	async representation(): Promise<Representation> {
		if (this.factsFailure) {
			throw this.factsFailure;
		}

		return this.currentFacts;
	}

	release(): void {
		this.heldFrom = Infinity;
		this.events.emit('released');
	}

	async *read(request: StreamRead): AsyncIterable<Uint8Array> {
		const {range, signal} = request;
		this.reads.push(request);
		this.openReads++;
		try {
			let offset = range.start;
			const end = Math.min(range.end, this.end);
			while (offset < end || this.failure?.offset === offset) {
				if (offset >= this.heldFrom) {
					this.events.emit('blocked');
					await once(this.events, 'released', {signal});
				}

				if (this.failure?.offset === offset) {
					throw this.failure.error;
				}

				const stop = Math.min(end, offset + chunkSize, ...this.#barriersAfter(offset));
				yield content(offset, stop);
				this.bytesRead += stop - offset;
				offset = stop;
			}
		} finally {
			this.openReads--;
			this.events.emit('closed');
		}
	}

	#barriersAfter(offset: number): number[] {
		return [this.heldFrom, this.failure?.offset ?? Infinity].filter(barrier => barrier > offset);
	}
}

export class MemoryEngine implements StreamingEngine {
	readonly key = 'secret+key/1=';
	readonly viewKey = 'view+key/1=';
	readonly transfers = new Map<DownloadId, MemoryTransfer>();
	/** The received commands in order. */
	readonly commands: unknown[] = [];
	/** `change`: there is a new snapshot; `unsubscribed`: a listener was removed. */
	readonly events = new EventEmitter();
	snapshot: Snapshot = {
		version: 0,
		downloads: [],
		bytesPerSecond: 0,
		limitRate: null,
		freeBytes: null,
		origin: '',
		banners: [],
	};

	/** Adds a file of `size` bytes. */
	file(size: number, facts: Partial<Representation> = {}): MemoryTransfer {
		const transfer = new MemoryTransfer(`id${this.transfers.size + 1}`, size, facts);
		this.transfers.set(transfer.id, transfer);
		const {name, type} = transfer.currentFacts;
		this.#publish([...this.snapshot.downloads, newDownload(transfer.id, {name, type, size})]);
		return transfer;
	}

	change(id: DownloadId, change: Partial<Download>): void {
		this.#find(id);
		this.#publish(
			this.snapshot.downloads.map(download => (download.id === id ? {...download, ...change} : download)),
		);
	}

	transfer(id: DownloadId): MemoryTransfer | undefined {
		return this.transfers.get(id);
	}

	async transferOf({url}: AddRequest): Promise<MemoryTransfer> {
		if (!/^https?:\/\//.test(url)) {
			throw new DownStreamError('bad-request', 'Only http and https URLs can be downloaded.');
		}

		const known = this.snapshot.downloads.find(download => download.url === url);
		const transfer = this.transfers.get(known?.id ?? '') ?? this.file(1000);
		this.change(transfer.id, {url});
		return transfer;
	}

	subscribe(listener: () => void): () => void {
		this.events.on('change', listener);
		return () => {
			this.events.off('change', listener);
			this.events.emit('unsubscribed');
		};
	}

	async add(request: AddRequest): Promise<{download: Download; existed: boolean}> {
		this.commands.push({add: request});
		const known = this.snapshot.downloads.some(({url}) => url === request.url);
		const {id} = await this.transferOf(request);
		return {download: this.#find(id), existed: known};
	}

	async pause(id: DownloadId): Promise<void> {
		this.change(id, {status: 'paused'});
	}

	async keep() {
		// It has no next start.
	}

	async resume(id: DownloadId): Promise<void> {
		this.change(id, {status: 'active'});
	}

	async cancel(id: DownloadId): Promise<void> {
		this.change(id, {status: 'cancelled'});
	}

	async remove(id: DownloadId, options: {data: 'keep' | 'delete'}): Promise<void> {
		this.commands.push({remove: id, ...options});
		this.#find(id);
		this.transfers.delete(id);
		this.#publish(this.snapshot.downloads.filter(download => download.id !== id));
	}

	async restore(): Promise<void> {
		throw new DownStreamError('not-found', 'It is too late.');
	}

	async update(id: DownloadId, change: DownloadChange): Promise<Download> {
		this.commands.push({update: id, ...change});
		return this.#find(id);
	}

	async linkPlayer(id: DownloadId): Promise<{socket: string}> {
		this.#find(id);
		return {socket: '/run/player.sock'};
	}

	async controlPlayer(id: DownloadId, command: PlayerCommand): Promise<void> {
		this.commands.push({controlPlayer: id, ...command});
		this.#find(id);
	}

	async acceptChange(id: DownloadId): Promise<void> {
		this.commands.push({acceptChange: id});
		this.#find(id);
	}

	async startOver(id: DownloadId, options: {keepOld?: boolean} = {}): Promise<Download> {
		this.commands.push({startOver: id, ...options});
		return this.#find(id);
	}

	async verify(id: DownloadId): Promise<{damaged: Array<[number, number]>}> {
		this.commands.push({verify: id});
		this.#find(id);
		return {damaged: [[0, 10]]};
	}

	async makeSafe(id: DownloadId, request: SafeRequest): Promise<Pledge> {
		this.commands.push({makeSafe: id, request});
		this.#find(id);
		return blankPledge;
	}

	async lift(id: DownloadId, n: number): Promise<void> {
		this.commands.push({lift: id, n});
		this.#find(id);
	}

	async moveInQueue(id: DownloadId, by: QueueMove): Promise<void> {
		this.commands.push({moveInQueue: id, by});
		this.#find(id);
	}

	async setLimitRate(limitRate: number | null): Promise<void> {
		this.commands.push({setLimitRate: limitRate});
		this.snapshot = {...this.snapshot, limitRate};
		this.#publish(this.snapshot.downloads);
	}

	async export(id: DownloadId, request: ExportRequest): Promise<{path: string}> {
		this.commands.push({export: id, ...request});
		if (this.#find(id).status !== 'complete') {
			throw new DownStreamError('incomplete', 'The download is not complete.');
		}

		return {path: request.path};
	}

	async dispose(): Promise<void> {
		this.events.removeAllListeners();
	}

	#find(id: DownloadId): Download {
		const download = this.snapshot.downloads.find(candidate => candidate.id === id);
		if (!download) {
			throw new DownStreamError('not-found', 'There is no such download.');
		}

		return download;
	}

	#publish(downloads: readonly Download[]): void {
		this.snapshot = {...this.snapshot, version: this.snapshot.version + 1, downloads};
		this.events.emit('change');
	}
}

function newDownload(id: DownloadId, facts: Pick<Download, 'name' | 'type' | 'size'>): Download {
	return {
		...blankDownload,
		id,
		url: `http://origin.example/${id}`,
		streamUrl: `http://127.0.0.1:8080/stream/${id}/${facts.name}`,
		...facts,
		status: 'active',
		acceptsRanges: true,
	};
}
