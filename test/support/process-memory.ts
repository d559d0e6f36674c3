// Memory of a process, from /proc (Linux only).
import {readFileSync} from 'node:fs';

/** Peak resident memory of the process in bytes. */
export function peakMemory(pid: number): number {
	return statusBytes(pid, 'VmHWM');
}

/** Resident memory of the process in bytes. */
export function memory(pid: number): number {
	return statusBytes(pid, 'VmRSS');
}

function statusBytes(pid: number, field: string): number {
	const [, kibibytes] = new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(
		readFileSync(`/proc/${pid}/status`, 'utf8'),
	) ?? [0, NaN];
	return Number(kibibytes) * 1024;
}
