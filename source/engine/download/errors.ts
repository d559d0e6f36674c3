// Errors that one part of a download raises and another one reports.
import {DownStreamError} from '../../downstream.ts';

export function cancelled(): DownStreamError {
	return new DownStreamError('not-found', 'This download was cancelled; resume it to stream it again');
}

export function restarted(): DownStreamError {
	return new DownStreamError(
		'origin-changed',
		'The file changed on the server and is being fetched from the start',
	);
}

export function closing(): DownStreamError {
	return new DownStreamError('not-found', 'The program is quitting, or the download was removed');
}
