// The exit codes of the program; the help lists them.
import type {ErrorCode} from '../../downstream.ts';
import type {Outcome} from './patience.ts';

export const interrupted = 130;
/** EX_SOFTWARE of sysexits.h. */
export const crashed = 70;

const outcomes: Readonly<Record<Outcome, number>> = {done: 0, failed: 1, 'gave-up': 76};
const errors: Partial<Record<ErrorCode, number>> = {'bad-request': 2, 'port-taken': 69, 'storage-locked': 75};

export function exitCodeOf(code: ErrorCode): number {
	return errors[code] ?? 1;
}

/** Of a command that has ended, by itself or because the signal aborted. */
export function endCodeOf(outcome: Outcome, {aborted}: AbortSignal): number {
	return aborted ? interrupted : outcomes[outcome];
}
