// Suggests the intended word for a typo. Pure.

/** Returns undefined if no word is close: one edit is allowed per three letters, and one in a word of two. */
export function nearestWord(typed: string, words: readonly string[]): string | undefined {
	const [nearest] = words
		.map(word => ({word, distance: editDistance(typed, word)}))
		.filter(({word, distance}) => distance <= Math.min(errorsIn(word), errorsIn(typed)))
		.toSorted((a, b) => a.distance - b.distance);
	return nearest?.word;
}

function errorsIn(word: string): number {
	return /^[^-].$/.test(word) ? 1 : Math.floor(word.length / 3);
}

/** Optimal string alignment distance: insertions, deletions, substitutions and transpositions of neighbors. */
function editDistance(from: string, to: string): number {
	const rows = [Array.from({length: to.length + 1}, (_, column) => column)];
	for (let row = 1; row <= from.length; row++) {
		const above = rows[row - 1]!;
		const current = [row];
		for (let column = 1; column <= to.length; column++) {
			const isSame = from[row - 1] === to[column - 1];
			const isSwapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
			current[column] = Math.min(
				above[column]! + 1,
				current[column - 1]! + 1,
				above[column - 1]! + (isSame ? 0 : 1),
				isSwapped ? rows[row - 2]![column - 2]! + 1 : Infinity,
			);
		}

		rows.push(current);
	}

	return rows[from.length]![to.length]!;
}
