// An engine with its proxy and one download, in a process that tests kill. It waits, already loaded, for
// the message with its task.
import process from 'node:process';
import type {Download, ExportRequest} from '../../source/downstream.ts';
import type {EngineOptions} from '../../source/engine/options.ts';
import {openEngine} from './open-engine.ts';

export type EngineTask = {
	readonly options: EngineOptions;
	readonly url: string;
	/** The export of the complete file, planned with `when`. */
	readonly exportTo?: ExportRequest;
};

/** `added` is first, `done` last, and `download` at each change in between. */
export type EngineEvent =
	| {readonly event: 'added' | 'download'; readonly download: Download}
	| {readonly event: 'done' | 'refused'; readonly message: string};

async function run({options, url, exportTo}: EngineTask): Promise<void> {
	const {engine, proxy} = await openEngine(options);
	const isPlanned = exportTo?.when === 'complete';
	const {download} = await engine.add({url, paused: isPlanned});
	if (isPlanned) {
		await engine.export(download.id, exportTo);
		await engine.resume(download.id);
	}

	tell({event: 'added', download});
	const complete = new Promise<void>(resolve => {
		const look = () => {
			const [shown] = engine.snapshot.downloads;
			if (shown) {
				tell({event: 'download', download: shown});
				if (shown.status === 'complete' && shown.exportWhenComplete === null) {
					resolve();
				}
			}
		};

		engine.subscribe(look);
		look();
	});
	process.once('message', () => void engine.resume(download.id));
	if (exportTo !== undefined) {
		await complete;
		const {path} = isPlanned ? exportTo : await engine.export(download.id, exportTo);
		await proxy.close();
		await engine.dispose();
		tell({event: 'done', message: path});
		process.disconnect();
	}
}

function tell(event: EngineEvent): void {
	process.send?.(event);
}

process.once('message', (task: EngineTask) => {
	run(task).catch((error: unknown) => tell({event: 'refused', message: String(error)}));
});
