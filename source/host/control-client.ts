// The engine's interface over the control API of a running instance.
import {once, setMaxListeners} from 'node:events';
import {request as httpRequest, type IncomingMessage} from 'node:http';
import {isAbsolute, resolve, sep} from 'node:path';
import {json} from 'node:stream/consumers';
import {setTimeout as sleep} from 'node:timers/promises';
import {createParser} from 'eventsource-parser';
import {
	DownStreamError,
	errorKinds,
	isSettled,
	isStopped,
	type AddRequest,
	type Download,
	type DownloadChange,
	type DownloadId,
	type DownloadEngine,
	type ErrorCode,
	type ExportRequest,
	type PlayerCommand,
	type Pledge,
	type QueueMove,
	type Remedy,
	type SafeRequest,
	type Snapshot,
} from '../downstream.ts';
import {leaseHeader, versionHeader} from '../proxy/control-api.ts';
import {applyChanges, type SnapshotChanges} from '../proxy/snapshot-changes.ts';

export type Instance = {
	/** `http://127.0.0.1:PORT` */
	readonly origin: string;
	readonly key: string;
	/** The name of the client's lease. */
	readonly lease?: string | undefined;
};

/** Interval of the search for an instance that went away. */
const retryMs = 1000;
/** Limit for the first response: a stopped process listens but never answers. */
const connectMs = 5000;
const endedSentence = 'The running instance has quit';

type ApiResponse = {readonly status: number; readonly body: unknown};

/** A command that waits until the events show this version of the snapshot. */
type Waiting = {readonly version: number; readonly resolve: () => void};

export class ControlClient implements DownloadEngine {
	readonly #find: () => Promise<Instance | undefined>;
	readonly #listeners = new Set<() => void>();
	readonly #disposal = new AbortController();
	/** The snapshot of the instance. */
	#received: Snapshot;
	/** The same, or a stopped state once the connection is lost. */
	#snapshot: Snapshot;
	/** Undefined while disconnected. */
	#instance: Instance | undefined;
	#waiting: Waiting[] = [];
	readonly #following: Promise<void>;

	/**
	 * Resolves with the first snapshot. Rejects with `not-found` if no instance answers. `find` locates the
	 * instance after a lost connection: its port may belong to another program by then, which must not get the key.
	 */
	static async connect(
		instance: Instance,
		find: () => Promise<Instance | undefined> = async () => undefined,
	): Promise<ControlClient> {
		const disposal = new AbortController();
		// Every request under way listens.
		setMaxListeners(0, disposal.signal);
		const timer = setTimeout(() => disposal.abort(), connectMs);
		try {
			const events = eventsOf(await openEvents(instance, disposal.signal));
			const {value} = await events.next();
			return new ControlClient(instance, find, value!.data as Snapshot, events, disposal);
		} catch (error) {
			throw disposal.signal.aborted
				? new DownStreamError('not-found', `The running instance at ${instance.origin} does not respond`)
				: error;
		} finally {
			clearTimeout(timer);
		}
	}

	private constructor(
		instance: Instance,
		find: () => Promise<Instance | undefined>,
		snapshot: Snapshot,
		events: AsyncGenerator<Event, void>,
		disposal: AbortController,
	) {
		this.#instance = instance;
		this.#find = find;
		this.#received = snapshot;
		this.#snapshot = snapshot;
		this.#disposal = disposal;
		this.#following = this.#follow(events);
	}

	get snapshot(): Snapshot {
		return this.#snapshot;
	}

	/** False once the instance has ended, until another one is found. */
	get isConnected(): boolean {
		return this.#instance !== undefined;
	}

	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => {
			this.#listeners.delete(listener);
		};
	}

	async add(request: AddRequest): Promise<{download: Download; existed: boolean}> {
		const {status, body} = await this.#call('POST', '/downloads', request);
		return {download: body as Download, existed: status === 200};
	}

	async pause(id: DownloadId): Promise<void> {
		await this.#command(id, 'pause');
	}

	async resume(id: DownloadId): Promise<void> {
		await this.#command(id, 'resume');
	}

	async cancel(id: DownloadId): Promise<void> {
		await this.#command(id, 'cancel');
	}

	async remove(id: DownloadId, {data, undoMs}: {data: 'keep' | 'delete'; undoMs?: number}): Promise<void> {
		const undo = undoMs === undefined ? '' : `&undoMs=${undoMs}`;
		await this.#call('DELETE', `${pathOf(id)}?data=${data}${undo}`);
	}

	async restore(id: DownloadId): Promise<void> {
		await this.#command(id, 'restore');
	}

	async update(id: DownloadId, change: DownloadChange): Promise<Download> {
		const {body} = await this.#call('PATCH', pathOf(id), change);
		return body as Download;
	}

	async acceptChange(id: DownloadId): Promise<void> {
		await this.#command(id, 'accept-change');
	}

	async startOver(id: DownloadId, options: {keepOld?: boolean} = {}): Promise<Download> {
		return (await this.#command(id, 'start-over', options)) as Download;
	}

	async verify(id: DownloadId): Promise<{damaged: ReadonlyArray<readonly [start: number, end: number]>}> {
		const {damaged} = (await this.#command(id, 'verify')) as {
			damaged: ReadonlyArray<readonly [number, number]>;
		};
		return {damaged};
	}

	async makeSafe(id: DownloadId, request: SafeRequest): Promise<Pledge> {
		return (await this.#command(id, 'safe', request)) as Pledge;
	}

	async lift(id: DownloadId, n: number): Promise<void> {
		await this.#call('DELETE', `${pathOf(id)}/safe/${n}`);
	}

	async moveInQueue(id: DownloadId, by: QueueMove): Promise<void> {
		await this.#command(id, 'move-in-queue', {by});
	}

	async setLimitRate(limitRate: number | null): Promise<void> {
		await this.#call('PATCH', '/settings', {limitRate});
	}

	async export(id: DownloadId, request: ExportRequest): Promise<{path: string}> {
		// The instance has another working directory.
		const path =
			isAbsolute(request.path) || request.path.startsWith('~') ? request.path : absolute(request.path);
		return (await this.#command(id, 'export', {...request, path})) as {path: string};
	}

	async linkPlayer(id: DownloadId): Promise<{socket: string}> {
		return (await this.#command(id, 'link-player')) as {socket: string};
	}

	async controlPlayer(id: DownloadId, command: PlayerCommand): Promise<void> {
		await this.#command(id, 'player', command);
	}

	/** Ends the lease: additions and resumptions stay. */
	async release(): Promise<void> {
		await this.#call('DELETE', '/lease');
	}

	/** Disconnects; the instance keeps running. */
	async dispose(): Promise<void> {
		this.#listeners.clear();
		this.#disposal.abort();
		this.#release(Infinity);
		await this.#following;
	}

	async #command(id: DownloadId, verb: string, body?: object): Promise<unknown> {
		return (await this.#call('POST', `${pathOf(id)}/${verb}`, body)).body;
	}

	/** Resolves once the snapshot shows the effect, as the engine itself does. */
	async #call(method: string, path: string, body?: object): Promise<ApiResponse> {
		const instance = this.#instance;
		if (!instance) {
			throw new DownStreamError('not-found', endedSentence);
		}

		const response = await send(instance, method, path, body, this.#disposal.signal);
		const result = {status: response.statusCode ?? 0, body: await bodyOf(response)};
		if (result.status >= 400) {
			throw errorOf(result);
		}

		const version = Number(response.headers[versionHeader]);
		if (this.#instance && version > this.#received.version) {
			await new Promise<void>(resolve => {
				this.#waiting.push({version, resolve});
			});
		}

		return result;
	}

	/** Receives events until disposed; looks for the instance again when they end. */
	async #follow(events: AsyncGenerator<Event, void>): Promise<void> {
		const {signal} = this.#disposal;
		await this.#receiveAll(events);
		while (!signal.aborted) {
			await sleep(retryMs, undefined, {signal}).catch(() => undefined);
			const instance = signal.aborted ? undefined : await this.#find().catch(() => undefined);
			if (instance) {
				const next = await openEvents(instance, signal).catch(() => undefined);
				this.#instance = next && instance;
				await (next && this.#receiveAll(eventsOf(next)));
			}
		}
	}

	/** Resolves when the connection ends. */
	async #receiveAll(events: AsyncGenerator<Event, void>): Promise<void> {
		try {
			for await (const event of events) {
				this.#receive(event);
			}
		} catch {
			// The search for the instance follows, whatever the cause.
		}

		if (!this.#disposal.signal.aborted) {
			this.#lose();
		}
	}

	#receive({event, data}: Event): void {
		const before = this.#received;
		this.#received =
			event === 'snapshot'
				? (data as Snapshot)
				: event === 'changes'
					? applyChanges(before, data as SnapshotChanges)
					: before;
		this.#show(this.#received);
		// A new instance restarts version numbers: the awaited ones never appear.
		this.#release(event === 'snapshot' ? Infinity : this.#received.version);
	}

	#lose(): void {
		this.#instance = undefined;
		this.#release(Infinity);
		const {version, banners, downloads} = this.#received;
		this.#show({
			...this.#received,
			version: version + 1,
			bytesPerSecond: 0,
			downloads: downloads.map(download => stopped(download)),
			banners: [...banners, endedSentence],
		});
	}

	#show(snapshot: Snapshot): void {
		this.#snapshot = snapshot;
		for (const listener of this.#listeners) {
			listener();
		}
	}

	#release(version: number): void {
		const ready = this.#waiting.filter(waiting => waiting.version <= version);
		this.#waiting = this.#waiting.filter(waiting => waiting.version > version);
		for (const {resolve} of ready) {
			resolve();
		}
	}
}

/** The last known state without any activity: a running download becomes `queued`. */
function stopped(download: Download): Download {
	const {status, completedAt, pledges} = download;
	const isAtRest = isSettled(download) || isStopped(download);
	return {
		...download,
		status: isAtRest ? status : completedAt === null ? 'queued' : 'complete',
		error: isAtRest ? download.error : null,
		bytesPerSecond: 0,
		bytesPerSecondLong: 0,
		connections: 0,
		hostCeiling: null,
		waitsForPledges: false,
		segments: [],
		players: [],
		pledges: pledges.map(pledge => ({...pledge, etaAt: null})),
		playback: null,
		retryAt: null,
		checkProgress: null,
		exportProgress: null,
	};
}

/** Keeps a trailing separator, which marks a folder. */
function absolute(path: string): string {
	return resolve(path) + (/[/\\]$/.test(path) ? sep : '');
}

function pathOf(id: DownloadId): string {
	return `/downloads/${encodeURIComponent(id)}`;
}

async function openEvents(instance: Instance, signal: AbortSignal): Promise<IncomingMessage> {
	const response = await send(instance, 'GET', '/events', undefined, signal);
	if (response.statusCode !== 200) {
		throw errorOf({status: response.statusCode ?? 0, body: await bodyOf(response)});
	}

	return response;
}

/** Rejects with `not-found` if the connection fails. */
async function send(
	{origin, key, lease}: Instance,
	method: string,
	path: string,
	body: object | undefined,
	signal: AbortSignal,
): Promise<IncomingMessage> {
	const text = body === undefined ? undefined : JSON.stringify(body);
	const request = httpRequest(`${origin}/api${path}`, {
		method,
		// A kept-alive connection may be closed by the server at any moment.
		agent: false,
		signal,
		headers: {
			authorization: `Bearer ${key}`,
			...(lease !== undefined && {[leaseHeader]: lease}),
			...(text === undefined
				? {'content-length': 0}
				: {'content-type': 'application/json', 'content-length': Buffer.byteLength(text)}),
		},
	});
	// Later errors surface in the response.
	request.on('error', () => undefined);
	request.end(text);
	try {
		const [response] = (await once(request, 'response')) as [IncomingMessage];
		return response;
	} catch (error) {
		throw new DownStreamError('not-found', endedSentence, {cause: error});
	}
}

async function bodyOf(response: IncomingMessage): Promise<unknown> {
	try {
		return response.statusCode === 204 ? (response.resume(), undefined) : await json(response);
	} catch (error) {
		throw new DownStreamError('not-found', endedSentence, {cause: error});
	}
}

/** Reads problem details (RFC 9457). */
function errorOf({status, body}: ApiResponse): DownStreamError {
	const {code, detail, needs} = (body ?? {}) as {code?: unknown; detail?: unknown; needs?: Remedy};
	const isKnown = typeof code === 'string' && Object.hasOwn(errorKinds, code);
	return new DownStreamError(
		isKnown ? (code as ErrorCode) : 'bad-request',
		typeof detail === 'string' ? detail : `The running instance responded with status ${status}`,
		{needs},
	);
}

type Event = {readonly event: string; readonly data: unknown};

/** Server-sent events. Throws when the connection ends. */
async function* eventsOf(response: IncomingMessage): AsyncGenerator<Event, void> {
	const received: Event[] = [];
	const parser = createParser({
		onEvent({event = '', data}) {
			received.push({event, data: JSON.parse(data) as unknown});
		},
	});
	for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
		parser.feed(chunk);
		yield* received.splice(0);
	}

	throw new DownStreamError('not-found', endedSentence);
}
