// Rates as people write them.
import bytes from 'bytes';
import {rate} from '../schema.ts';

/** `500K`, `5M`, `1.5MiB/s`: bytes per second in units of 1024, as curl has them; `0` is no limit (Infinity). */
export function parseRate(text: string): number | undefined {
	const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?(?:\/s)?\s*$/i.exec(text) ?? [];
	const perSecond = amount === undefined ? null : bytes.parse(`${amount}${unit}b`);
	if (perSecond === null || (perSecond > 0 && perSecond < rate.min)) {
		return undefined;
	}

	return perSecond === 0 ? Infinity : perSecond;
}
