// The list after a run: its own downloads leave it, others return to their earlier state.
import type {Download} from '../../../downstream.ts';
import {putBack, takeOff} from '../../../leases.ts';
import type {Settings} from '../../settings.ts';
import type {Item} from './item.ts';
import type {Host} from './host.ts';
import type {Result} from './report.ts';

/** Removes a download of this run from the list, or restores its earlier state. */
export async function leave(
	settings: Settings,
	host: Host,
	item: Item,
	view: Download,
	status?: Result['status'],
): Promise<void> {
	const {downstream} = host;
	const {id, before} = item;
	if (!before) {
		if (status === 'done' && isNeeded(view)) {
			await downstream.add({...item.request, paused: true});
		} else if (settings.keep) {
			// It stays in the list.
		} else if (status === 'done') {
			const isStreamed = settings.output === '-' && !item.wasExported;
			await downstream.remove(id, isStreamed ? {data: 'delete', undoMs: 0} : {data: 'keep'});
		} else {
			await takeOff(downstream, view);
		}
	} else if (status === 'interrupted') {
		await putBack(downstream, before);
	}
}

/** A player or a planned export still uses the download. */
export function isNeeded({players, exportWhenComplete}: Download): boolean {
	return players.some(({connected}) => connected) || exportWhenComplete !== null;
}
