// A player that accepts a cut stream without an error.

/** `range`: the value of the header, such as `bytes=0-99`. */
export async function read(
	url: string,
	range?: string,
): Promise<{status: number; headers: Headers; bytes: Buffer; isCut: boolean}> {
	const response = await fetch(url, {headers: range === undefined ? {} : {range}});
	const chunks: Uint8Array[] = [];
	let isCut = false;
	try {
		for await (const chunk of response.body ?? []) {
			chunks.push(chunk as Uint8Array);
		}
	} catch {
		isCut = true;
	}

	return {status: response.status, headers: response.headers, bytes: Buffer.concat(chunks), isCut};
}
