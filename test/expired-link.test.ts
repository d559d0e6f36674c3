// Errors that a new link may repair: the row, the footer and --resolve-with share one definition.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {reason} from '../source/text/status-words.ts';
import {hasExpired, type ErrorCode} from '../source/downstream.ts';
import {download, MemoryDownStream} from './support/memory-downstream.ts';
import {Screen} from './support/screen.tsx';

const errors: Array<[code: ErrorCode, status: number | undefined, message: string, isExpired: boolean]> = [
	['origin-refused', 401, '401 Unauthorized: a.example needs a token', true],
	['origin-refused', 403, '403 Forbidden from a.example', true],
	['origin-refused', 404, '404: no such file on the server a.example', true],
	['origin-refused', 410, '410 Gone: a.example no longer has the file', true],
	['origin-sent-page', 200, 'a.example sent a web page instead of the file', true],
	['origin-refused', 451, '404.example responds with status 451', false],
	['origin-refused', undefined, "404.example leads to this program's own stream", false],
	['origin-misbehaved', 206, 'a.example sends 403 bytes too many', false],
];

for (const [code, status, message, isExpired] of errors) {
	test(`${message}: ${isExpired ? 'a new link' : 'another try'} may help`, async t => {
		const error = {code, message, at: 0, ...(status !== undefined && {status})};
		const failed = download({status: 'failed', error, segments: [], connections: 0});
		assert.equal(hasExpired(error), isExpired);
		assert.equal(reason(failed, 0), `${message}. ${isExpired ? 'U new link' : 'r retry'}`);
		const screen = new Screen(t, new MemoryDownStream([failed]), {columns: 120, rows: 30});
		await screen.shows('film.mkv');
		assert.equal(/U new link/.test(screen.text), isExpired, screen.text);
	});
}
