// Parses transfer rates.
import bytes from 'bytes';
import {rate} from '../schema.ts';

/**
 * Parses `500K`, `5M`, `1.5MiB/s` into bytes per second, in units of 1024 as curl does. `0` means no limit
 * (Infinity). Returns undefined if the text is not a rate, or is below 1024.
 */
export function parseRate(text: string): number | undefined {
	const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?(?:\/s)?\s*$/i.exec(text) ?? [];
	const perSecond = amount === undefined ? null : bytes.parse(`${amount}${unit}b`);
	if (perSecond === null || (perSecond > 0 && perSecond < rate.min)) {
		return undefined;
	}

	return perSecond === 0 ? Infinity : perSecond;
}
