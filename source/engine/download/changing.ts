// Applies a change of the record, and of the source, to a running download.
import type {Scheduler} from '../fetch/scheduler.ts';
import type {DataSource} from '../origin/data-source.ts';
import type {DownloadRecord} from '../store/record.ts';
import type {DownloadState} from './download-state.ts';
import type {PageReplacement} from './page-replacement.ts';
import type {SourceChange} from './source-change.ts';
import type {Verification} from './verification.ts';

type Parts = {
	readonly scheduler: Scheduler;
	readonly sources: SourceChange;
	readonly verification: Verification;
	readonly pages: PageReplacement;
};

/** With `sourceOf`, rejects as `SourceChange.change` does; else with `disk-full` or `disk-failed`. */
export async function changing(
	state: DownloadState,
	{scheduler, sources, verification, pages}: Parts,
	changeOf: (record: DownloadRecord) => Partial<DownloadRecord>,
	sourceOf?: (changed: DownloadRecord) => DataSource,
): Promise<void> {
	const change = await (sourceOf ? sources.change(changeOf, sourceOf) : saved(state, changeOf));
	scheduler.setRateLimit(state.record.limitRate);
	if (change.checksum !== undefined) {
		await verification.checksumChanged();
	}

	if (sourceOf) {
		void pages.run();
	}

	if (change.onDemand && state.hasFileInfo) {
		// Segments without a player would linger, and continue to fetch.
		scheduler.segments.endAll(segment => segment.for === 'fill');
	}
}

async function saved(
	{record, recordFile}: DownloadState,
	changeOf: (record: DownloadRecord) => Partial<DownloadRecord>,
): Promise<Partial<DownloadRecord>> {
	const change = changeOf(record);
	await recordFile.save(change);
	return change;
}
