// Many small things that each wait for the disk: a few at once, so that neither time nor descriptors run out.

const atOnce = 16;

/** Rejects with the first rejection; what was begun by then goes on. */
export async function inTurns<Item>(
	items: readonly Item[],
	act: (item: Item) => Promise<void>,
): Promise<void> {
	const rest = items.values();
	const worker = async () => {
		for (const item of rest) {
			await act(item);
		}
	};
	await Promise.all(Array.from({length: Math.min(atOnce, items.length)}, worker));
}
