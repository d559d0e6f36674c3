// Names of options, checked for misspelling.
import {DownStreamError} from '../downstream.ts';
import {nearestWord} from './nearest-word.ts';

/** Throws `bad-request` for the first option with an unknown name, such as `There is no option portt; did you mean port?` */
export function checkOptionNames(options: object, names: readonly string[]): void {
	const unknown = Object.keys(options).find(name => !names.includes(name));
	if (unknown !== undefined) {
		const near = nearestWord(unknown, names);
		const advice = near === undefined ? `the options are ${names.join(', ')}` : `did you mean ${near}?`;
		throw new DownStreamError('bad-request', `There is no option ${unknown}; ${advice}`);
	}
}
