// Recognizes films and audio by their first bytes: the parser gets no other file. Pure.

/** Bytes that `looksLikeFilm` needs. */
export const signatureBytes = 512;

export function looksLikeFilm(head: Uint8Array): boolean {
	const text = (start: number, end: number) => String.fromCharCode(...head.subarray(start, end));
	const isTransportStream = (first: number) =>
		[0, 1, 2].every(packet => head[first + packet * 188] === 0x47 || first + packet * 188 >= head.length);
	const isAudioFrame = head[0] === 0xff && (head[1]! & 0xe0) === 0xe0;
	return (
		['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'styp', 'sidx'].includes(text(4, 8)) ||
		text(0, 4) === '\u001A\u0045\u00DF\u00A3' ||
		['OggS', 'fLaC', 'RF64'].includes(text(0, 4)) ||
		(text(0, 4) === 'RIFF' && text(8, 12) === 'WAVE') ||
		text(0, 3) === 'ID3' ||
		isAudioFrame ||
		(head.length > 188 && isTransportStream(0))
	);
}
