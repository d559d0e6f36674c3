// Serializes work on films: one download at a time.

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
