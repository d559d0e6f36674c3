// `__complete`: the hidden command that the completion scripts call.
import process from 'node:process';
import {cleanText} from '../../text/clean-text.ts';
import {attach} from '../../host/find-instance.ts';
import {openOffline} from '../../host/engine-host.ts';
import {settingsFrom} from '../settings.ts';
import {readSettingsFile} from '../settings-file.ts';
import {shortId} from '../../text/format.ts';
import {completionFor, completionLines, type Candidate, type Completion} from '../completion.ts';

/** The answer for one shell; see `completionLines`. `line`: the command line up to the cursor. */
export async function complete(shell: string, line: string): Promise<string> {
	const completion = completionFor(line);
	const candidates = completion.expects === 'ID' ? await listedIds(completion) : completion.candidates;
	return completionLines(shell, {...completion, candidates}).join('\n');
}

/** None if the list cannot be read: a completion has no place for an error. */
async function listedIds({lookup}: Completion): Promise<Candidate[]> {
	try {
		const {storageDir} = settingsFrom(lookup, process.env, readSettingsFile(lookup.config));
		const downstream = (await attach(storageDir)) ?? (await openOffline({storageDir}));
		try {
			return downstream.snapshot.downloads.map(({id, name}) => ({
				word: shortId(id),
				description: cleanText(name),
			}));
		} finally {
			await downstream.dispose();
		}
	} catch {
		return [];
	}
}
