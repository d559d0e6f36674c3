// Why a file has no film map.
import type {FilmProblem} from '../../downstream.ts';

/** Without a `problem`, the file is no film; the message is for the log. */
export class NoFilm extends Error {
	readonly problem: FilmProblem | undefined;

	constructor(problem: FilmProblem | undefined, message: string) {
		super(message);
		this.problem = problem;
	}
}
