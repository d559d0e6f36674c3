// The downloads of one run: the open ones, and the result of each.
import {DownStreamError, isSettled, type Download, type DownloadId} from '../../../downstream.ts';
import {cleanText} from '../../../text/clean-text.ts';
import {safeJson} from '../../../text/escape-controls.ts';
import {withHint} from '../../../text/hints.ts';
import {substituteOf} from '../../../text/status-words.ts';
import {maskUrl} from '../../../text/mask-url.ts';
import {behindPledge, type QuietTime} from '../../output/patience.ts';
import type {Settings} from '../../settings.ts';
import {refuseLost, type Host} from './host.ts';
import type {Item} from './item.ts';
import {leave} from './leave.ts';
import type {FileReport, GetOutput, Result} from './report.ts';

export class GetRun {
	/** Absolute, or a folder with a separator at the end, or `-` for standard output. */
	readonly target: string;
	readonly settings: Settings;
	readonly output: GetOutput;
	readonly signal: AbortSignal;
	/** Operands with an unfinished download, or not added yet. */
	readonly words: Set<string>;
	readonly open = new Map<DownloadId, Item>();
	readonly closed = new Set<DownloadId>();
	/** Paths of the files that this run has written. */
	readonly written = new Set<string>();
	/** Operands sent to a host. */
	readonly attempted = new Set<string>();
	readonly startedAt = Date.now();
	readonly isSeveral: boolean;
	hasFailed = false;
	#finishedBytes = 0;

	constructor(
		words: readonly string[],
		target: string,
		{settings, output, signal}: {settings: Settings; output: GetOutput; signal: AbortSignal},
	) {
		this.words = new Set(words);
		this.isSeveral = words.length > 1;
		this.target = target;
		this.settings = settings;
		this.output = output;
		this.signal = signal;
	}

	views({downstream}: Host): Download[] {
		return downstream.snapshot.downloads.filter(({id}) => this.open.has(id));
	}

	showProgress(host: Host): void {
		this.output.progress({
			open: this.views(host),
			total: this.open.size + this.closed.size,
			finishedBytes: this.#finishedBytes,
		});
	}

	/** Reports why downloads wait. Returns whether it is time to give up. */
	isStuck(host: Host, quiet: QuietTime): boolean {
		const views = this.views(host);
		for (const view of views) {
			const wait = this.open.get(view.id)!.waits.next(view, Date.now());
			if (wait) {
				const behind =
					wait.reason === 'queued' ? behindPledge(view, host.downstream.snapshot.downloads) : undefined;
				this.output.error(cleanText(`${view.name}: ${behind ?? wait.words}`));
			}
		}

		// In a running instance, other downloads may hold the queue for any length of time.
		const expected = views.filter(view => !isSettled(view) && !(host.isRemote && view.status === 'queued'));
		return expected.length > 0 && quiet.look(expected, Date.now()) >= this.settings.giveUpAfter;
	}

	async closeFailed(
		host: Host,
		item: Item,
		view: Download | undefined,
		error: DownStreamError,
	): Promise<void> {
		const {code, message} = error;
		this.fail(withHint(error));
		await this.close(host, item, view, {status: 'failed', error: {code, message}});
	}

	/** Reports last: if the instance ends before, another host repeats the whole step. */
	async close(host: Host, item: Item, view: Download | undefined, result: Result): Promise<void> {
		if (view) {
			await leave(this.settings, host, item, view, result.status).catch(async (error: unknown) => {
				await refuseLost(host, error);
				this.output.error(withHint(knownError(error)));
			});
		}

		this.open.delete(item.id);
		this.closed.add(item.id);
		if (![...this.open.values()].some(({word}) => word === item.word)) {
			this.words.delete(item.word);
		}

		const {url, item: page = null, present = 0} = view ?? {url: item.request.url};
		if (result.status === 'done') {
			this.#finishedBytes += present;
			if (result.path !== undefined && !this.settings.json) {
				this.output.result(result.path);
			}
		}

		this.report({url: maskUrl(page ?? url), path: null, bytes: present, ...result});
	}

	fail(message: string): void {
		this.hasFailed = true;
		this.output.error(message);
	}

	report(file: FileReport): void {
		if (this.settings.json) {
			this.output.result(safeJson(file));
		}
	}
}

/** Rethrows any other error. */
export function knownError(error: unknown): DownStreamError {
	if (error instanceof DownStreamError) {
		return error;
	}

	throw error;
}

/** The sentence about a web page in place of the file; undefined for the file, or with `--allow-html`. */
export function pageProblem(view: Download, {allowHtml}: Settings): string | undefined {
	return view.isPageForFile && !allowHtml
		? `${cleanText(view.name)} is ${substituteOf(view)!.words}; the link may have expired or need a login (--header, --netrc); --allow-html accepts it`
		: undefined;
}

/** Throws `origin-sent-page`. */
export function refusePage(view: Download, settings: Settings): void {
	const problem = pageProblem(view, settings);
	if (problem !== undefined) {
		throw new DownStreamError('origin-sent-page', problem);
	}
}

export function refuseIncomplete({status, error, name}: Download): void {
	if (status !== 'complete') {
		throw new DownStreamError(
			error?.code ?? 'not-found',
			`${name}: ${error?.message ?? status}`,
			error ?? {},
		);
	}
}
