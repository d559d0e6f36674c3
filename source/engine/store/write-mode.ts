// Whether a disk takes at once what is written: then the copy into the system's memory costs less than waking another
// thread for it, and being woken by that.
import {statfs} from 'node:fs/promises';

/** Of its time, the program may spend so much on waiting for the disk, and at once so many milliseconds of it. */
const maxWait = {share: 0.1, atOnce: 100};
/** Milliseconds. What takes longer than a write of what the disk's cache has room for has waited. */
const slowWriteMs = 5;
/** Of Linux's `statfs`: file systems whose writes wait for another computer, or for another program. */
const remote = new Set([
	0x69_69 /* NFS */, 0xff_53_4d_42 /* CIFS */, 0xfe_53_4d_42 /* SMB 2 */, 0x51_7b /* SMB */,
	0x65_73_55_46 /* FUSE */, 0x01_02_19_97 /* 9P */, 0x00_c3_64_00 /* Ceph */, 0x0b_d0_0b_d0 /* Lustre */,
	0x53_46_41_4f /* AFS */, 0x78_6f_42_56 /* VirtualBox */,
]);

export class WriteMode {
	/** Milliseconds of waiting that are not made up for yet, and when that was in those of `performance.now()`. */
	#waited: number;
	#then = 0;

	/** Of the disk that the file is on. Rejects with the system's error. */
	static async of(path: string): Promise<WriteMode> {
		const {type} = await statfs(path);
		return new WriteMode(remote.has(type));
	}

	constructor(isRemote: boolean) {
		this.#waited = isRemote ? Infinity : 0;
	}

	/** Whether the next write may be waited for by the whole program. */
	canBlock(now: number): boolean {
		this.#waited = Math.max(0, this.#waited - (now - this.#then) * maxWait.share);
		this.#then = now;
		return this.#waited < maxWait.atOnce;
	}

	/** Such a write took from then until now. */
	recordWait(from: number, now: number): void {
		if (now - from > slowWriteMs) {
			this.#waited += now - from;
		}
	}
}
