// A real headless browser that connects only to the hosts of the test.
import type {TestContext} from 'node:test';
import {chromium, type Browser, type Page, type Worker} from 'playwright-core';
import {atEnd} from './cleanup.ts';
import {temporaryFolder} from './engines.ts';

const quiet = [
	'--no-sandbox',
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
];

export async function startChromium(t: TestContext, ...args: string[]): Promise<Browser> {
	const browser = await chromium.launch({
		executablePath: '/usr/bin/chromium',
		args: [...quiet, ...args],
	});
	atEnd(t, () => browser.close());
	return browser;
}

/** Chromium with one unpacked extension and its running service worker. */
export async function startExtension(
	t: TestContext,
	extension: string,
): Promise<{worker: Worker; openPage: (file: string) => Promise<Page>}> {
	const context = await chromium.launchPersistentContext(await temporaryFolder(t), {
		executablePath: '/usr/bin/chromium',
		// Playwright's own headless mode takes no extensions.
		headless: false,
		ignoreDefaultArgs: ['--disable-extensions'],
		args: [
			...quiet,
			'--headless=new',
			`--disable-extensions-except=${extension}`,
			`--load-extension=${extension}`,
		],
	});
	atEnd(t, () => context.close());
	const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent('serviceworker'));
	return {
		worker,
		openPage: async file => {
			const page = await context.newPage();
			await page.goto(new URL(file, worker.url()).href);
			return page;
		},
	};
}
