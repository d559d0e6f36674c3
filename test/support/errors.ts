// Expectations of errors, for `assert.rejects` and `assert.throws`.
import assert from 'node:assert/strict';
import {DownStreamError} from '../../source/downstream.ts';

/** A `DownStreamError` with the code, and a message that matches. */
export function withCode(code: string, message = /./) {
	return (error: unknown): true => {
		assert.ok(error instanceof DownStreamError, String(error));
		assert.equal(error.code, code, error.message);
		assert.match(error.message, message);
		return true;
	};
}
