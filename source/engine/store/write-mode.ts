// Decides between blocking and asynchronous writes. While the disk accepts data at once, copying it to the system's
// cache costs less than a round trip to another thread.
import {statfs} from 'node:fs/promises';

/** The part of the run time that may be spent blocked on the disk, and the limit for a burst in milliseconds. */
const maxWait = {share: 0.1, burst: 100};
/** Milliseconds. A write that takes longer than this did not fit into the disk's cache. */
const slowWriteMs = 5;
/** `statfs` types on Linux of file systems whose writes wait for another computer or program. */
const remote = new Set([
	0x69_69 /* NFS */, 0xff_53_4d_42 /* CIFS */, 0xfe_53_4d_42 /* SMB 2 */, 0x51_7b /* SMB */,
	0x65_73_55_46 /* FUSE */, 0x01_02_19_97 /* 9P */, 0x00_c3_64_00 /* Ceph */, 0x0b_d0_0b_d0 /* Lustre */,
	0x53_46_41_4f /* AFS */, 0x78_6f_42_56 /* VirtualBox */,
]);

export class WriteMode {
	/** Milliseconds blocked that are not yet paid off, and when that was computed, by `performance.now()`. */
	#waitDebt: number;
	#updatedAt = 0;

	/** Detects the disk that holds the file. Rejects with the system's error. */
	static async of(path: string): Promise<WriteMode> {
		const {type} = await statfs(path);
		return new WriteMode(remote.has(type));
	}

	constructor(isRemote: boolean) {
		this.#waitDebt = isRemote ? Infinity : 0;
	}

	/** True if the next write may block the process. */
	canBlock(now: number): boolean {
		this.#waitDebt = Math.max(0, this.#waitDebt - (now - this.#updatedAt) * maxWait.share);
		this.#updatedAt = now;
		return this.#waitDebt < maxWait.burst;
	}

	/** Records the duration of a blocking write. */
	recordWait(from: number, now: number): void {
		if (now - from > slowWriteMs) {
			this.#waitDebt += now - from;
		}
	}
}
