// The options of a request to an origin, and the traits that earlier requests revealed.
import type {DigestLogin} from './digest-login.ts';
import type {HttpClient} from '../http/client.ts';
import type {Range} from '../store/range-set.ts';

/** Traits of an origin, learned from earlier requests of its data source. */
export type OriginTraits = {
	/** It has sent a part that does not start at 0. */
	givesParts?: boolean;
	/** It has responded to a Range with bytes of the file, possibly all of them. */
	servesRanges?: boolean;
	/** It has sent a part that does not state the size of the file. */
	hidesSize?: boolean;
	/** Its last response to a request with Range did not arrive in time: the next request goes without. */
	ignoresRange?: boolean;
	/** It declares a Content-Encoding that its bytes do not have. */
	mislabels?: boolean;
	/** When it refused or truncated the whole file as well as a part, in milliseconds of `performance.now()`. */
	refusedWholeAt?: number;
};

export type OriginRequestOptions = {
	/** The user's URL. Every attempt starts from it, never from a redirect's target. */
	readonly url: URL;
	/** For the origin (scheme, host, port) of `url` only. */
	readonly headers: Readonly<Record<string, string>>;
	/** For the origin of `url` only. Replaces `authorization` once that origin has sent a Digest challenge. */
	readonly login?: DigestLogin | undefined;
	/** Updated by the request. */
	readonly traits?: OriginTraits;
	readonly userAgent: string;
	/** How to reach a URL, and whether directly or through a proxy that may resolve names itself. */
	readonly route: (url: URL) => {client: Promise<HttpClient>; isDirect: boolean};
	readonly range: Range;
	/** Whether to send a Range header. */
	readonly ranged: boolean;
	readonly isBackground?: (() => boolean) | undefined;
	readonly connected?: (() => void) | undefined;
	readonly responseTimeout?: number | undefined;
	readonly isOwnStream?: ((url: URL) => boolean) | undefined;
	readonly signal: AbortSignal;
};

export type RequestOptions = OriginRequestOptions & {
	readonly traits: OriginTraits;
	/** A request with Range has failed, perhaps for another reason. */
	readonly mayAcceptRanges?: boolean;
};
