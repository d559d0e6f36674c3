// Reads typed headers: one `Name: value` per line.
import {DownStreamError} from '../downstream.ts';
import {reservedHeaders} from '../engine/http/headers.ts';

/** Throws `bad-request`. `by` names the source in the error, such as `--header`. */
export function headersFrom(by: string, lines: readonly string[]): Record<string, string> {
	const found: Record<string, string> = {};
	for (const line of lines) {
		const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*)$/s.exec(line) ?? [];
		if (name === undefined || value === undefined) {
			// The line may be a secret, so the error leaves it out.
			throw new DownStreamError('bad-request', `${by}: it must have the form 'Name: value'`);
		}

		if (reservedHeaders.test(name)) {
			throw new DownStreamError('bad-request', `${by} ${name}: the program sets that header itself`);
		}

		found[name] = checkedValue(`${by} ${name}`, value);
	}

	return found;
}

/** Throws `bad-request` for characters that a header cannot contain. */
export function checkedValue(by: string, value: string): string {
	if (/[^\t\x20-\x7E\x80-\xFF]/.test(value)) {
		throw new DownStreamError(
			'bad-request',
			`${by}: the value has a line break or a character that a header cannot contain`,
		);
	}

	return value;
}
