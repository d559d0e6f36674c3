// Ends the process of a test file shortly after its last test, whatever handles are left. Node's --test-force-exit ends it
// before all results are reported.
import process from 'node:process';
import {after} from 'node:test';

/** Milliseconds in which results are reported. */
const reportMs = 1000;

// The runner itself, which imports this as well, ends with its last file.
if (process.env.NODE_TEST_CONTEXT) {
	after(() => {
		setTimeout(() => process.exit(), reportMs).unref();
	});
}
