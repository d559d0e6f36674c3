// The shape that every section of the bench is given.
import type {TestContext} from 'node:test';
import type {Report} from './report.ts';

export type Bench = {
	readonly report: Report;
	readonly rounds: number;
	/** Bytes of `/film.bin`. */
	readonly size: number;
	/** What origins serve. */
	readonly root: string;
	/** Runs something and ends what it started, also if it throws. */
	readonly scope: <Result>(body: (t: TestContext) => Promise<Result>) => Promise<Result>;
};
