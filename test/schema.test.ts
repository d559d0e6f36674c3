// One definition of each value, and one sentence at each entry point that names the field in its own words.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {DownStream, type CacheOptions, type TargetOptions} from '../source/index.ts';
import {settingsFrom} from '../source/cli/settings.ts';
import {addForm, requestOf, withOptions} from '../source/dashboard/dialogs/add.ts';
import {fieldOf} from '../source/dashboard/text-field.tsx';
import type {AddRequest} from '../source/downstream.ts';
import {checkRequest} from '../source/engine/check-request.ts';
import {checkRecord} from '../source/engine/store/record.ts';
import {parsePastedCommand} from '../source/requests/pasted-command.ts';
import {
	array,
	boolean,
	described,
	engineOptions,
	integer,
	nullable,
	object,
	oneOf,
	optional,
	record,
	text,
	wholeNumber,
	type Schema,
} from '../source/schema.ts';
import {parseRate} from '../source/text/rate.ts';
import {atEnd} from './support/cleanup.ts';
import {startEngine, startOrigin, temporaryFolder, until} from './support/engines.ts';
import {ask} from './support/proxy-client.ts';

type Example = {
	readonly name: string;
	readonly parts?: readonly string[] | undefined;
	readonly inner?: {readonly size: number | null} | undefined;
	readonly labels?: Readonly<Record<string, string>> | undefined;
	readonly when?: 'now' | 'later' | undefined;
	readonly isLate?: boolean | undefined;
};

const example = object<Example>({
	name: text,
	parts: optional(array('a list of words', text.accepts)),
	inner: optional(object<{size: number | null}>({size: nullable(integer(0, 9))})),
	labels: optional(record(text)),
	when: optional(oneOf('now', 'later')),
	isLate: optional(boolean),
});

function problemOf(schema: Schema<unknown>, value: unknown): string | undefined {
	try {
		schema.read(value, (expected, path) => {
			throw new Error(`${path.join('.')}: ${expected}`);
		});
		return undefined;
	} catch (error) {
		return (error as Error).message;
	}
}

test('an object is read without properties outside its schema', () => {
	const whole = {
		name: 'a',
		parts: ['b'],
		inner: {size: null},
		labels: {constructor: 'c'},
		when: 'now',
		isLate: false,
	};
	const refuse = () => assert.fail();
	assert.deepEqual(example.read(whole, refuse), whole);
	assert.deepEqual(example.read({name: 'a', when: undefined}, refuse), {name: 'a'});
	const hostile = JSON.parse('{"name": "a", "other": 1, "__proto__": {"isLate": true}}') as object;
	assert.deepEqual(example.read(hostile, refuse), {name: 'a'});
	assert.equal(
		example.read(Object.assign(Object.create({isLate: true}), {name: 'a'}), refuse).isLate,
		undefined,
	);
});

for (const [value, problem] of [
	[null, ': an object'],
	[['a'], ': an object'],
	[{}, 'name: a string'],
	[{name: null}, 'name: a string'],
	[{name: 'a', parts: ['b', 1]}, 'parts: a list of words'],
	[{name: 'a', inner: []}, 'inner: an object'],
	[{name: 'a', inner: {}}, 'inner.size: a whole number from 0 to 9 or null'],
	[{name: 'a', inner: {size: 10}}, 'inner.size: a whole number from 0 to 9 or null'],
	[{name: 'a', labels: {b: 'c', d: 1}}, 'labels.d: a string'],
	[{name: 'a', when: 'never'}, 'when: one of now, later'],
	[{name: 'a', when: null}, 'when: one of now, later'],
	[{name: 'a', isLate: 0}, 'isLate: true or false'],
] as const) {
	test(`${JSON.stringify(value)} is rejected: ${problem}`, () => {
		assert.equal(problemOf(example, value), problem);
	});
}

test('a value with a description is named as a whole', () => {
	const labels = described('an object of words', record(text));
	assert.equal(problemOf(labels, {secret: 1}), ': an object of words');
	assert.equal(problemOf(labels, {secret: 'a'}), undefined);
});

test('whole numbers are safe integers within their bounds', () => {
	const rule = integer(1, 16);
	for (const value of [1, 16]) {
		assert.ok(rule.accepts(value), String(value));
	}

	for (const value of [0, 17, 1.5, NaN, Infinity, '4', null, undefined, 2 ** 60]) {
		assert.ok(!rule.accepts(value), String(value));
	}

	assert.ok(!integer(1).accepts(2 ** 60));
	for (const typed of ['', ' 4', '-4', '4.0', '0x4', '4e0', '٤']) {
		assert.ok(Number.isNaN(wholeNumber(typed)), typed);
	}

	assert.equal(wholeNumber('16'), 16);
});

test('Infinity is no limit where an option has no upper bound', () => {
	const unlimited = Object.entries(engineOptions)
		.filter(([, rule]) => rule.accepts(Infinity))
		.map(([name]) => name);
	assert.deepEqual(unlimited, ['limitRate', 'readAhead', 'cacheSize']);
});

const stored = {
	version: 1,
	id: 'a'.repeat(32),
	url: 'http://127.0.0.1/film.bin',
	headers: {},
	ranges: [],
	intent: 'run',
	onDemand: false,
	addedAt: 0,
};

function dialogWith(connections: string): ReturnType<typeof requestOf> {
	const opened = withOptions(addForm('http://127.0.0.1/film.bin'), true);
	return requestOf({
		...opened,
		items: opened.items.map(item =>
			item.kind === 'text' && item.name === 'connections' ? {...item, field: fieldOf(connections)} : item,
		),
	});
}

test('connections are 1 to 16 at every entry point, each in its own words', async t => {
	const {engine, proxy} = await startEngine(t);
	const viaApi = async (connections: number) => {
		const {body} = await ask(proxy, '/api/downloads', {
			method: 'POST',
			headers: {authorization: `Bearer ${engine.key}`, 'content-type': 'application/json'},
			body: JSON.stringify({url: `http://127.0.0.1:1/${connections}`, connections, paused: true}),
		});
		const {detail} = JSON.parse(body.toString()) as {detail?: string};
		if (detail !== undefined) {
			throw new Error(detail);
		}
	};

	const must = 'must be a whole number from 1 to 16';
	const entrances: Array<[message: (value: number) => string, enter: (value: number) => unknown]> = [
		[
			value => `--connections "${value}": it ${must}`,
			value => settingsFrom({connections: String(value)}, {}),
		],
		[value => `connections is ${value}; it ${must}`, value => checkRequest({connections: value})],
		[
			value => `connections is ${value}; it ${must}`,
			// Rejected before the folder is opened; the others would start an engine.
			value => (engineOptions.connections.accepts(value) ? undefined : DownStream.init({connections: value})),
		],
		[() => `The field "connections" ${must}.`, viaApi],
		[
			() => 'record.connections is not a whole number from 1 to 16',
			value => checkRecord({...stored, connections: value}, stored.id),
		],
		[
			value => `Connections ${must}, not "${value}"`,
			value => {
				const {problem} = dialogWith(String(value));
				if (problem !== undefined) {
					throw new Error(problem);
				}
			},
		],
	];
	for (const [message, enter] of entrances) {
		for (const value of [1, 16]) {
			await enter(value);
		}

		for (const value of [0, 17, 2.5]) {
			await assert.rejects(async () => enter(value), {message: message(value)});
		}
	}

	assert.equal(dialogWith('').request.connections, undefined);
	assert.equal(dialogWith(' 16 ').request.connections, 16);
	for (const [typed, taken] of [
		['0', 1],
		['16', 16],
		['99', 16],
	] as const) {
		const command = parsePastedCommand(`aria2c -x ${typed} http://127.0.0.1/film.bin`);
		assert.equal(command?.connections, taken);
	}
});

test('a rate is at least 1024 at every entry point', async t => {
	const {engine} = await startEngine(t);
	assert.equal(parseRate('1023'), undefined);
	assert.equal(parseRate('1K'), 1024);
	assert.throws(
		() => settingsFrom({limitRate: '1023'}, {}),
		/^DownStreamError: --limit-rate "1023": .* at least 1K/,
	);
	assert.equal(settingsFrom({limitRate: '1024'}, {}).limitRate, 1024);
	const message =
		'limitRate is 1023; it must be bytes per second, a whole number of at least 1024, or null for no limit';
	await assert.rejects(engine.setLimitRate(1023), {code: 'bad-request', message});
	await assert.rejects(engine.setLimitRate(undefined as unknown as null), {code: 'bad-request'});
	assert.throws(() => checkRequest({limitRate: 1023}), {code: 'bad-request', message});
	await engine.setLimitRate(1024);
	await engine.setLimitRate(null);
});

test('an option of the wrong type is rejected before it reaches a record', async t => {
	const {engine} = await startEngine(t);
	for (const [request, message] of [
		[{name: 5}, 'name is 5; it must be a string'],
		[{onDemand: 'yes'}, 'onDemand must be true or false'],
		[{paused: 0}, 'paused is 0; it must be true or false'],
		[{userAgent: null}, 'userAgent must be a string'],
		[{headers: {Authorization: 5}}, 'headers must be an object whose values are strings'],
		[{connections: '4'}, 'connections must be a whole number from 1 to 16'],
		[{checksum: ['geheim']}, 'checksum must be a string'],
		[{proxy: {geheim: 1}}, 'proxy must be a string'],
	] as Array<[object, string]>) {
		const given = {url: 'http://127.0.0.1:1/film.bin', ...request} as AddRequest;
		await assert.rejects(engine.add(given), {code: 'bad-request', message});
	}

	assert.deepEqual(engine.snapshot.downloads, []);
	const {download} = await engine.add({url: 'http://127.0.0.1:1/film.bin', paused: true});
	await assert.rejects(engine.update(download.id, {onDemand: 1 as unknown as boolean}), {
		code: 'bad-request',
		message: 'onDemand is 1; it must be true or false',
	});
});

test('the library rejects options of the wrong type, and its records stay readable', async t => {
	const origin = await startOrigin(t, {size: 1000});
	const storageDir = await temporaryFolder(t);
	const downstream = await DownStream.init({port: 0, proxyConfig: 'direct', storageDir});
	atEnd(t, () => downstream.dispose());
	const onDemand = {onDemand: 'yes'} as unknown as CacheOptions;
	await assert.rejects(downstream.cache(origin.url, onDemand), {
		code: 'bad-request',
		message: 'onDemand must be true or false',
	});
	await downstream.cache(origin.url, {onDemand: true});
	const overwrite = {overwrite: 1} as unknown as TargetOptions;
	await assert.rejects(downstream.setDownloadTarget(origin.url, storageDir, overwrite), {
		code: 'bad-request',
		message: 'overwrite is 1; it must be true or false',
	});
	await assert.rejects(downstream.exportFile(origin.url, undefined as unknown as string), {
		code: 'bad-request',
		message: 'path must be a string',
	});
	await downstream.dispose();
	const {engine} = await startEngine(t, {storageDir});
	const [download] = engine.snapshot.downloads;
	await until(engine, download!.id, ({url}) => url === origin.url);
	assert.deepEqual(engine.snapshot.banners, []);
});
