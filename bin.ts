// The program's first file: an older Node cannot run the others, so its version is checked before they are loaded.
declare const requiredNode: string;
declare const bundledVersion: string;

const [major, minor] = process.versions.node.split('.').map(Number);
const [requiredMajor, requiredMinor] = requiredNode.split('.').map(Number);
const [word, ...others] = process.argv.slice(2);
if (major! < requiredMajor! || (major === requiredMajor && minor! < requiredMinor!)) {
	process.stderr.write(`downstream-tui needs Node ${requiredNode}, this is ${process.versions.node}\n`);
	process.exitCode = 1;
} else if (['--version', '-V', 'version'].includes(word!) && others.length === 0) {
	// Scripts ask often: nothing else is loaded.
	process.stdout.on('error', () => undefined).write(`${bundledVersion}\n`);
} else {
	// CommonJS from here on.
	process.getBuiltinModule('node:module').createRequire(import.meta.url)('./start.cjs');
}
