// Headers as they are typed: `Name: value`, one on each line.
import {DownStreamError} from '../downstream.ts';
import {reservedHeaders} from '../engine/http/headers.ts';

/** Throws `bad-request`; `by` names what they were given with. */
export function headersFrom(by: string, lines: readonly string[]): Record<string, string> {
	const found: Record<string, string> = {};
	for (const line of lines) {
		const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*)$/s.exec(line) ?? [];
		if (name === undefined || value === undefined) {
			// The whole line may be a secret.
			throw new DownStreamError('bad-request', `${by}: it must be written 'Name: value'`);
		}

		if (reservedHeaders.test(name)) {
			throw new DownStreamError('bad-request', `${by} ${name}: the program sets that header itself`);
		}

		found[name] = checkedValue(`${by} ${name}`, value);
	}

	return found;
}

/** Throws `bad-request` for what no header can carry. */
export function checkedValue(by: string, value: string): string {
	if (/[^\t\x20-\x7E\x80-\xFF]/.test(value)) {
		throw new DownStreamError(
			'bad-request',
			`${by}: the value has a line break or a character that no header can carry`,
		);
	}

	return value;
}
