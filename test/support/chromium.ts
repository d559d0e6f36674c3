// A real browser without a screen, that talks to nobody but who the test names.
import type {TestContext} from 'node:test';
import {chromium, type Browser} from 'playwright-core';
import {atEnd} from './cleanup.ts';

export async function startChromium(t: TestContext, ...args: string[]): Promise<Browser> {
	const browser = await chromium.launch({
		executablePath: '/usr/bin/chromium',
		args: [
			'--no-sandbox',
			'--disable-gpu',
			'--disable-quic',
			'--no-first-run',
			'--disable-background-networking',
			'--disable-component-update',
			'--disable-sync',
			...args,
		],
	});
	atEnd(t, () => browser.close());
	return browser;
}
