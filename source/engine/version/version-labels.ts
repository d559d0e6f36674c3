// Compares the size and the labels (ETag, date) of a response with those of the cached version. Pure.
import type {Validator} from '../store/record.ts';
import {DownStreamError} from '../../downstream.ts';
import {formatBytes} from '../../text/format.ts';
import type {OriginResponse} from '../origin/data-source.ts';

export const differingBytes = 'its bytes differ from the downloaded ones';

export type CachedVersion = {
	/** MIME type; undefined while unknown. */
	readonly type: string | undefined;
	/** Bytes; Infinity while unknown. */
	readonly size: number;
	/** Bytes; where the size is unknown, the end of the last cached byte. */
	readonly minSize: number;
	readonly validator: Validator;
	/** The validator was proven to identify no version: only size and bytes count. */
	readonly isUnstable: boolean;
};

type LabelName = 'ETag' | 'date';

/** Weak comparison of ETags (RFC 9110 section 8.8.3.2). */
export const labels: Readonly<Record<LabelName, (validator: Validator) => string | undefined>> = {
	ETag: ({etag, weakEtag}) => etag ?? weakEtag?.replace(/^W\//, ''),
	date: ({lastModified}) => lastModified,
};

/** A label that differs although the size is the same. It proves a change only if the new value stays. */
export type Suspicion = {
	readonly label: LabelName;
	readonly was: string;
	readonly is: string;
	/** The offset where the response began. */
	readonly at: number;
};

/** Bytes. A shorter response in place of a longer file may be a refusal in words. */
const longestRefusal = 4096;

/** A whole response of another size that is too short to prove another version of the file. */
export class ShortResponse extends DownStreamError {
	readonly bytes: number;

	constructor(change: string, bytes: number) {
		super('origin-changed', changeMessage(change));
		this.bytes = bytes;
	}
}

/** Throws `origin-changed` if the size contradicts the cached version. */
export function refuseOtherSize(cached: CachedVersion, response: OriginResponse): void {
	const change = sizeChange(cached, response);
	if (change !== undefined) {
		const {info, acceptsRanges} = response;
		throw !acceptsRanges && info.size < longestRefusal
			? new ShortResponse(change, info.size)
			: originChanged(change);
	}
}

/** Describes how the size contradicts the cached version; undefined if it does not. */
export function sizeChange(cached: CachedVersion, {info}: OriginResponse): string | undefined {
	if (cached.size !== Infinity && info.size !== Infinity && info.size !== cached.size) {
		return hadAndHas(cached.size, info.size);
	}

	return info.size < cached.minSize ? hadAndHas(cached.minSize, info.size, 'at least ') : undefined;
}

/** In bytes if the sizes are too close for larger units. */
function hadAndHas(before: number, now: number, least = ''): string {
	const [had, has] = [formatBytes(before), formatBytes(now)];
	return had === has
		? `it had ${least}${before} bytes and has ${now} now`
		: `it had ${least}${had} and has ${has} now`;
}

/** Equal strong ETags suffice; otherwise every label that both have must be equal (RFC 9110 section 8.8). */
export function suspicionOf(
	cached: CachedVersion,
	{validator, range}: OriginResponse,
): Suspicion | undefined {
	if (cached.isUnstable) {
		return undefined;
	}

	const areStrong = cached.validator.etag !== undefined && validator.etag !== undefined;
	for (const label of areStrong ? (['ETag'] as const) : (['ETag', 'date'] as const)) {
		const was = labels[label](cached.validator);
		const is = labels[label](validator);
		if (was !== undefined && is !== undefined && was !== is) {
			return {label, was, is, at: range.start};
		}
	}

	return undefined;
}

export function isChange(error: unknown): boolean {
	return error instanceof DownStreamError && error.code === 'origin-changed';
}

/** The error for a response whose bytes differ. */
export function bytesChanged(cached: CachedVersion, response: OriginResponse): DownStreamError {
	return originChanged(differingBytes, {suspicion: suspicionOf(cached, response)});
}

/** The error for a label with a new value. `bytesAgree`: samples of the cached bytes match the origin's. */
export function labelChanged(suspicion: Suspicion, bytesAgree: boolean): DownStreamError {
	const isNew = `its ${suspicion.label} is new`;
	return originChanged(bytesAgree ? `${isNew}, but samples of the bytes agree` : isNew, {
		suspicion,
		bytesAgree,
	});
}

export function originChanged(
	change: string,
	{
		suspicion,
		bytesAgree = false,
	}: {readonly suspicion?: Suspicion | undefined; readonly bytesAgree?: boolean} = {},
): DownStreamError {
	return new DownStreamError('origin-changed', changeMessage(change, suspicion), {bytesAgree});
}

/** The values of a label are long and say little: they are last. */
function changeMessage(change: string, suspicion?: Suspicion): string {
	const labels = suspicion ? ` (its ${suspicion.label} was ${suspicion.was} and is ${suspicion.is} now)` : '';
	return `The file changed on the server: ${change}; the downloaded bytes are kept${labels}`;
}
