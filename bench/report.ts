// The table: each figure beside a peer's from the same rounds, with its goal.
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import {median} from './measure.ts';

export type Goal = {readonly sign: '≥' | '≤'; readonly bound: number};

export function atLeast(bound: number): Goal {
	return {sign: '≥', bound};
}

export function atMost(bound: number): Goal {
	return {sign: '≤', bound};
}

type Figure = {
	readonly section: string;
	readonly what: string;
	readonly unit: string;
	readonly ours: number;
	readonly peer?: {readonly name: string; readonly value: number};
	/** Ours divided by the peer's: the median of the ratios of the rounds. */
	readonly ratio?: number;
	readonly goal?: Goal;
	readonly isMet?: boolean;
};

export class Report {
	readonly #figures: Figure[] = [];
	readonly #skipped = new Set<string>();
	readonly #notes: string[] = [];
	#section = '';

	begin(section: string): void {
		this.#section = section;
		process.stdout.write(`\n${section}\n${cells('', 'ours', 'peer', '', 'ratio', 'goal', '')}\n`);
	}

	/** Compares our samples with a peer's from the same rounds. The goal applies to the ratio. */
	compare(
		what: string,
		unit: string,
		ours: readonly number[],
		peer: string,
		theirs: readonly number[] | undefined,
		goal?: Goal,
	): void {
		if (theirs === undefined) {
			this.skip(peer);
			return;
		}

		const ratio = median(ours.map((value, round) => value / theirs[round]!));
		this.#add(
			{what, unit, ours: median(ours), peer: {name: peer, value: median(theirs)}, ratio, goal},
			ratio,
		);
	}

	/** A figure without a peer. The goal applies to the figure. */
	state(what: string, unit: string, value: number, goal?: Goal): void {
		this.#add({what, unit, ours: value, goal}, value);
	}

	/** Reports a peer that is not installed. */
	skip(peer: string): void {
		if (!this.#skipped.has(peer)) {
			this.#skipped.add(peer);
			process.stdout.write(`  ${peer} is not installed: skipped\n`);
		}
	}

	/** Says in how many turns a program did not find its memory ready (`readyMemory`), if any. */
	noteMemory(what: string, wasReady: readonly boolean[]): void {
		const count = wasReady.filter(ready => !ready).length;
		if (count > 0) {
			const note = `${what}: in ${count} of ${wasReady.length} turns the machine was not warm, so writing took longer`;
			this.#notes.push(note);
			process.stdout.write(`  ${note}\n`);
		}
	}

	#add(figure: Omit<Figure, 'section' | 'isMet'>, judged: number): void {
		const {what, unit, ours, peer, ratio, goal} = figure;
		const isMet = goal && (goal.sign === '≥' ? judged >= goal.bound : judged <= goal.bound);
		this.#figures.push({section: this.#section, ...figure, isMet});
		process.stdout.write(
			`${cells(
				what,
				`${number(ours)} ${unit}`,
				peer ? `${number(peer.value)} ${unit}` : '',
				peer?.name ?? '',
				ratio === undefined ? '' : ratio.toFixed(2),
				goal ? `${goal.sign} ${goal.bound}` : '',
				isMet === undefined ? '' : isMet ? 'met' : 'NOT MET',
			)}\n`,
		);
	}

	/** Writes all figures as JSON and resolves with the path of the file. */
	async save(facts: object): Promise<string> {
		const folder = path.join(import.meta.dirname, 'results');
		await mkdir(folder, {recursive: true});
		const file = path.join(folder, `${new Date().toISOString().replaceAll(':', '-')}.json`);
		await writeFile(
			file,
			JSON.stringify(
				{...facts, skipped: [...this.#skipped], notes: this.#notes, figures: this.#figures},
				undefined,
				'\t',
			),
		);
		return file;
	}

	get missed(): number {
		return this.#figures.filter(({isMet}) => isMet === false).length;
	}
}

function cells(...[what, ours, peer, name, ratio, goal, verdict]: string[]): string {
	return `  ${what!.padEnd(62)} ${ours!.padStart(14)} ${peer!.padStart(14)}  ${name!.padEnd(20)} ${ratio!.padStart(6)}  ${goal!.padEnd(7)} ${verdict!}`.trimEnd();
}

function number(value: number): string {
	return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
