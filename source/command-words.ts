// A command as one types it, taken apart for a start without a shell.
import {parse} from 'shell-quote';

/** Its words; undefined if it is more than one plain command. Nothing is expanded: a variable stays as it was typed. */
export function commandWords(command: string): string[] | undefined {
	const words = parse(command, name => `$${name}`);
	const plain = words.filter(word => typeof word === 'string');
	return plain.length > 0 && plain.length === words.length ? plain : undefined;
}
