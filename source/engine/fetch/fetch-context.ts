// The state that the parts of the scheduler share: the download, its source, and the traits of its responses.
import type {DataSource} from '../origin/data-source.ts';
import type {Range} from '../store/range-set.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {RecordFile} from '../store/record-store.ts';
import type {SparseFile} from '../store/sparse-file.ts';
import {Bandwidth} from './bandwidth.ts';
import type {FetchState, FetchTarget, FetchServices} from './fetch-target.ts';
import type {Host} from './host-limits.ts';
import {Segments, type Segment} from './segments.ts';
import {withoutMisstatedSize} from './stated-size.ts';

/**
 * Silence on a further connection is a refusal after `factor` times the slowest response, but not before `minMs`.
 */
const silenceBeside = {factor: 4, minMs: 5000};

/** Reset with another source or another version of the file. */
export class ResponseTraits {
	/** Number of connections that reach a sufficient rate, by the rates measured so far. */
	connectionTarget = 1;
	/** A response lacked the strong ETag of the cached bytes. */
	lacksEtag = false;
	/** A second response lacked it. */
	missesEtag = false;
	/** Place of the first response, after redirects. */
	place: string | undefined;
	/** Consecutive responses with the whole file. */
	wholeResponses = 0;
	/** The origin sent the whole file but advertises ranges: perhaps a cache missed. */
	mayAcceptRanges = false;
	/** The origin refused a sample beside an open response. */
	refusesSamples = false;
	/** Milliseconds; 0 before the first response. */
	slowestResponse = 0;
	/** Bytes per second of the connection that ended last after a second or more; Infinity before. */
	sustainedRate = Infinity;
	/** End of a part that ended early while the size is unknown: a request from there proves the end of the file. */
	partsEnd: number | undefined;
	/** End of a body without a length. A second body with this end proves the end of the file. */
	unprovenEnd: number | undefined;
	/** Parts state their own end as the size of the file. */
	misstatesSize = false;
}

export class FetchContext {
	readonly target: FetchTarget;
	readonly services: FetchServices;
	/** Requests a pass of the scheduler. */
	readonly wake: () => void;
	readonly segments: Segments;
	/** The download's own rate limit within the shared one. */
	readonly bandwidth: Bandwidth;
	source: DataSource;
	/** The host of the source. */
	host: Host;
	traits = new ResponseTraits();
	/** The source has sent bytes of the file in this run. */
	hasWorked = false;
	/** Bytes per second of the connection measured last. */
	lastRate = 0;

	constructor(target: FetchTarget, source: DataSource, services: FetchServices, wake: () => void) {
		this.target = target;
		this.source = source;
		this.services = services;
		this.host = services.hosts.of(source.url);
		this.wake = wake;
		this.bandwidth = new Bandwidth(this.record.limitRate, services.bandwidth);
		this.segments = new Segments(segment => this.host.closed(segment));
	}

	get state(): FetchState {
		return this.target.state;
	}

	get recordFile(): RecordFile {
		return this.state.recordFile;
	}

	get record(): DownloadRecord {
		return this.recordFile.record;
	}

	get file(): SparseFile {
		return this.state.file;
	}

	get acceptsRanges(): boolean {
		return this.record.acceptsRanges !== false || this.traits.mayAcceptRanges;
	}

	/** A strong ETag identifies the version. */
	get isNamed(): boolean {
		const {validator, hasUnstableValidator = false} = this.record;
		return validator?.etag !== undefined && !this.traits.lacksEtag && !hasUnstableValidator;
	}

	get runsInBackground(): boolean {
		return this.state.places.background && !this.record.onDemand;
	}

	/** Ranges of pledges are missing, and may be requested. */
	get servesPledges(): boolean {
		return this.state.places.pledges && this.target.pledges.isPending;
	}

	/** Bytes per second of the fastest connection over a second or more; Infinity while unknown. */
	get sustainedRate(): number {
		const rates = [...this.segments].flatMap(({sustainedRate}) => sustainedRate ?? []);
		return rates.length > 0 ? Math.max(...rates) : this.traits.sustainedRate;
	}

	/** Ranges to fetch before the background: an index of a film, and pledges. */
	get pledged(): readonly Range[] {
		const {target, state} = this;
		const index = state.wantedIndex ? [state.wantedIndex] : [];
		return state.places.pledges ? [...index, ...target.pledges.ranges] : [];
	}

	/**
	 * Samples precede requests, since the origin may refuse a second request beside the first. A change between the two
	 * goes unnoticed.
	 */
	get samplesFirst(): boolean {
		return this.traits.refusesSamples || this.state.maxConnections === 1 || this.host.isLimited;
	}

	/** Milliseconds. */
	get responseTimeout(): number {
		return this.state.retries.responseTimeout(this.services.responseTimeout);
	}

	/** Milliseconds for a response on a further connection. */
	get timeoutBeside(): number {
		return Math.max(silenceBeside.minMs, silenceBeside.factor * this.traits.slowestResponse);
	}

	othersWork(segment: Segment): boolean {
		return [...this.segments].some(other => other !== segment && other.isAnswered);
	}

	/** The source for samples: with the current timeout, and without sizes that its parts misstate. */
	sampled(source = this.source, responseTimeout = () => this.responseTimeout): DataSource {
		return {
			url: source.url,
			open: async request => {
				const response = await source.open({responseTimeout: responseTimeout(), ...request});
				return this.traits.misstatesSize ? withoutMisstatedSize(response, request.range) : response;
			},
			closeIdle: () => source.closeIdle?.(),
			dispose: () => source.dispose(),
		};
	}

	/** The same beside an open response: the host may not answer a further request. */
	get sampledBeside(): DataSource {
		const timeout = Math.min(this.responseTimeout, this.timeoutBeside);
		return this.sampled(this.source, () => timeout);
	}
}
