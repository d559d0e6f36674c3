// Cleanups run in reverse order: a program ends before the removal of its folder.
import type {TestContext} from 'node:test';

type Cleanup = () => unknown;

const cleanups = new WeakMap<TestContext, Cleanup[]>();

export function atEnd(t: TestContext, cleanup: Cleanup): void {
	let stack = cleanups.get(t);
	if (!stack) {
		const created: Cleanup[] = [];
		stack = created;
		cleanups.set(t, created);
		t.after(async () => {
			for (const next of created.toReversed()) {
				await next();
			}
		});
	}

	stack.push(cleanup);
}

/** For programs that use test support outside a test: `end` runs all cleanups. */
export function withoutTest(): {t: TestContext; end: () => Promise<void>} {
	const endings: Cleanup[] = [];
	const t = {after: (ending: Cleanup) => void endings.push(ending)} as unknown as TestContext;
	return {
		t,
		async end() {
			for (const ending of endings.toReversed()) {
				await ending();
			}
		},
	};
}
