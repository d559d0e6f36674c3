// One film map is read at a time, whatever number of downloads begins at once.

let last: Promise<unknown> = Promise.resolve();

/** Calls `act` once all earlier calls have settled. */
export function inTurn<T>(act: () => Promise<T>): Promise<T> {
	const result = last.then(act);
	last = result.catch(() => undefined);
	return result;
}
