// The input of each section of the bench.
import type {TestContext} from 'node:test';
import type {Report} from './report.ts';

export type Bench = {
	readonly report: Report;
	readonly rounds: number;
	/** Size of `/film.bin` in bytes. */
	readonly size: number;
	/** The folder that origins serve. */
	readonly root: string;
	/** Runs a function, then ends everything that it started, even if it throws. */
	readonly scope: <Result>(body: (t: TestContext) => Promise<Result>) => Promise<Result>;
};
