import assert from 'node:assert/strict';
import {mkdtemp, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {test, type TestContext} from 'node:test';
import {Logger} from '../source/log.ts';
import {maskUrl} from '../source/text/mask-url.ts';

async function logFile(t: TestContext): Promise<string> {
	const folder = await mkdtemp(path.join(tmpdir(), 'downstream-log-'));
	t.after(async () => {
		await Logger.close();
		await rm(folder, {recursive: true, force: true});
	});
	return path.join(folder, 'log');
}

test('a record is one line with time, level and message', async t => {
	const file = await logFile(t);
	Logger.toFile(file, 'debug');
	Logger.error('first');
	Logger.debug('second\nline \u001B[31m');
	await Logger.close();
	const lines = (await readFile(file, 'utf8')).split('\n');
	assert.match(lines[0] ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z error first$/);
	assert.match(lines[1] ?? '', /Z debug second\\u000aline \\u001b\[31m$/);
	assert.equal(lines.length, 3);
});

test('records above the level are dropped, and all of them while logging is off', async t => {
	const file = await logFile(t);
	Logger.toFile(file, 'warn');
	Logger.info('too fine');
	Logger.warn('kept');
	Logger.setEnabled(false);
	Logger.error('off');
	Logger.setEnabled(true);
	Logger.error('on again');
	await Logger.close();
	Logger.error('closed');
	const messages = (await readFile(file, 'utf8')).trim().split('\n');
	assert.deepEqual(
		messages.map(line => line.slice(25)),
		['warn kept', 'error on again'],
	);
});

test('records are appended, and only the owner can read a new file', async t => {
	const file = await logFile(t);
	Logger.toFile(file);
	Logger.info('one');
	await Logger.close();
	Logger.toFile(file);
	Logger.info('two');
	await Logger.close();
	assert.deepEqual(
		(await readFile(file, 'utf8'))
			.trim()
			.split('\n')
			.map(line => line.slice(25)),
		['info one', 'info two'],
	);
	if (process.platform !== 'win32') {
		assert.equal((await stat(file)).mode & 0o777, 0o600);
	}
});

test('an unwritable file turns logging off without an error', async t => {
	const file = await logFile(t);
	await writeFile(file, '');
	Logger.toFile(path.join(file, 'below-a-file'));
	Logger.error('lost');
	await Logger.close();
	Logger.error('lost too');
});

test('secrets are masked wherever they occur', async t => {
	const file = await logFile(t);
	Logger.toFile(file, 'debug');
	Logger.info(
		'GET https://user:hunter2@origin.example/a?token=hunter2&b=1 by socks5://me:hunter2@127.0.0.1:1',
	);
	Logger.info('Authorization: Bearer hunter2');
	Logger.info('Cookie: a=hunter2; b=hunter2');
	Logger.info(JSON.stringify({'Proxy-Authorization': 'Basic hunter2', range: 'bytes=0-'}));
	Logger.info("{ 'set-cookie': 'sid=hunter2' } after");
	Logger.info('X-API-Key: hunter2');
	Logger.info('sent Bearer hunter2 to it');
	await Logger.close();
	const text = await readFile(file, 'utf8');
	assert.doesNotMatch(text, /hunter2/);
	assert.match(
		text,
		/GET https:\/\/\*{3}@origin\.example\/a\?token=\*{3}&b=1 by socks5:\/\/\*{3}@127\.0\.0\.1:1\n/,
	);
	assert.match(text, /"range":"bytes=0-"/);
	assert.match(text, / after\n/);
});

const urls: ReadonlyArray<[url: string, masked: string]> = [
	['https://origin.example/film.mkv?start=10', 'https://origin.example/film.mkv?start=10'],
	['https://user:p@ss@origin.example/', 'https://***@origin.example/'],
	['https://user@origin.example', 'https://***@origin.example'],
	['https://origin.example/@user/a?b=c@d', 'https://origin.example/@user/a?b=c@d'],
	[
		'https://o.example/?X-Amz-Signature=abc&X-Amz-Date=1',
		'https://o.example/?X-Amz-Signature=***&X-Amz-Date=1',
	],
	['https://o.example/?api_key=a&password=b&n=1', 'https://o.example/?api_key=***&password=***&n=1'],
	['https://o.example/?client_secret=a;auth=b', 'https://o.example/?client_secret=***;auth=***'],
	['https://o.example/?%74oken=a', 'https://o.example/?%74oken=***'],
	['https://o.example/#access_token=a', 'https://o.example/#access_token=***'],
	['https://o.example/?token=a=b==&c=d', 'https://o.example/?token=***&c=d'],
	['https://o.example/?token', 'https://o.example/?token'],
	['https://o.example/?%zztoken=a', 'https://o.example/?%zztoken=***'],
	['', ''],
];
for (const [url, masked] of urls) {
	test(`the URL ${JSON.stringify(url)} is masked to ${JSON.stringify(masked)}`, () => {
		assert.equal(maskUrl(url), masked);
	});
}
