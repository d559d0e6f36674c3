// Loads the files of the program. They are CommonJS: Node's loader of ES modules takes a millisecond for each, and Node 20 keeps
// none of their compiled code.
import {readFileSync} from 'node:fs';
import {wrap} from 'node:module';
import path from 'node:path';
import process from 'node:process';
import {userFolders} from '../home-folder.ts';
import {CodeCache} from './code-cache.ts';

/** A hash of the files; empty if they have source maps, which only Node's own loader reads. */
declare const build: string;

type Wrapper = (
	exports: object,
	require: (name: string) => unknown,
	module: {exports: object},
	filename: string,
	dirname: string,
) => void;

const program = './program.cjs';

function load(): void {
	if (build === '' || process.env.NODE_DISABLE_COMPILE_CACHE) {
		require(program);
	} else {
		loader(new CodeCache(path.join(userFolders('downstream-tui-program').cache, 'compiled'), build))(program);
	}
}

/** A `require` for the files of the bundle. */
function loader(cache: CodeCache): (name: string) => unknown {
	const modules = new Map<string, {exports: object}>();
	const requireFile = (name: string): unknown => {
		if (!name.startsWith('./')) {
			return require(name);
		}

		const known = modules.get(name);
		if (known) {
			return known.exports;
		}

		const module = {exports: {}};
		modules.set(name, module);
		const file = path.join(__dirname, name);
		const script = cache.compile(name, wrap(readFileSync(file, 'utf8')), file);
		(script.runInThisContext() as Wrapper)(module.exports, requireFile, module, file, __dirname);
		return module.exports;
	};

	return requireFile;
}

load();
