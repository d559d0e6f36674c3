// Orders work: one act after the other, or one act for all calls of a tick.

type InTurn = <T>(act: () => Promise<T>) => Promise<T>;

/** Returns a function that calls `act` once all its earlier calls have settled. */
export function turns(): InTurn {
	let last: Promise<unknown> = Promise.resolve();
	return act => {
		const result = last.then(act);
		last = result.catch(() => undefined);
		return result;
	};
}

/** Returns a function that calls `act` in a microtask. Calls of one tick share it. */
export function coalesced(act: () => void): () => void {
	let isDue = false;
	return () => {
		if (!isDue) {
			isDue = true;
			queueMicrotask(() => {
				isDue = false;
				act();
			});
		}
	};
}
