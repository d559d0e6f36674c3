// The library in its own storage folder.
import type {TestContext} from 'node:test';
import {DownStream, type DownStreamOptions} from '../../source/index.ts';
import {atEnd} from './cleanup.ts';
import {temporaryFolder} from './engines.ts';

export async function initLibrary(t: TestContext, options: DownStreamOptions = {}): Promise<DownStream> {
	const storageDir = options.storageDir ?? (await temporaryFolder(t));
	const downstream = await DownStream.init({port: 0, proxyConfig: 'direct', ...options, storageDir});
	atEnd(t, () => downstream.dispose());
	return downstream;
}
