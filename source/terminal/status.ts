// The window title and the tab's progress, visible while the user looks elsewhere.
import {formatSpeed} from '../text/format.ts';
import {isFetching, type Snapshot} from '../downstream.ts';

/** Some terminals clear the progress after 15 s. */
const repeatMs = 10_000;
const titleMs = 1000;

type StatusOptions = {
	readonly hasTitle: boolean;
	/** The terminal shows OSC 9;4. */
	readonly hasProgress: boolean;
	readonly write: (sequence: string) => void;
};

/** Writes only changes. */
export class TerminalStatus {
	readonly #options: StatusOptions;
	#title = '';
	#titleAt = 0;
	#progress = '';
	#progressAt = 0;

	constructor(options: StatusOptions) {
		this.#options = options;
	}

	show(snapshot: Snapshot, now: number): void {
		const {hasTitle, hasProgress, write} = this.#options;
		const {percent, state} = overallProgress(snapshot);
		const isBusy = state === 1 || state === 3;
		const prefix = percent === undefined ? '' : `${percent}% `;
		const title = isBusy ? `${prefix}${formatSpeed(snapshot.bytesPerSecond)} - downstream` : 'downstream';
		// A changed speed alone does not update the title.
		const key = title.replace(/ .*\/s/, '');
		if (hasTitle && key !== this.#title && now - this.#titleAt >= titleMs) {
			this.#title = key;
			this.#titleAt = now;
			write(`\u001B]2;${title}\u001B\\`);
		}

		const progress = `${state};${state === 0 || state === 3 ? 0 : (percent ?? 0)}`;
		const needsRefresh = state !== 0 && now - this.#progressAt >= repeatMs;
		if (
			hasProgress &&
			(progress !== this.#progress || needsRefresh) &&
			!(this.#progress === '' && state === 0)
		) {
			this.#progress = progress;
			this.#progressAt = now;
			write(`\u001B]9;4;${progress}\u0007`);
		}
	}

	/**
	 * Clears the title and progress. Terminals that save titles restore theirs afterwards; others show their default.
	 */
	end(): void {
		if (this.#title !== '') {
			this.#options.write('\u001B]2;\u001B\\');
			this.#title = '';
		}

		if (this.#progress !== '' && !this.#progress.startsWith('0;')) {
			this.#options.write('\u001B]9;4;0\u0007');
			this.#progress = '';
		}
	}
}

/** States of OSC 9;4: 0 idle, 1 running, 2 the last one failed, 3 running without a known size, 4 all paused. */
export function overallProgress({downloads}: Snapshot): {
	percent: number | undefined;
	state: 0 | 1 | 2 | 3 | 4;
} {
	const running = downloads.filter(download => isFetching(download));
	const sized = running.filter(({size}) => size !== null);
	const total = sized.reduce((sum, {size}) => sum + (size ?? 0), 0);
	const present = sized.reduce((sum, download) => sum + download.present, 0);
	const percent = total > 0 ? Math.floor((present * 100) / total) : undefined;
	if (running.length > 0) {
		return {percent, state: percent === undefined ? 3 : 1};
	}

	const unfinished = downloads.filter(({status}) => status !== 'complete' && status !== 'cancelled');
	if (unfinished.length === 0) {
		return {percent: undefined, state: 0};
	}

	return unfinished.some(({status}) => status === 'failed')
		? {percent: 100, state: 2}
		: {percent: undefined, state: unfinished.every(({status}) => status === 'paused') ? 4 : 0};
}

export type TabProgress = 'auto' | 'always' | 'never';

/** `auto`: in terminals that show OSC 9;4 as progress; others would raise a notification each time. */
export function showsProgress(setting: TabProgress, environment: NodeJS.ProcessEnv): boolean {
	return setting === 'auto' ? supportsProgress(environment) : setting === 'always';
}

function supportsProgress(environment: NodeJS.ProcessEnv): boolean {
	const {TMUX, STY, WT_SESSION, ConEmuANSI, TERM_PROGRAM, TERM_PROGRAM_VERSION = ''} = environment;
	if (TMUX || STY) {
		return false;
	}

	const version = TERM_PROGRAM_VERSION.split(/[.-]/).map(Number);
	const atLeast = (...minimum: number[]) => {
		const differs = minimum.findIndex((part, index) => (version[index] ?? 0) !== part);
		return differs === -1 || (version[differs] ?? 0) > minimum[differs]!;
	};
	switch (TERM_PROGRAM) {
		case 'vscode':
			return true;
		case 'ghostty':
			return atLeast(1, 2);
		case 'WezTerm':
			return atLeast(20_250_209);
		case 'iTerm.app':
			return atLeast(3, 6, 6);
		default:
			return WT_SESSION !== undefined || ConEmuANSI === 'ON';
	}
}
