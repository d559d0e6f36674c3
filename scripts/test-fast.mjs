// `npm run test:fast`: all tests except those that wait for real time, kill processes or start whole programs.
import {spawnSync} from 'node:child_process';
import {readdirSync} from 'node:fs';
import path from 'node:path';
import process from 'node:process';

const root = path.resolve(import.meta.dirname, '..');
const slow = new Set([
	...[
		'at-the-same-time',
		'changed-behind',
		'crash',
		'crash-loop',
		'crash-points',
		'delivery',
		'disk-trouble',
		'doors',
	],
	...[
		'downstream-contract',
		'faults',
		'host-limits',
		'load',
		'odd-responses',
		'origin-fallbacks',
		'outages',
		'pages',
	],
	...['players', 'resolve-with', 'soak', 'transfer', 'two-players', 'unwritable', 'update', 'upstream-proxy'],
	...[
		'verify',
		'versions',
		'whole-responses',
		'without-lock',
		'expired-link',
		'huge-sizes',
		'fuzz',
		'http-client',
	],
	...[
		'commands',
		'completion',
		'content-coding',
		'dashboard-crash',
		'dashboard-terminal',
		'examples',
		'executable',
	],
	...[
		'get',
		'get-beside',
		'get-output',
		'library',
		'library-package',
		'library-wait',
		'output',
		'package',
		'play',
	],
	...[
		'vscode-terminal',
		'vscode-doc',
		'entrances',
		'cli',
		'secrets',
		'list',
		'hints',
		'storage-lock',
		'terminal-modes',
	],
]);
const files = readdirSync(path.join(root, 'test'))
	.filter(file => file.includes('.test.ts') && !slow.has(file.slice(0, file.indexOf('.'))))
	.map(file => path.join('test', file));
const {status} = spawnSync(
	process.execPath,
	[
		'--import',
		'tsx',
		'--import',
		'./test/support/end-process.mjs',
		'--test',
		'--test-concurrency=2',
		'--test-reporter=dot',
		...files,
	],
	{cwd: root, stdio: 'inherit'},
);
process.exitCode = status ?? 1;
