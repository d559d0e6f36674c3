// Applies `--on-change` to a file that has changed on the server.
import {setTimeout as sleep} from 'node:timers/promises';
import {DownStreamError, type Download} from '../../../downstream.ts';
import type {Settings} from '../../settings.ts';
import {refuseLost, type Host} from './host.ts';
import type {Item} from './item.ts';

/** Maximum number of changes of one file that are handled. */
const maxAnswers = 5;
/** Milliseconds between two attempts to compare versions. */
const retryMs = 2000;

/** Applies `--on-change`; resolves with whether the download continues. */
export async function answerChange(
	settings: Settings,
	host: Host,
	item: Item,
	{id, error}: Download,
	signal: AbortSignal,
): Promise<boolean> {
	const {onChange} = settings;
	if (error?.code !== 'origin-changed' || onChange === 'stop' || item.answers === maxAnswers) {
		return false;
	}

	item.answers++;
	while (!signal.aborted) {
		try {
			await (onChange === 'continue' ? host.downstream.acceptChange(id) : host.downstream.startOver(id));
			return true;
		} catch (problem) {
			await refuseLost(host, problem);
			if (!(problem instanceof DownStreamError) || problem.kind !== 'transient') {
				// The error of the download says why.
				return false;
			}

			// Retries during an outage.
			await sleep(retryMs, undefined, {signal}).catch(() => undefined);
		}
	}

	return false;
}
