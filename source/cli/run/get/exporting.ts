// Exports each file of a run as soon as it is complete.
import {byId, DownStreamError, isSettled, type Download} from '../../../downstream.ts';
import {resolveTarget} from '../../../engine/store/export-target.ts';
import {cleanText} from '../../../text/clean-text.ts';
import {substituteOf} from '../../../text/status-words.ts';
import {snapshotsOf} from '../../../wait.ts';
import {sha256OfFile} from '../../hash-file.ts';
import {findAgain} from './adding.ts';
import {answerChange} from './changes.ts';
import {knownError, refuseIncomplete, refusePage, type GetRun} from './get-run.ts';
import {refuseIfLost, refuseLost, type Host} from './host.ts';
import type {Item} from './item.ts';
import {isNeeded} from './leave.ts';
import {existsHint, isTaken, otherFile, targetExists} from './target.ts';

/** Resolves when no download is open, or when the signal aborts. */
export async function exportAll(run: GetRun, host: Host, signal: AbortSignal): Promise<void> {
	for await (const {downloads} of snapshotsOf(host.downstream, signal)) {
		refuseIfLost(host);
		for (const item of [...run.open.values()]) {
			const view = byId(downloads, item.id);
			if (!view) {
				await findAgain(run, host, item);
			} else if (isSettled(view) && !(await answerChange(run.settings, host, item, view, signal))) {
				await finish(run, host, item, view);
			} else if (view.status === 'paused' && (await isTaken(run.target, run.settings))) {
				// An earlier run exported the file, which has been edited or deleted since.
				await run.closeFailed(host, item, view, targetExists(run.target));
			} else if (!item.hasPlace && view.size !== null) {
				item.hasPlace = true;
				const inTheWay = await otherFile(run.target, run.settings, view, run.written);
				if (inTheWay !== undefined) {
					await run.closeFailed(host, item, view, targetExists(inTheWay));
				}
			}
		}

		if (run.open.size === 0) {
			break;
		}
	}
}

async function finish(run: GetRun, host: Host, item: Item, view: Download): Promise<void> {
	const {id, name, checksum} = view;
	const {output, overwrite, keepBoth, keep, move} = run.settings;
	try {
		refuseIncomplete(view);
		refusePage(view, run.settings);
		const substitute = substituteOf(view)?.words;
		const isOurs = !item.before && !keep && !isNeeded(view);
		// Files of one name in one run are numbered.
		const isNameTaken = run.written.has(await resolveTarget(run.target, name));
		const {path: written} = await host.downstream.export(id, {
			path: run.target,
			overwrite,
			keepBoth: keepBoth || isNameTaken || (output === undefined && !overwrite),
			skipIdentical: !isNameTaken,
			move: move || (isOurs && !item.wasExported),
		});
		run.written.add(written);
		if (substitute !== undefined) {
			run.output.error(`${cleanText(name)} is ${substitute}`);
		}

		const sha256 = run.settings.json ? {sha256: await sha256Of(written, checksum)} : {};
		await run.close(host, item, view, {status: 'done', path: written, ...sha256});
	} catch (error) {
		await refuseLost(host, error);
		const known = knownError(error);
		const {code, message} = known;
		// Damaged bytes were found, and are fetched again. A download that another run has removed is found again.
		if (code !== 'incomplete' && code !== 'not-found') {
			const hint = code === 'target-exists' ? `; ${existsHint}` : '';
			await run.closeFailed(host, item, view, new DownStreamError(code, message + hint, known));
		}
	}
}

/** The hash in hexadecimal, of the verified checksum if there is one. */
async function sha256Of(file: string, checksum: string | null): Promise<string> {
	if (checksum?.startsWith('sha256:')) {
		return checksum.slice('sha256:'.length);
	}

	return sha256OfFile(file);
}
