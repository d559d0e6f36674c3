import assert from 'node:assert/strict';
import {readdir} from 'node:fs/promises';
import {userInfo} from 'node:os';
import path from 'node:path';
import {test} from 'node:test';
import {userFolders} from '../source/home-folder.ts';
import {CliProcess} from './support/cli.ts';
import {temporaryFolder} from './support/engines.ts';

const {homedir} = userInfo();
const isPosix = process.platform !== 'win32';

test('the folders of a program follow the conventions of each platform', {skip: !isPosix}, () => {
	const environment = {XDG_CACHE_HOME: '/caches', XDG_CONFIG_HOME: '/settings'};
	assert.deepEqual(userFolders('p', environment, 'linux'), {cache: '/caches/p', config: '/settings/p'});
	for (const relative of ['', 'caches', './caches', '~/caches']) {
		const ignored = {XDG_CACHE_HOME: relative, XDG_CONFIG_HOME: relative};
		const {HOME} = process.env;
		process.env.HOME = '/home/me';
		assert.deepEqual(userFolders('p', ignored, 'linux'), {
			cache: '/home/me/.cache/p',
			config: '/home/me/.config/p',
		});
		assert.equal(userFolders('p', ignored, 'darwin').cache, '/home/me/Library/Caches/p');
		process.env.HOME = HOME;
	}
});

test('an empty or relative HOME puts no file into the working folder', {skip: !isPosix}, async t => {
	const cwd = await temporaryFolder(t);
	for (const HOME of ['', 'home']) {
		// The help names the storage folder and touches no file.
		const env = {HOME, NODE_DISABLE_COMPILE_CACHE: '1', XDG_CONFIG_HOME: ''};
		const help = await CliProcess.start(t, ['--help'], {cwd, env});
		assert.equal(await help.exit(), 0, help.stderr);
		const [, storage = ''] = /--storage .*?\(default: (\S+)\)/s.exec(help.stdout) ?? [];
		assert.equal(storage.replace(/^~/, homedir), path.join(homedir, '.cache/downstream-tui'));
	}

	assert.deepEqual(await readdir(cwd), []);
});

test('a relative XDG_CACHE_HOME is ignored', {skip: !isPosix}, async t => {
	const cwd = await temporaryFolder(t);
	const HOME = await temporaryFolder(t);
	const env = {HOME, XDG_CACHE_HOME: 'caches', XDG_CONFIG_HOME: 'settings'};
	const add = await CliProcess.start(t, ['list', '--json'], {cwd, env});
	assert.equal(await add.exit(), 0, add.stderr);
	assert.deepEqual(await readdir(cwd), []);
	assert.ok((await readdir(path.join(HOME, '.cache'))).includes('downstream-tui'));
});
