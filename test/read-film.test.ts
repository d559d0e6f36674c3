// Film maps of real files, against ffprobe and mpv, and of files that are damaged or hostile.
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {writeFile} from 'node:fs/promises';
import path from 'node:path';
import {test} from 'node:test';
import {promisify} from 'node:util';
import {checkedMap, leastReadOver, type FilmMap} from '../source/engine/film/film-map.ts';
import {filmView} from '../source/engine/film/film-view.ts';
import {readInThread} from '../source/engine/film/film-thread.ts';
import {playable} from '../source/engine/film/playable.ts';
import {readFilm} from '../source/engine/film/read-film.ts';
import {looksLikeFilm, signatureBytes} from '../source/engine/film/signature.ts';
import {RangeSet} from '../source/engine/store/range-set.ts';
import {playClaims, randomPresence} from './support/claims.ts';
import {temporaryFolder} from './support/engines.ts';
import {filmMs, films, makeFilm, type FilmName} from './support/films.ts';
import {missing} from './support/programs.ts';
import {randomOf} from './support/soak.ts';

const names = Object.keys(films) as FilmName[];
const exact = new Set<FilmName>([
	...(['front.mp4', 'tail.mp4', 'large.mp4', 'indexed.mp4', 'sound.m4a'] as const),
	...(['subtitles.mp4', 'subtitles.mkv', 'empty-subtitles.mkv', 'chapters.m4b'] as const),
	...(['tail.mkv', 'front.mkv', 'tail.webm', 'sound.wav'] as const),
]);
const needsFfmpeg = {skip: missing('ffmpeg')};

/** Milliseconds of processor time for a map of a damaged file. */
const fuzzWorkMs = 200;

const mapOf = (bytes: Buffer): Promise<FilmMap> =>
	readFilm(bytes.length, async (start, _end, maxEnd) => bytes.subarray(start, maxEnd));

const mapInThread = (bytes: Buffer, signal = new AbortController().signal): Promise<FilmMap> =>
	readInThread(bytes.length, async (start, _end, maxEnd) => bytes.subarray(start, maxEnd), signal);

/** An ISO box. */
function box(type: string, ...parts: Buffer[]): Buffer {
	const body = Buffer.concat(parts);
	const head = Buffer.alloc(8);
	head.writeUInt32BE(body.length + 8);
	head.write(type, 4, 'latin1');
	return Buffer.concat([head, body]);
}

for (const name of names) {
	test(`${name}: duration, tracks and points are read with few requests`, needsFfmpeg, async () => {
		const bytes = await makeFilm(name);
		assert.ok(looksLikeFilm(bytes.subarray(0, signatureBytes)));
		let requests = 0;
		const reading = readFilm(bytes.length, async (start, _end, maxEnd) => {
			requests++;
			return bytes.subarray(start, maxEnd);
		});
		if (name === 'live.mkv') {
			await assert.rejects(reading, {problem: 'no-duration'});
			return;
		}

		const map = await reading;
		assert.ok(checkedMap(map, bytes.length));
		assert.ok(Math.abs(map.durationMs - filmMs) < (exact.has(name) ? 100 : 1500), `${map.durationMs} ms`);
		assert.equal(map.exact, exact.has(name));
		assert.ok(requests <= 3, `${requests} requests`);
		assert.ok(map.times.length >= 15, `${map.times.length} points`);
		assert.deepEqual(playable(map, new RangeSet([{start: 0, end: bytes.length}])), [[0, map.durationMs]]);
		assert.equal(
			map.tracks.some(({kind}) => kind === 'video'),
			/mp4|mkv|webm|ts$/.test(name),
		);
	});
}

for (const name of ['front.mp4', 'tail.mp4', 'fragments.mp4', 'tail.mkv', 'tail.webm'] as const) {
	const title = `${name}: between two points lie all packets of that time, as ffprobe sees them`;
	test(title, {skip: missing('ffmpeg', 'ffprobe')}, async t => {
		const bytes = await makeFilm(name);
		const map = await mapOf(bytes);
		const file = path.join(await temporaryFolder(t), name);
		await writeFile(file, bytes);
		const {stdout} = await promisify(execFile)(
			'ffprobe',
			['-v', 'error', '-show_entries', 'packet=codec_type,pts_time,pos,size', '-of', 'json', file],
			{maxBuffer: 64 * 1024 * 1024},
		);
		const {packets} = JSON.parse(stdout) as {
			packets: Array<{codec_type: 'video' | 'audio'; pts_time: string; pos?: string; size: string}>;
		};
		let compared = 0;
		for (const [point, fromMs] of map.times.slice(0, -1).entries()) {
			const toMs = point === map.times.length - 2 ? map.durationMs : map.times[point + 1]! - 500;
			const ranges = new RangeSet(map.index);
			for (const {offsets} of map.tracks) {
				ranges.add({start: offsets[point]!, end: offsets[point + 1]!});
			}

			for (const {pts_time: seconds, pos, size} of packets) {
				const ms = Number(seconds) * 1000;
				if (pos !== undefined && ms >= fromMs && ms < toMs) {
					compared++;
					const start = Number(pos);
					// In Matroska, ffprobe gives the offset of a block with its header, and the size without.
					assert.ok(ranges.covers({start, end: start + Number(size)}), `${seconds} s at ${pos}`);
				}
			}
		}

		assert.ok(compared > 500);
	});
}

for (const name of [
	...(['front.mp4', 'tail.mp4', 'indexed.mp4', 'tail.mkv', 'front.mkv', 'tail.webm', 'sound.wav'] as const),
	...(['subtitles.mp4', 'subtitles.mkv', 'empty-subtitles.mkv', 'chapters.m4b'] as const),
]) {
	const title = `${name}: mpv plays each playable range to its end without other bytes, and stalls after it`;
	test(title, {skip: missing('ffmpeg', 'mpv')}, async t => {
		const bytes = await makeFilm(name);
		const map = await mapOf(bytes);
		const random = randomOf(bytes.length);
		const present = randomPresence(map, bytes.length, random);
		const {claimed, broken, exceeded} = await playClaims(t, name, bytes, map, present);
		assert.deepEqual([broken, exceeded], [[], []]);
		assert.ok(claimed.length > 0);
	});
}

const still = {offset: undefined, forecastRate: 0, pledged: []};

test('a film without an index of its fragments is playable only when complete', needsFfmpeg, async () => {
	const bytes = await makeFilm('fragments.mp4');
	const map = await mapOf(bytes);
	const half = new RangeSet([{start: 0, end: bytes.length / 2}, ...map.index]);
	const viewed = filmView(map, {present: half, isComplete: false}, still);
	assert.deepEqual([viewed.exact, viewed.playable], [false, []]);
	assert.ok(viewed.watchTo! > 0 && viewed.watchTo! < filmMs);
	const whole = filmView(map, {present: half, isComplete: true}, still);
	assert.deepEqual(whole.playable, [[0, map.durationMs]]);
});

/** Without the index at the end that ffmpeg adds. */
function withoutFragmentIndex(bytes: Buffer): Buffer {
	return bytes.subarray(0, bytes.lastIndexOf('mfra') - 4);
}

test(
	'fragments without an index at the end are read from the list in front, or not at all',
	needsFfmpeg,
	async () => {
		const indexed = await makeFilm('indexed.mp4');
		const map = await mapOf(indexed);
		const {times, tracks, exact, index} = await mapOf(withoutFragmentIndex(indexed));
		assert.deepEqual([times, tracks, exact], [map.times, map.tracks, true]);
		assert.deepEqual([index.length, map.index.length, map.index.at(-1)!.end], [1, 2, indexed.length]);
		for (const name of ['fragments.mp4', 'parts.mp4'] as const) {
			await assert.rejects(mapOf(withoutFragmentIndex(await makeFilm(name))), {problem: 'no-duration'});
		}
	},
);

test(
	'the chapters that players read first are part of the index, wherever they lie',
	needsFfmpeg,
	async () => {
		const bytes = await makeFilm('chapters.m4b');
		const atEnd = Buffer.concat([bytes, Buffer.alloc(1000)]);
		// The table of places of the last track, which has one chunk.
		atEnd.writeUInt32BE(bytes.length + 900, atEnd.lastIndexOf('stco') + 12);
		const {exact, index, tracks} = await mapOf(atEnd);
		assert.deepEqual([exact, tracks.length], [true, 1]);
		assert.ok(new RangeSet(index).covers({start: bytes.length + 900, end: bytes.length + 910}));
		assert.ok(
			!new RangeSet((await mapOf(bytes)).index).covers({start: bytes.length - 1, end: bytes.length + 1}),
		);
	},
);

test('players walk over the boxes between the index and the media data', needsFfmpeg, async () => {
	const bytes = Buffer.from(await makeFilm('front.mp4'));
	const end = bytes.indexOf('mdat') - 4;
	const padding = box('free', Buffer.alloc(2 * leastReadOver));
	for (let at = bytes.indexOf('stco'); at !== -1 && at < end; at = bytes.indexOf('stco', at + 4)) {
		for (let entry = at + 12; entry < at + 12 + 4 * bytes.readUInt32BE(at + 8); entry += 4) {
			bytes.writeUInt32BE(bytes.readUInt32BE(entry) + padding.length, entry);
		}
	}

	const {index, exact} = await mapOf(Buffer.concat([bytes.subarray(0, end), padding, bytes.subarray(end)]));
	const ranges = new RangeSet(index);
	const mediaHead = end + padding.length;
	assert.equal(exact, true);
	assert.ok(ranges.covers({start: mediaHead, end: mediaHead + 8}));
	assert.ok(!ranges.covers({start: end, end: mediaHead}));
});

test('tracks far apart let a player read on over longer gaps', needsFfmpeg, async () => {
	const {readOver} = await mapOf(await makeFilm('sound.m4a'));
	const subtitled = await mapOf(await makeFilm('subtitles.mp4'));
	assert.ok(readOver < 2 * leastReadOver && subtitled.readOver > 2 * leastReadOver, `${subtitled.readOver}`);
	assert.ok(subtitled.asides.some(({isLead}) => isLead));
});

test('a film that ends before its last packet is refused', needsFfmpeg, async () => {
	const bytes = await makeFilm('front.mp4');
	await assert.rejects(mapOf(bytes.subarray(0, bytes.length / 2)), {problem: 'past-end'});
});

test('a film whose edits omit media has estimates', needsFfmpeg, async () => {
	const bytes = await makeFilm('tail.mp4');
	const edits = bytes.indexOf('elst') - 4;
	const withEdits = (...mediaTimes: number[]) => {
		const length = 12 * (mediaTimes.length - 1);
		const entries = mediaTimes.map(time => {
			const entry = Buffer.from(bytes.subarray(edits + 16, edits + 28));
			entry.writeUInt32BE(1000, 0);
			entry.writeInt32BE(time, 4);
			return entry;
		});
		const edited = Buffer.concat([bytes.subarray(0, edits + 16), ...entries, bytes.subarray(edits + 28)]);
		edited.writeUInt32BE(mediaTimes.length, edits + 12);
		for (const type of ['moov', 'trak', 'edts', 'elst']) {
			const box = edited.indexOf(type, bytes.indexOf('moov')) - 4;
			edited.writeUInt32BE(edited.readUInt32BE(box) + length, box);
		}

		return edited;
	};

	const isExact = async (...mediaTimes: number[]) => (await mapOf(withEdits(...mediaTimes))).exact;
	assert.equal(await isExact(0), true);
	assert.equal(await isExact(-1, 0), true);
	assert.equal(await isExact(20_000), false);
	assert.equal(await isExact(0, 100_000), false);
});

test('chained sounds in one Ogg file have the total length, as an estimate', needsFfmpeg, async () => {
	const first = await makeFilm('sound.ogg');
	const second = Buffer.from(first);
	// Another serial number in each page.
	for (let at = second.indexOf('OggS'); at !== -1; at = second.indexOf('OggS', at + 1)) {
		second.writeUInt32LE(second.readUInt32LE(at + 14) + 1, at + 14);
	}

	const map = await mapOf(Buffer.concat([first, second]));
	assert.equal(map.exact, false);
	assert.ok(Math.abs(map.durationMs - 2 * filmMs) < filmMs / 4, `${map.durationMs} ms`);
});

test('mutated files end in a map or an error, within the bounds', needsFfmpeg, async () => {
	for (const name of [
		...(['front.mp4', 'fragments.mp4', 'front.mkv', 'stream.ts', 'variable.mp3', 'sound.ogg'] as const),
	]) {
		const bytes = await makeFilm(name);
		const random = randomOf(bytes.length);
		for (let round = 0; round < 6; round++) {
			const mutated = Buffer.from(bytes);
			for (let change = 0; change < 1 + random() * 8; change++) {
				const at = Math.floor(random() ** 2 * Math.min(bytes.length, 40_000));
				mutated[at] = [0, 1, 255, Math.floor(random() * 256)][Math.floor(random() * 4)]!;
			}

			let read = 0;
			let requests = 0;
			try {
				const map = await readInThread(
					mutated.length,
					async (start, end, maxEnd) => {
						assert.ok(start >= 0 && start < end && end <= maxEnd && maxEnd <= mutated.length);
						requests++;
						read += end - start;
						return mutated.subarray(start, maxEnd);
					},
					new AbortController().signal,
					fuzzWorkMs,
				);
				assert.ok(checkedMap(map, mutated.length));
			} catch (error) {
				assert.ok(error instanceof Error && !(error instanceof assert.AssertionError), String(error));
			}

			assert.ok(read <= 8 * 1024 * 1024 && requests <= 64, `${read} bytes, ${requests} requests`);
		}
	}
});

/** The head of an EBML file, up to the body of its segment of unknown size. */
function matroska(...parts: Buffer[]): Buffer {
	return Buffer.concat([
		Buffer.from('1a45dfa3a34286810142f7810142f2810442f381084282886d6174726f736b614287810442858102', 'hex'),
		Buffer.from('1853806701ffffffffffffff', 'hex'),
		...parts,
	]);
}

test('a parser that takes too long is stopped, and the next film is read', needsFfmpeg, async () => {
	const bytes = await makeFilm('tail.mkv');
	// The parser removes cues of the same time one by one.
	const cue = Buffer.from('bb8bb38100b786f78101f18100', 'hex');
	const cues = Buffer.alloc(800_000 * cue.length, cue);
	const cuesHead = Buffer.from('1c53bb6b10000000', 'hex');
	cuesHead.writeUInt32BE(0x10_00_00_00 + cues.length, 4);
	const infoAndTracks = bytes.subarray(
		bytes.indexOf(Buffer.from('1549a966', 'hex')),
		bytes.indexOf(Buffer.from('1f43b675', 'hex')),
	);
	const slow = matroska(cuesHead, cues, infoAndTracks);
	const {signal} = new AbortController();
	const read = async (start: number, _end: number, wish: number) => slow.subarray(start, wish);
	const reading = readInThread(slow.length, read, signal, fuzzWorkMs);
	const next = mapInThread(bytes);
	await assert.rejects(reading, {problem: 'too-slow'});
	assert.equal((await next).exact, true);
});

test('a parser that reads the same bytes without end is refused them', async () => {
	await assert.rejects(mapInThread(matroska(Buffer.alloc(100, 0xff))), {problem: 'damaged'});
});

test(
	'tables that claim billions of samples are read up to the number of their sizes',
	needsFfmpeg,
	async () => {
		const bytes = await makeFilm('front.mp4');
		const {durationMs} = await mapOf(bytes);
		const withTables = (change: (bytes: Buffer, table: number) => void, ...types: string[]) => {
			const changed = Buffer.from(bytes);
			for (const type of types) {
				for (let at = changed.indexOf(type); at !== -1; at = changed.indexOf(type, at + 4)) {
					change(changed, at + 4);
				}
			}

			return changed;
		};

		const largest = 0xff_ff_ff_ff;
		const inOneChunk = withTables((changed, table) => changed.writeUInt32BE(largest, table + 12), 'stsc');
		assert.equal((await mapInThread(inOneChunk)).durationMs, durationMs);
		// The list of key frames becomes one of offsets.
		const expanded = withTables(
			(changed, table) => changed.writeUInt32BE(largest, table + 8),
			'stts',
			'stss',
		);
		expanded.write('ctts', expanded.indexOf('stss'));
		assert.ok(Math.abs((await mapInThread(expanded)).durationMs - durationMs) < 100);
	},
);

test('fragments that claim billions of samples are refused', needsFfmpeg, async () => {
	const fragments = Buffer.from(await makeFilm('fragments.mp4'));
	for (let run = fragments.indexOf('trun'); run !== -1; run = fragments.indexOf('trun', run + 4)) {
		// All samples have the default size and duration.
		fragments.writeUInt32BE(1, run + 4);
		fragments.writeUInt32BE(0xff_ff_ff_ff, run + 8);
	}

	await assert.rejects(mapInThread(fragments), {problem: 'damaged'});

	const both = Buffer.from(await makeFilm('front.mp4'));
	both.write('mvex', both.indexOf('udta'));
	both.writeUInt32BE(0xff_ff_ff_ff, both.indexOf('stsc') + 16);
	await assert.rejects(mapInThread(both), {problem: 'damaged'});
});

test('an index that claims a billion samples ends without using much memory', needsFfmpeg, async () => {
	const bytes = await makeFilm('front.mp4');
	for (const table of ['stts', 'ctts', 'stsz', 'stsc', 'stco']) {
		const hostile = Buffer.from(bytes);
		for (let at = hostile.indexOf(table); at !== -1; at = hostile.indexOf(table, at + 4)) {
			// The number of entries, and the first field of the first one.
			hostile.writeUInt32BE(table === 'stsz' ? 1 : 0x3f_ff_ff_ff, at + 8);
			hostile.writeUInt32BE(0x3f_ff_ff_ff, at + 12);
		}

		const ended = await mapInThread(hostile).then(
			() => true,
			(error: unknown) => error instanceof Error,
		);
		assert.ok(ended, table);
	}

	const looped = box('moov', box('trak', Buffer.alloc(4)));
	looped.writeUInt32BE(0, 8);
	await assert.rejects(mapInThread(Buffer.concat([bytes.subarray(0, 32), looped])));
});

test('an aborted read of a film ends', needsFfmpeg, async () => {
	const bytes = await makeFilm('front.mp4');
	const abort = new AbortController();
	const silent = readInThread(bytes.length, () => new Promise(() => undefined), abort.signal);
	abort.abort(new Error('enough'));
	await assert.rejects(silent, /enough/);
	await assert.rejects(mapInThread(bytes, abort.signal), /enough/);
	assert.equal((await mapInThread(bytes)).exact, true);
});
