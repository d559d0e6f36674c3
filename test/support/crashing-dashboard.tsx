// A dashboard that crashes; the argument selects how.
import process from 'node:process';
import {showDashboard} from '../../source/terminal/show-dashboard.tsx';
import {MemoryDownStream} from './memory-downstream.ts';

const downstream = new MemoryDownStream();
const ways: Record<string, () => void> = {
	timer() {
		setTimeout(() => {
			throw new Error('broken');
		});
	},
	rejection() {
		void Promise.reject(new Error('broken'));
	},
	component() {
		downstream.change({
			get downloads(): never {
				throw new Error('broken');
			},
		});
	},
};

process.stdin.once('data', ways[process.argv[2]!]!);
const end = await showDashboard(downstream, {
	ascii: false,
	exportDir: '/',
	theme: 'plain',
	mayAnswerLate: false,
	tabProgress: 'auto',
	title: false,
	mouse: false,
	bell: false,
	attachment: undefined,
	keys: process.stdin,
	continues: 'always',
	play: async () => 'nothing',
});
process.exitCode = end === 'crash' ? 70 : 0;
process.stdin.unref();
