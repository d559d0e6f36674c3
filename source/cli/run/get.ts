// `get`: downloads the URLs of the command line and nothing else, exports the files, exits.
import {stat} from 'node:fs/promises';
import {get as httpGet, type IncomingMessage} from 'node:http';
import path from 'node:path';
import process from 'node:process';
import {once} from 'node:events';
import {setTimeout as sleep} from 'node:timers/promises';
import {named, requestsFor, requestsForRemote} from '../../requests/add-requests.ts';
import {shownUrl} from '../../requests/url-lists.ts';
import {substituteOf} from '../../text/status-words.ts';
import {formatBytes, formatPercent} from '../../text/format.ts';
import {safeJson} from '../../text/escape-controls.ts';
import {maskUrl} from '../../text/mask-url.ts';
import {
	DownStreamError,
	isSettled,
	type AddRequest,
	type Download,
	type DownloadEngine,
	type DownloadError,
	type DownloadId,
	type ErrorCode,
} from '../../downstream.ts';
import {resolveTarget} from '../../engine/store/export.ts';
import {gaveUpLines, lookMs, QuietTime, Waits, type Outcome} from '../output/patience.ts';
import type {Progress} from '../output/progress-line.ts';
import {start} from '../../host/engine-host.ts';
import {attach} from '../../host/find-instance.ts';
import type {Settings} from '../settings.ts';
import {snapshotsOf, until} from '../../wait.ts';
import {cleanText} from '../../text/clean-text.ts';
import {withHint} from '../../text/hints.ts';

/** Limit of the changes of one file that `--on-change` answers. */
const maxAnswers = 5;
/** Milliseconds between two attempts to compare versions. */
const retryMs = 2000;
/** Limit of the attempts to start while other processes start too. */
const maxStarts = 10;
const startAgainMs = 200;
/** The end of the instance shows within this time after a failed call. */
const endShowsMs = 200;

const existsHint = '--overwrite replaces it, --keep-both keeps both';

export type GetOutput = {
	/** The path of a finished file, or a line of JSON. */
	result(line: string): void;
	error(message: string): void;
	progress(progress: Progress): void;
	/** Writes part of a file to standard output. Resolves once it is written. */
	write(bytes: Uint8Array): Promise<void>;
};

/**
 * Runs in an engine of its own that fetches these URLs alone, or through the running instance. Resolves when every file
 * is exported or has failed, when no byte has come for too long, or when the signal aborts. Rejects with
 * `storage-locked` if the running instance cannot be reached, and as `start` does.
 */
export async function get(
	words: readonly string[],
	settings: Settings,
	output: GetOutput,
	signal: AbortSignal,
): Promise<Outcome> {
	const target = await checkedTarget(settings, words.length);
	const run = new GetRun(words, target, {settings, output, signal});
	for (;;) {
		const host = await findHost(settings, output);
		try {
			return await run.through(host);
		} catch (error) {
			// Its downloads are in the storage folder: another host resumes them.
			if (!(error instanceof HostLost)) {
				throw error;
			}
		} finally {
			await host.dispose();
		}
	}
}

/** The running instance, or an engine of our own. */
type Host = {
	readonly downstream: DownloadEngine;
	readonly requestsOf: (word: string) => Promise<AddRequest[]>;
	readonly isRemote: boolean;
	/** The instance has ended. */
	isLost(): boolean;
	dispose(): Promise<void>;
};

class HostLost extends Error {}

async function findHost(settings: Settings, output: GetOutput): Promise<Host> {
	for (let starts = 1; ; starts++) {
		const client = await reach(settings.storageDir);
		if (client) {
			// The client attaches to the next instance, which need not resume these downloads.
			let isLost = false;
			client.subscribe(() => {
				isLost ||= !client.isConnected;
			});
			return {
				downstream: client,
				requestsOf: word => requestsForRemote(word, settings),
				isRemote: true,
				isLost: () => isLost,
				dispose: () => client.dispose(),
			};
		}

		try {
			return await startHost(settings, output);
		} catch (error) {
			const isTaken = error instanceof DownStreamError && error.code === 'storage-locked';
			if (!isTaken || starts === maxStarts) {
				throw error;
			}

			// Another one started in between.
			await sleep(startAgainMs);
		}
	}
}

async function reach(storageDir: string): ReturnType<typeof attach> {
	try {
		return await attach(storageDir);
	} catch (error) {
		throw error instanceof DownStreamError && error.code === 'not-found'
			? new DownStreamError('storage-locked', error.message)
			: error;
	}
}

async function startHost(settings: Settings, output: GetOutput): Promise<Host> {
	// Eviction waits until everything is exported.
	const running = await start({...settings, cacheSize: Infinity, fill: 'requested'});
	const {engine} = running;
	for (const banner of engine.snapshot.banners) {
		output.error(banner);
	}

	return {
		downstream: engine,
		requestsOf: word => requestsFor(word, settings),
		isRemote: false,
		isLost: () => false,
		async dispose() {
			await engine.makeRoom(settings.cacheSize);
			await running.dispose();
		},
	};
}

/** One download of this run. */
type Item = {
	readonly id: DownloadId;
	/** Its operand. */
	readonly word: string;
	readonly request: AddRequest;
	/** Its state in the list before this run; undefined if this run added it. */
	readonly before: Download | undefined;
	/** Its bytes may be in a file of the user, which must stay there. */
	readonly wasExported: boolean;
	readonly waits: Waits;
	/** Name and size are known, and no other file is in the way. */
	hasPlace: boolean;
	/** Number of answers to changes of the file. */
	answers: number;
	/** Bytes written to standard output, and their version. */
	readonly streamed: {offset: number; etag?: string | undefined};
};

class GetRun {
	readonly #target: string;
	readonly #settings: Settings;
	readonly #output: GetOutput;
	readonly #signal: AbortSignal;
	/** Operands with an unfinished download, or not added yet. */
	readonly #words: Set<string>;
	/** Paths of the files that this run has written. */
	readonly #written = new Set<string>();
	readonly #open = new Map<DownloadId, Item>();
	readonly #closed = new Set<DownloadId>();
	readonly #isSeveral: boolean;
	/** Operands sent to a host. */
	readonly #attempted = new Set<string>();
	readonly #startedAt = Date.now();
	#finishedBytes = 0;
	#hasFailed = false;

	constructor(
		words: readonly string[],
		target: string,
		{settings, output, signal}: {settings: Settings; output: GetOutput; signal: AbortSignal},
	) {
		this.#words = new Set(words);
		this.#isSeveral = words.length > 1;
		this.#target = target;
		this.#settings = settings;
		this.#output = output;
		this.#signal = signal;
	}

	/** Rejects with `HostLost`: another host can go on. */
	async through(host: Host): Promise<Outcome> {
		const {downstream} = host;
		await this.#addAll(host);
		const patience = new AbortController();
		const quiet = new QuietTime();
		const timer = setInterval(() => {
			if (this.#look(host, quiet)) {
				patience.abort();
			}
		}, lookMs);
		const unsubscribe = downstream.subscribe(() => this.#showProgress(host));
		const ended = AbortSignal.any([this.#signal, patience.signal]);
		try {
			await (this.#settings.output === '-' ? this.#streamAll(host, ended) : this.#exportAll(host, ended));
		} finally {
			clearInterval(timer);
			unsubscribe();
		}

		if (this.#signal.aborted) {
			await this.#interrupt(host);
			return 'failed';
		}

		if (this.#open.size === 0) {
			return this.#hasFailed ? 'failed' : 'done';
		}

		const views = this.#views(host);
		for (const line of gaveUpLines(views, this.#settings.giveUpAfter)) {
			this.#output.error(line);
		}

		for (const view of views) {
			const error = view.error ?? {code: 'origin-unreachable' as const, message: 'no data came'};
			await this.#close(host, this.#open.get(view.id)!, view, {status: 'failed', error});
		}

		return this.#hasFailed ? 'failed' : 'gave-up';
	}

	async #addAll(host: Host): Promise<void> {
		for (const word of this.#words) {
			if (this.#signal.aborted) {
				return;
			}

			try {
				for (const request of await host.requestsOf(word)) {
					await this.#add(host, word, request);
				}
			} catch (error) {
				await refuseLost(host, error);
				const known = knownError(error);
				this.#fail(withHint(this.#isSeveral ? named(known, word) : known));
				this.#words.delete(word);
				this.#report({
					url: /\s/.test(word) ? null : shownUrl(word),
					status: 'failed',
					path: null,
					bytes: 0,
					error: {code: known.code, message: known.message},
				});
			}
		}
	}

	async #add(host: Host, word: string, request: AddRequest): Promise<void> {
		const {downstream} = host;
		const mustBeThere = await this.#mustBeThere();
		const {downloads} = downstream.snapshot;
		const wasAttempted = this.#attempted.has(word);
		this.#attempted.add(word);
		const {download, existed} = await downstream.add({...request, ...(mustBeThere && {paused: true})});
		const {id} = download;
		if (this.#closed.has(id)) {
			return;
		}

		const listed = downloads.find(known => known.id === id);
		// The instance may have ended after adding it, before the response.
		const isOurs = wasAttempted && listed && listed.addedAt >= this.#startedAt;
		const before = isOurs ? undefined : listed;
		const item: Item = this.#open.get(id) ?? {
			id,
			word,
			request,
			before,
			wasExported: download.exportedTo !== null && download.completedAt !== null,
			waits: new Waits(),
			hasPlace: false,
			answers: 0,
			streamed: {offset: 0},
		};
		if (mustBeThere && download.completedAt === null) {
			await this.#leave(host, item, download);
			throw this.#targetExists();
		}

		this.#open.set(id, item);
		if (existed && !mustBeThere) {
			await downstream.resume(id);
		}

		if (download.onDemand) {
			// No player will request the rest.
			await downstream.update(id, {onDemand: false});
		}
	}

	/** The file to write exists: nothing is fetched, and only an identical file is success. */
	async #mustBeThere(): Promise<boolean> {
		const {output, overwrite, keepBoth} = this.#settings;
		const found =
			output === undefined || output === '-' || overwrite || keepBoth
				? undefined
				: await stat(this.#target).catch(() => undefined);
		return found !== undefined && !found.isDirectory();
	}

	#targetExists(file = this.#target): DownStreamError {
		return new DownStreamError('target-exists', `${file} already exists; ${existsHint}`);
	}

	/** A file of another size in the target folder, which would fail the export of the whole download. */
	async #otherFile({name, size}: Download): Promise<string | undefined> {
		const {output, overwrite, keepBoth} = this.#settings;
		if (output === undefined || overwrite || keepBoth) {
			return undefined;
		}

		const file = await resolveTarget(this.#target, name);
		const found = await stat(file).catch(() => undefined);
		return found?.isFile() && found.size !== size && !this.#written.has(file) ? file : undefined;
	}

	#views({downstream}: Host): Download[] {
		return downstream.snapshot.downloads.filter(({id}) => this.#open.has(id));
	}

	#showProgress(host: Host): void {
		const {size: open} = this.#open;
		this.#output.progress({
			open: this.#views(host),
			total: open + this.#closed.size,
			finishedBytes: this.#finishedBytes,
		});
	}

	/** Reports why downloads wait. Returns whether it is time to give up. */
	#look(host: Host, quiet: QuietTime): boolean {
		const views = this.#views(host);
		for (const view of views) {
			const wait = this.#open.get(view.id)!.waits.next(view, Date.now());
			if (wait) {
				this.#output.error(cleanText(`${view.name}: ${wait.words}`));
			}
		}

		// In a running instance, other downloads may hold the queue for any length of time.
		const expected = views.filter(view => !isSettled(view) && !(host.isRemote && view.status === 'queued'));
		return expected.length > 0 && quiet.look(expected, Date.now()) >= this.#settings.giveUpAfter;
	}

	async #exportAll(host: Host, signal: AbortSignal): Promise<void> {
		for await (const {downloads} of snapshotsOf(host.downstream, signal)) {
			refuseIfLost(host);
			for (const item of [...this.#open.values()]) {
				const view = downloads.find(({id}) => id === item.id);
				if (!view) {
					await this.#findAgain(host, item);
				} else if (isSettled(view) && !(await this.#goesOn(host, item, view, signal))) {
					await this.#finish(host, item, view);
				} else if (view.status === 'paused' && (await this.#mustBeThere())) {
					// An earlier run exported the file, which has been edited or deleted since.
					await this.#closeFailed(host, item, view, this.#targetExists());
				} else if (!item.hasPlace && view.size !== null) {
					item.hasPlace = true;
					const inTheWay = await this.#otherFile(view);
					if (inTheWay !== undefined) {
						await this.#closeFailed(host, item, view, this.#targetExists(inTheWay));
					}
				}
			}

			if (this.#open.size === 0) {
				break;
			}
		}
	}

	async #finish(host: Host, item: Item, view: Download): Promise<void> {
		const {id, name, isPageForFile, checksum} = view;
		const {output, overwrite, keepBoth, keep, move, allowHtml} = this.#settings;
		try {
			refuseIncomplete(view);
			const substitute = substituteOf(view)?.words;
			const isOurs = !item.before && !keep && !isNeeded(view);
			// Files of one name in one run are numbered.
			const isTaken = this.#written.has(await resolveTarget(this.#target, name));
			const {path: written} = await host.downstream.export(id, {
				path: this.#target,
				overwrite,
				keepBoth: keepBoth || isTaken || (output === undefined && !overwrite),
				skipIdentical: !isTaken,
				move: move || (isOurs && !item.wasExported),
			});
			this.#written.add(written);
			if (substitute !== undefined) {
				const isFailure = isPageForFile && !allowHtml;
				this.#hasFailed ||= isFailure;
				this.#output.error(`${name} is ${substitute}${isFailure ? '; --allow-html accepts it' : ''}`);
			}

			await this.#close(host, item, view, {status: 'done', path: written, ...sha256Of(checksum)});
		} catch (error) {
			await refuseLost(host, error);
			const known = knownError(error);
			const {code, message} = known;
			// Damaged bytes were found, and are fetched again.
			if (code !== 'incomplete') {
				const hint = code === 'target-exists' ? `; ${existsHint}` : '';
				await this.#closeFailed(host, item, view, new DownStreamError(code, message + hint, known));
			}
		}
	}

	/** In the order of the command line, each byte as soon as it is present. */
	async #streamAll(host: Host, signal: AbortSignal): Promise<void> {
		for (const item of [...this.#open.values()]) {
			const find = () => host.downstream.snapshot.downloads.find(({id}) => id === item.id);
			try {
				await this.#stream(host, item, find, signal);
				// The checksum is compared at the end.
				const done = await until(host.downstream, () => (host.isLost() ? 'lost' : settled(find)), signal);
				if (done === 'lost') {
					throw new HostLost();
				}

				const view = foundOr(done === 'removed' ? undefined : done);
				refuseIncomplete(view);
				await this.#close(host, item, view, {status: 'done'});
			} catch (error) {
				if (signal.aborted) {
					return;
				}

				await refuseLost(host, error);
				await this.#closeFailed(host, item, find(), knownError(error));
			}
		}
	}

	async #stream(
		host: Host,
		item: Item,
		find: () => Download | undefined,
		signal: AbortSignal,
	): Promise<void> {
		for (;;) {
			refuseIfLost(host);
			const view = foundOr(find());
			const {offset, etag} = item.streamed;

			if (isSettled(view) && view.status !== 'complete' && !(await this.#goesOn(host, item, view, signal))) {
				refuseIncomplete(view);
			}

			const response = await openStream(view.streamUrl, {offset, etag, signal}).catch(() => undefined);
			const {statusCode = 0, headers} = response ?? {headers: {}};
			if (offset > 0 && statusCode === 200) {
				response!.destroy();
				throw new DownStreamError('origin-changed', `${view.name} changed while it was streamed`);
			}

			if (response && (statusCode === 200 || statusCode === 206)) {
				item.streamed.etag ??= headers.etag;
				if (await this.#copy(response, item.streamed)) {
					return;
				}
			} else if (statusCode === 416 && offset === find()?.size) {
				response!.resume();
				return;
			} else {
				response?.resume();
			}

			signal.throwIfAborted();
			await sleep(lookMs, undefined, {signal});
		}
	}

	/** Resolves with false if the response was cut. */
	async #copy(response: IncomingMessage, streamed: Item['streamed']): Promise<boolean> {
		try {
			for await (const chunk of response as AsyncIterable<Buffer>) {
				await this.#output.write(chunk);
				streamed.offset += chunk.length;
			}
		} catch {
			return false;
		}

		return response.complete;
	}

	/** Another `get` of the same URL may have exported the file and removed the download. */
	async #findAgain(host: Host, item: Item): Promise<void> {
		this.#open.delete(item.id);
		try {
			const {download} = await host.downstream.add({...item.request, paused: true});
			const again: Item = {...item, id: download.id, before: undefined, wasExported: true};
			if (download.completedAt === null) {
				await this.#leave(host, again, download);
				throw new DownStreamError('not-found', `${download.name}: it was removed from the list`);
			}

			this.#open.set(download.id, again);
		} catch (error) {
			await refuseLost(host, error);
			await this.#closeFailed(host, item, undefined, knownError(error));
		}
	}

	/** Applies `--on-change`; resolves with whether the download continues. */
	async #goesOn(host: Host, item: Item, {id, error}: Download, signal: AbortSignal): Promise<boolean> {
		const {onChange} = this.#settings;
		if (error?.code !== 'origin-changed' || onChange === 'stop' || item.answers === maxAnswers) {
			return false;
		}

		item.answers++;
		while (!signal.aborted) {
			try {
				await (onChange === 'continue' ? host.downstream.acceptChange(id) : host.downstream.startOver(id));
				return true;
			} catch (problem) {
				await refuseLost(host, problem);
				if (!(problem instanceof DownStreamError) || problem.kind !== 'transient') {
					// The error of the download says why.
					return false;
				}

				// Retries during an outage.
				await sleep(retryMs, undefined, {signal}).catch(() => undefined);
			}
		}

		return false;
	}

	async #interrupt(host: Host): Promise<void> {
		const views = this.#views(host);
		const [only, ...others] = views.filter(({present}) => present > 0);
		for (const view of views) {
			const item = this.#open.get(view.id)!;
			await this.#close(host, item, view, {status: 'interrupted'}).catch(() => undefined);
		}

		if (only) {
			const {present, size} = only;
			const kept =
				others.length > 0
					? `${formatBytes([only, ...others].reduce((sum, view) => sum + view.present, 0))} of ${others.length + 1} files`
					: size === null
						? formatBytes(present)
						: formatPercent(present, size);
			this.#output.error(`kept ${kept}; the same command resumes`);
		}
	}

	async #closeFailed(
		host: Host,
		item: Item,
		view: Download | undefined,
		error: DownStreamError,
	): Promise<void> {
		const {code, message} = error;
		this.#fail(withHint(error));
		await this.#close(host, item, view, {status: 'failed', error: {code, message}});
	}

	/** Reports last: if the instance ends before, another host repeats the whole step. */
	async #close(host: Host, item: Item, view: Download | undefined, result: Result): Promise<void> {
		if (view) {
			await this.#leave(host, item, view, result.status).catch(async (error: unknown) => {
				await refuseLost(host, error);
				this.#output.error(withHint(knownError(error)));
			});
		}

		this.#open.delete(item.id);
		this.#closed.add(item.id);
		if (![...this.#open.values()].some(({word}) => word === item.word)) {
			this.#words.delete(item.word);
		}

		const {url, item: page = null, present = 0} = view ?? {url: item.request.url};
		if (result.status === 'done') {
			this.#finishedBytes += present;
			if (result.path !== undefined && !this.#settings.json) {
				this.#output.result(result.path);
			}
		}

		this.#report({url: maskUrl(page ?? url), path: null, bytes: present, ...result});
	}

	/** Removes a download of this run from the list, or restores its state of before. */
	async #leave(host: Host, item: Item, view: Download, status?: Result['status']): Promise<void> {
		const {downstream} = host;
		const {id, before} = item;
		if (!before) {
			if (!this.#settings.keep && !(status === 'done' && isNeeded(view))) {
				// The bytes stay for the next run with this URL.
				const isEmpty = view.present === 0 && status !== 'done';
				const isStreamed = status === 'done' && this.#settings.output === '-' && !item.wasExported;
				await downstream.remove(id, isEmpty || isStreamed ? {data: 'delete', undoMs: 0} : {data: 'keep'});
			}
		} else if (status === 'interrupted' && host.isRemote) {
			if (before.onDemand) {
				await downstream.update(id, {onDemand: true});
			}

			if (before.status === 'paused' || before.status === 'failed') {
				await downstream.pause(id);
			} else if (before.status === 'cancelled') {
				await downstream.cancel(id);
			}
		}
	}

	#fail(message: string): void {
		this.#hasFailed = true;
		this.#output.error(message);
	}

	#report(file: FileReport): void {
		if (this.#settings.json) {
			this.#output.result(safeJson(file));
		}
	}
}

type Result =
	| {readonly status: 'done'; readonly path?: string; readonly sha256?: string}
	| {readonly status: 'failed'; readonly error: Pick<DownloadError, 'code' | 'message'>}
	| {readonly status: 'interrupted'};

/** A line of `--json`. */
type FileReport = {
	/** Without secrets; null for a curl command that could not be read. */
	readonly url: string | null;
	readonly status: Result['status'];
	readonly path: string | null;
	/** Bytes on the disk. */
	readonly bytes: number;
	/** Present if it was checked. */
	readonly sha256?: string;
	readonly error?: {readonly code: ErrorCode; readonly message: string};
};

function sha256Of(checksum: string | null): {sha256?: string} {
	return checksum?.startsWith('sha256:') ? {sha256: checksum.slice('sha256:'.length)} : {};
}

/** A player or a planned export still uses the download. */
function isNeeded({players, exportWhenComplete}: Download): boolean {
	return players.some(({connected}) => connected) || exportWhenComplete !== null;
}

function foundOr(view: Download | undefined): Download {
	if (!view) {
		throw new DownStreamError('not-found', 'The download was removed from the list');
	}

	return view;
}

/** Undefined while it continues. */
function settled(find: () => Download | undefined): Download | 'removed' | undefined {
	const view = find();
	return !view ? 'removed' : isSettled(view) ? view : undefined;
}

function refuseIncomplete({status, error, name}: Download): void {
	if (status !== 'complete') {
		throw new DownStreamError(
			error?.code ?? 'not-found',
			`${name}: ${error?.message ?? status}`,
			error ?? {},
		);
	}
}

function refuseIfLost(host: Host): void {
	if (host.isLost()) {
		throw new HostLost();
	}
}

/** Rejects with `HostLost` if the end of the instance caused `error`. */
async function refuseLost(host: Host, error: unknown): Promise<void> {
	if (host.isRemote && error instanceof DownStreamError && error.code === 'not-found') {
		await sleep(endShowsMs);
	}

	refuseIfLost(host);
}

function knownError(error: unknown): DownStreamError {
	if (error instanceof DownStreamError) {
		return error;
	}

	throw error;
}

async function openStream(
	url: string,
	{offset, etag, signal}: {offset: number; etag: string | undefined; signal: AbortSignal},
): Promise<IncomingMessage> {
	const range = {range: `bytes=${offset}-`, ...(etag !== undefined && {'if-range': etag})};
	const headers = {'user-agent': 'downstream-tui get', ...(offset > 0 && range)};
	const request = httpGet(url, {agent: false, signal, headers});
	const [response] = (await once(request, 'response')) as [IncomingMessage];
	return response;
}

/** Checks the target before anything is fetched. */
async function checkedTarget({output, exportDir, json}: Settings, count: number): Promise<string> {
	if (output === undefined) {
		return exportDir + path.sep;
	}

	if (output === '-') {
		const problem = process.stdout.isTTY
			? 'it is a terminal; redirect it, or name a file'
			: json
				? '--json writes there too'
				: undefined;
		if (problem !== undefined) {
			throw new DownStreamError('bad-request', `-o -: standard output cannot take the file: ${problem}`);
		}

		return output;
	}

	const target = await resolveTarget(output, '').catch((error: unknown) => {
		throw error instanceof DownStreamError && error.code === 'bad-request'
			? new DownStreamError('bad-request', `-o ${output}: ${error.message}`)
			: error;
	});
	const found = await stat(target).catch(() => undefined);
	if (count > 1 && !found?.isDirectory()) {
		throw new DownStreamError('bad-request', `-o ${output}: with several URLs it must be a folder`);
	}

	return target;
}
