// The environment of a command that manages the list.
import type {AddRequest} from '../../downstream.ts';
import type {Settings} from '../settings.ts';

export type CommandOutput = {
	/** One line of the result. */
	result(text: string): void;
	error(message: string): void;
	/** A message for people, in place of an empty result. */
	note(text: string): void;
};

/** The only difference between the command line and the REPL. */
export type CommandContext = {
	readonly settings: Pick<Settings, 'json' | 'port' | 'deleteData'> &
		Partial<
			Pick<
				Settings,
				| 'places'
				| 'overwrite'
				| 'keepBoth'
				| 'move'
				| 'whenComplete'
				| 'all'
				| 'storageDir'
				| 'from'
				| 'by'
				| 'wait'
			>
		>;
	readonly output: CommandOutput;
	/** Requests for one operand of `add`. */
	readonly requestsOf: (word: string) => Promise<AddRequest[]>;
	/** No instance runs. */
	readonly isOffline?: boolean;
};
