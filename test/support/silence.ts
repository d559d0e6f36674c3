// Silence as WAV: a film of any length, made without a program, with a linear map from bytes to time.

const headBytes = 44;
/** Bytes of one sample of two channels. */
const sampleBytes = 4;

/** Bytes per second of 16-bit stereo sound. */
export const silenceRate = 44_100 * sampleBytes;

/** `rate`: samples per second; up to 192,000, players take a few megabytes per second. */
export function silence(seconds: number, rate = 44_100): Buffer {
	const bytes = seconds * rate * sampleBytes;
	const file = Buffer.alloc(headBytes + bytes);
	file.write('RIFF', 0);
	file.writeUInt32LE(headBytes - 8 + bytes, 4);
	file.write('WAVEfmt ', 8);
	file.writeUInt32LE(16, 16);
	file.writeUInt16LE(1, 20);
	file.writeUInt16LE(2, 22);
	file.writeUInt32LE(rate, 24);
	file.writeUInt32LE(rate * sampleBytes, 28);
	file.writeUInt16LE(sampleBytes, 32);
	file.writeUInt16LE(16, 34);
	file.write('data', 36);
	file.writeUInt32LE(bytes, 40);
	return file;
}
