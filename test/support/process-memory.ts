// Memory of a process, from /proc: Linux alone.
import {readFileSync} from 'node:fs';

/** Bytes of memory that the process has had at most. */
export function peakMemory(pid: number): number {
	return statusBytes(pid, 'VmHWM');
}

/** Bytes of memory that the process has. */
export function memory(pid: number): number {
	return statusBytes(pid, 'VmRSS');
}

function statusBytes(pid: number, field: string): number {
	const [, kibibytes] = new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(
		readFileSync(`/proc/${pid}/status`, 'utf8'),
	) ?? [0, NaN];
	return Number(kibibytes) * 1024;
}
