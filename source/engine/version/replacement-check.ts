// Checks another source for the file, or a changed file that the user accepts, before the download adopts it.
import type {OriginResponse} from '../origin/data-source.ts';
import {originChanged, suspicionOf, differingBytes} from './version-labels.ts';
import type {Validator} from '../store/record.ts';
import {closeResponse, firstByte, provenSamplesOf, responseMatches, samplesOf} from './cached-samples.ts';
import {agreeingResponses, refusePage, type Comparison} from './version-check.ts';
import {DownStreamError} from '../../downstream.ts';

/** Samples between the ends of the cached bytes. */
const sampleCounts = {replacement: 1, acceptance: 32};

/**
 * Resolves with the current validator of the file if 32 samples and both ends of the cached bytes match it, and whether
 * its labels identify no version: they flip, or those of the samples are as before. Rejects with `origin-changed` if not, or with the errors of the source.
 */
export async function verifyAcceptance(
	comparison: Comparison,
): Promise<{readonly validator: Validator; readonly isUnstable: boolean}> {
	const {file, cached} = comparison;
	let first: Validator | undefined;
	let isUnstable = false;
	let isNew = false;
	const samples = await provenSamplesOf(file, present => samplesOf(present, sampleCounts.acceptance));
	for await (const [response, isCompared] of agreeingResponses(comparison, samples)) {
		if (!isCompared || (!response.acceptsRanges && samples.length > 1)) {
			throw originChanged('the server sends no parts to compare');
		}

		first ??= response.validator;
		isUnstable ||= suspicionOf({...cached, validator: first, isUnstable: false}, response) !== undefined;
		isNew ||= suspicionOf({...cached, isUnstable: false}, response) !== undefined;
	}

	// Without a new label, the change was one of other parts of the file, or of bytes behind the same label.
	return {validator: first ?? {}, isUnstable: isUnstable || !isNew};
}

/**
 * Resolves with the response of a candidate for the source if its size and samples of the cached bytes match. Without
 * cached bytes, any file matches. Rejects with `origin-changed`, or with the errors of the source.
 */
export async function verifyReplacement({file, source, cached, signal}: Comparison): Promise<OriginResponse> {
	const [first = firstByte, ...others] = await provenSamplesOf(file, present =>
		samplesOf(present, sampleCounts.replacement),
	);
	const candidate = await source.open({range: first, ranged: true, signal});
	const {info, acceptsRanges} = candidate;
	const hasCached = file.present.size > 0;
	if (hasCached) {
		await refusePage(cached, candidate, source);
	}

	if (hasCached && (cached.size === Infinity ? info.size < cached.minSize : cached.size !== info.size)) {
		await closeResponse(candidate);
		const size = info.size === Infinity ? 'does not say its size' : `has ${info.size} bytes`;
		throw otherFile(
			`it ${size}, and this one has ${cached.size === Infinity ? `at least ${cached.minSize}` : cached.size}`,
		);
	}

	if (!hasCached) {
		await closeResponse(candidate);
		return candidate;
	}

	// Equal ETags prove nothing: they name versions of one URL (RFC 9110 section 8.8.3). A candidate without ranges is
	// compared byte by byte as it is read again.
	for (const range of acceptsRanges ? [first, ...others] : [first]) {
		const response = range === first ? candidate : await source.open({range, ranged: true, signal});
		if (!(await responseMatches(file, range, response))) {
			throw otherFile(differingBytes);
		}
	}

	return candidate;
}

function otherFile(difference: string): DownStreamError {
	return new DownStreamError(
		'origin-changed',
		`The new URL leads to another file (${difference}); nothing was changed`,
	);
}
