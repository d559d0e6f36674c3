// Checks of a data source against the contract of `DataSource`, for any test runner.
import type {DataSource, OriginRequest, OriginResponse} from './engine/origin/data-source.ts';
import type {Range} from './engine/store/range-set.ts';

export type DataSourceFixture = {
	/** Creates a source of the file. Each check creates one, and disposes of it. */
	readonly create: () => DataSource | Promise<DataSource>;
	/** The bytes of the file. 100 KB or more make several pieces of a body likely. */
	readonly bytes: Uint8Array;
};

export type DataSourceCheck = {
	/** Completes "a data source …". */
	readonly name: string;
	/** Rejects with an `Error`, whose message is one sentence, for a source that breaks the contract. */
	readonly run: (fixture: DataSourceFixture) => Promise<void>;
};

/** Milliseconds after which a promise of the source counts as never settling. */
const patienceMs = 30_000;

type Check = (source: DataSource, bytes: Uint8Array) => Promise<void>;

const checks: Record<string, Check> = {
	async 'has an absolute URL without credentials'({url}) {
		const parsed = URL.canParse(url) ? new URL(url) : undefined;
		expect(parsed, `url is ${JSON.stringify(url)}, which is not an absolute URL`);
		expect(!parsed.username && !parsed.password, 'url has a user or a password, but users see it');
	},

	async 'serves a range with its bytes, or the whole file'(source, bytes) {
		const {length} = bytes;
		const middle = Math.floor(length / 2);
		for (const [start, end] of [
			[0, 1],
			[middle, middle + 1],
			[Math.floor(length / 4), middle],
			[length - 1, length],
			[middle, Infinity],
			[0, Infinity],
		] as const) {
			if (start >= 0 && start < end) {
				await read(source, bytes, {start, end});
			}
		}
	},

	async 'serves the whole file for an unranged request'(source, bytes) {
		await read(source, bytes, {start: 0, end: Infinity}, false);
		await read(source, bytes, {start: Math.floor(bytes.length / 2), end: bytes.length}, false);
	},

	async 'serves an empty range beyond the end'(source, bytes) {
		await read(source, bytes, {start: bytes.length, end: bytes.length + 100});
	},

	async 'returns the same validator and name in each response'(source, bytes) {
		const [first, second] = [await read(source, bytes, anywhere), await read(source, bytes, anywhere)];
		for (const label of ['etag', 'weakEtag', 'lastModified'] as const) {
			const [was, is] = [first.validator[label], second.validator[label]];
			expect(was === is, `the validator's ${label} was ${was} and is ${is} for the same file`);
		}

		expect(first.info.name === second.info.name, 'info.name differs between two responses');
	},

	async 'serves several requests at once'(source, bytes) {
		const quarter = Math.ceil(bytes.length / 4);
		const starts = [0, 1, 2, 3].map(index => index * quarter).filter(start => start < bytes.length);
		await Promise.all(starts.map(start => read(source, bytes, {start, end: start + quarter})));
	},

	async 'rejects an aborted request with the reason of its signal'(source) {
		const reason = new Error('aborted by the check');
		const outcome = await settled(
			source.open({range: anywhere, ranged: true, signal: AbortSignal.abort(reason)}).then(
				() => 'it resolves',
				(error: unknown) => (error === reason ? undefined : `it rejects with ${String(error)}`),
			),
			'open with an aborted signal',
		);
		expect(outcome === undefined, `open with an aborted signal must reject with its reason, but ${outcome}`);
	},

	async 'ends a body after an abort'(source, bytes) {
		const reason = new Error('aborted by the check');
		const abort = new AbortController();
		const response = await open(source, {range: anywhere, ranged: true, signal: abort.signal});
		abort.abort(reason);
		try {
			await settled(readBody(response, bytes), 'the body after an abort');
		} catch (error) {
			expect(error === reason, `the body must throw the reason of an abort, but throws ${String(error)}`);
		}
	},

	async 'serves further requests after abandoned bodies'(source, bytes) {
		await settled(leaveBody(await open(source, request(anywhere))), 'the first piece of a body');
		const abort = new AbortController();
		await open(source, {range: anywhere, ranged: true, signal: abort.signal});
		abort.abort();
		await read(source, bytes, anywhere);
	},

	async 'accepts hints at any time'(source, bytes) {
		source.closeIdle?.();
		source.preconnect?.();
		await read(source, bytes, anywhere);
		source.preconnect?.();
		source.closeIdle?.();
		await read(source, bytes, anywhere);
	},
};

const anywhere: Range = {start: 0, end: Infinity};

/** One test each for a test runner. */
export const dataSourceChecks: readonly DataSourceCheck[] = Object.entries(checks).map(([name, check]) => ({
	name,
	async run({create, bytes}) {
		const source = await create();
		try {
			await check(source, bytes);
		} catch (error) {
			// The first error takes precedence over an error of dispose.
			await settled(source.dispose(), 'dispose').catch(() => undefined);
			throw error;
		}

		await settled(source.dispose(), 'dispose');
	},
}));

/** Runs all checks, one after the other. Rejects with the `Error` of the first that fails. */
export async function checkDataSource(fixture: DataSourceFixture): Promise<void> {
	for (const {run} of dataSourceChecks) {
		await run(fixture);
	}
}

function request(range: Range, ranged = true): OriginRequest {
	return {range, ranged, signal: new AbortController().signal};
}

async function open(source: DataSource, given: OriginRequest): Promise<OriginResponse> {
	return settled(source.open(given), `open of ${inWords(given.range)}`);
}

/** Opens a range, checks the response, and compares the body with the file. */
async function read(
	source: DataSource,
	bytes: Uint8Array,
	range: Range,
	ranged = true,
): Promise<OriginResponse> {
	const response = await open(source, request(range, ranged));
	checkInfo(response, bytes.length);
	checkRange(response, range, ranged, bytes.length);
	await settled(readBody(response, bytes), `the body for ${inWords(range)}`);
	return response;
}

function checkInfo({info: {name, type, size}}: OriginResponse, length: number): void {
	expect(
		typeof name === 'string' && name !== '' && !/[/\\\0]/.test(name),
		`info.name is ${JSON.stringify(name)}, which is not a file name`,
	);
	expect(
		type === undefined || /^[^\s;/A-Z]+\/[^\s;/A-Z]+$/.test(type),
		`info.type is ${JSON.stringify(type)}, which is not a lower-case media type without parameters`,
	);
	expect(
		size === length || size === Infinity,
		`info.size is ${size}, but the file has ${length} bytes; an unknown size is Infinity`,
	);
}

function checkRange(response: OriginResponse, asked: Range, ranged: boolean, length: number): void {
	const {range, acceptsRanges, info} = response;
	const {start, end} = range;
	const answer = `${inWords(asked)}${ranged ? '' : ', unranged,'} was answered with ${inWords(range)}`;
	const isKnown = end <= length || (end === Infinity && info.size === Infinity);
	expect(start >= 0 && start <= end && isKnown, `${answer}, which is not a range of ${length} bytes`);
	const isWhole = start === 0 && end >= length;
	if (!ranged) {
		expect(isWhole, `${answer} instead of the whole file`);
	} else if (asked.start >= length && !isWhole) {
		expect(start === end && info.size === length, `${answer} instead of an empty range with the size`);
	} else {
		expect(isWhole || (start <= asked.start && asked.start < end), `${answer}, without its first byte`);
		const isMoreThanAsked = asked.start > 0 || asked.end < length;
		expect(isWhole || acceptsRanges, `${answer}, but acceptsRanges is ${acceptsRanges}`);
		expect(
			!isWhole || !isMoreThanAsked || !acceptsRanges,
			`${answer}, the whole file, but acceptsRanges is ${acceptsRanges}`,
		);
	}
}

async function readBody({range, body}: OriginResponse, bytes: Uint8Array): Promise<void> {
	const end = Math.min(range.end, bytes.length);
	let position = range.start;
	for await (const piece of body) {
		expect(
			ArrayBuffer.isView(piece) && piece.length > 0,
			'the body yields a piece that is empty or not a byte array',
		);
		const wrong = piece.findIndex((byte, index) => byte !== bytes[position + index]);
		position += piece.length;
		expect(position <= end, `the body continues after byte ${end}, the end of ${inWords(range)}`);
		expect(wrong < 0, `byte ${position - piece.length + wrong} of the body is wrong`);
	}

	expect(position === end, `the body ends at byte ${position}, before the end of ${inWords(range)}`);
}

async function leaveBody({body}: OriginResponse): Promise<void> {
	for await (const piece of body) {
		expect(piece.length > 0, 'the body yields an empty piece');
		break;
	}
}

async function settled<T>(promise: Promise<T>, what: string): Promise<T> {
	let timer: ReturnType<typeof setTimeout> | undefined;
	const late = new Promise<never>((_resolve, reject) => {
		timer = setTimeout(
			() => reject(new Error(`${what} has not settled in ${patienceMs / 1000} s`)),
			patienceMs,
		);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

function inWords({start, end}: Range): string {
	return `[${start}, ${end})`;
}

function expect(condition: unknown, message: string): asserts condition {
	if (!condition) {
		throw new Error(message);
	}
}
