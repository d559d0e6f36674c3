// Validation of requests from every entry point.
import {DownStreamError, type AddRequest, type DownloadChange} from '../downstream.ts';
import {addRequest, checkOptions, downloadChange} from '../schema.ts';
import {parseProxy} from './http/proxy-settings.ts';
import {parseChecksum} from './store/block-checksums.ts';

const fields = {...addRequest.fields, ...downloadChange.fields};

/** Throws `bad-request`. Normalization checks the grammar of the URL and of the headers. */
export function checkRequest(request: Partial<AddRequest> | DownloadChange): void {
	checkOptions(request, fields);
	const {name, proxy, checksum} = request;
	if (name?.trim() === '') {
		throw new DownStreamError('bad-request', 'The name is empty');
	}

	if (proxy !== undefined && proxy !== 'direct') {
		parseProxy(proxy);
	}

	if (checksum !== undefined) {
		parseChecksum(checksum);
	}
}
