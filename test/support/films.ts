// Films made by ffmpeg, and an origin that serves one.
import {execFile} from 'node:child_process';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {TestContext} from 'node:test';
import {promisify} from 'node:util';
import type {PresentSet} from '../../source/engine/store/range-set.ts';
import {startOrigin} from './engines.ts';
import type {OriginOptions, TestOrigin} from './origin.ts';

const seconds = 40;
const picture = ['-f', 'lavfi', '-i', `testsrc2=size=320x180:rate=25:duration=${seconds}`];
const sound = ['-f', 'lavfi', '-i', `sine=frequency=300:duration=${seconds}`];
/** One half is a still picture, so time and bytes are not proportional. */
const uneven = ['-vf', `loop=loop=${seconds * 12}:size=1:start=0`];
const h264 = [
	'-c:v',
	'libx264',
	'-preset',
	'ultrafast',
	'-g',
	'50',
	'-c:a',
	'aac',
	'-metadata:s:a',
	'language=deu',
];
/** An input of ffmpeg. */
const text = (format: string, content: string) => [
	...['-f', format, '-i', `data:text/plain;base64,${Buffer.from(content).toString('base64')}`],
];
const subtitles = text(
	'srt',
	['01,0 --> 00:00:03,0', '06,0 --> 00:00:16,0', '22,0 --> 00:00:24,0', '30,0 --> 00:00:38,0']
		.map((times, line) => `${line + 1}\n00:00:${times}\nline\n`)
		.join('\n'),
);
const chapters = text(
	'ffmetadata',
	';FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=20\ntitle=A\n[CHAPTER]\nTIMEBASE=1/1\nSTART=20\nEND=40\ntitle=B\n',
);
const subtitled = [...picture, ...sound, ...subtitles, ...h264, '-b:v', '500k'];
const film = [...picture, ...sound, ...uneven, '-t', String(seconds), ...h264];

/** The arguments of ffmpeg for each file name. */
export const films = {
	'front.mp4': [...film, '-movflags', '+faststart'],
	'tail.mp4': film,
	'large.mp4': [...picture, ...sound, ...h264, '-b:v', '2M', '-minrate', '2M'],
	'fragments.mp4': [...film, '-movflags', '+frag_keyframe+empty_moov'],
	'large-fragments.mp4': [
		...[...picture, ...sound, ...h264, '-b:v', '2M', '-minrate', '2M'],
		...['-movflags', '+frag_keyframe+empty_moov'],
	],
	'indexed.mp4': [...film, '-movflags', '+dash+frag_keyframe+global_sidx+delay_moov'],
	'parts.mp4': [...film, '-movflags', '+dash+frag_keyframe+delay_moov'],
	'sound.m4a': [...sound, '-c:a', 'aac'],
	'subtitles.mp4': [...subtitled, '-c:s', 'mov_text', '-movflags', '+faststart'],
	'subtitles.mkv': [...subtitled, '-c:s', 'srt'],
	// Its cues state no durations.
	'empty-subtitles.mkv': [
		...picture,
		...sound,
		...text('srt', '1\n'),
		...h264,
		'-b:v',
		'500k',
		'-c:s',
		'srt',
	],
	'chapters.m4b': [...sound, ...chapters, '-map_metadata', '1', '-c:a', 'aac', '-f', 'ipod'],
	'tail.mkv': film,
	'front.mkv': [...film, '-reserve_index_space', '50k', '-cues_to_front', '1'],
	'live.mkv': [...film, '-live', '1'],
	'tail.webm': [
		...['-f', 'lavfi', '-i', `testsrc2=size=160x90:rate=10:duration=${seconds}`, ...sound],
		...['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-g', '20', '-c:a', 'libopus'],
	],
	'stream.ts': film,
	'variable.mp3': [...sound, '-c:a', 'libmp3lame', '-q:a', '4'],
	'constant.mp3': [...sound, '-c:a', 'libmp3lame', '-b:a', '96k', '-write_xing', '0'],
	'sound.ogg': [...sound, '-c:a', 'libvorbis'],
	'sound.flac': sound,
	'sound.wav': sound,
	'sound.aac': [...sound, '-c:a', 'aac'],
} as const;

export type FilmName = keyof typeof films;

/** Milliseconds of each film. */
export const filmMs = seconds * 1000;

const made = new Map<FilmName, Promise<Buffer>>();

/** Resolves with the bytes of the film, which is made once per process. */
export function makeFilm(name: FilmName): Promise<Buffer> {
	const bytes = made.get(name) ?? make(name);
	made.set(name, bytes);
	return bytes;
}

async function make(name: FilmName): Promise<Buffer> {
	const folder = await mkdtemp(path.join(tmpdir(), 'downstream-film-'));
	try {
		const file = path.join(folder, name);
		await promisify(execFile)('ffmpeg', ['-v', 'error', '-y', ...films[name], file]);
		return await readFile(file);
	} finally {
		await rm(folder, {recursive: true, force: true});
	}
}

/** An origin of the film. With `present`, each response stalls at the first byte outside it. */
export async function serveFilm(
	t: TestContext,
	bytes: Buffer,
	{present, ...options}: Partial<OriginOptions> & {present?: PresentSet} = {},
): Promise<TestOrigin> {
	return startOrigin(t, {
		size: bytes.length,
		bytes,
		etag: '"film"',
		headers: {'content-type': 'video/mp4'},
		...options,
		...(present && {
			intercept(_request, response, {range}) {
				const {start, end} = range ?? {start: 0, end: bytes.length};
				response.writeHead(range ? 206 : 200, {
					'content-length': end - start,
					'accept-ranges': 'bytes',
					...(range && {'content-range': `bytes ${start}-${end - 1}/${bytes.length}`}),
				});
				response.flushHeaders();
				response.write(bytes.subarray(start, Math.min(end, present.runEnd(start))));
				if (present.runEnd(start) >= end) {
					response.end();
				}

				return true;
			},
		}),
	});
}
