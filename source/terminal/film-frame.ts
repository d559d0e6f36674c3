// Makes pictures of a film with ffmpeg, from cached bytes only.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {constants, setPriority} from 'node:os';
import process from 'node:process';
import {frameSize} from '../dashboard/frames.ts';

const limitMs = 20_000;
/** Other formats may name files and URLs to read. */
const formats = 'mov,matroska,mpegts,ogg';

/**
 * The picture of a film at a time in milliseconds: that of the key frame before it, cropped to `frameSize`. Undefined if
 * there is none. Rejects with one sentence without ffmpeg, and with any error once the signal has ended it.
 */
export async function filmFrame(
	streamUrl: string,
	ms: number,
	signal: AbortSignal,
): Promise<Uint8Array | undefined> {
	const {width, height} = frameSize;
	const scaled = `scale=w='min(1000,max(${width},${height}*dar))':h='min(1000,max(${height},${width}/dar))'`;
	const ffmpeg = spawn(
		'ffmpeg',
		[
			...['-v', 'quiet', '-nostdin', '-threads', '1', '-format_whitelist', formats],
			...['-noaccurate_seek', '-ss', `${ms / 1000}`, '-i', `${streamUrl}?cached`],
			...['-map', '0:V:0', '-frames:v', '1', '-vf', `${scaled},crop=${width}:${height}`],
			...['-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'],
		],
		{
			// An upstream proxy does not reach this machine.
			env: {...process.env, no_proxy: '127.0.0.1'},
			stdio: ['ignore', 'pipe', 'ignore'],
			signal,
			timeout: limitMs,
			killSignal: 'SIGKILL',
		},
	);
	const pieces: Buffer[] = [];
	ffmpeg.stdout.on('data', (piece: Buffer) => pieces.push(piece));
	try {
		await once(ffmpeg, 'spawn');
	} catch {
		throw new Error('frames need ffmpeg, which is not installed');
	}

	try {
		setPriority(ffmpeg.pid!, constants.priority.PRIORITY_BELOW_NORMAL);
	} catch {
		// It may have ended.
	}

	await once(ffmpeg, 'close');
	const pixels = Buffer.concat(pieces);
	return pixels.length === width * height * 3 ? pixels : undefined;
}
