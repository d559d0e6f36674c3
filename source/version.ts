// The version of the package: written into the bundle, read from package.json otherwise.
import {readFileSync} from 'node:fs';

declare const bundledVersion: string | undefined;

export const version: string = typeof bundledVersion === 'string' ? bundledVersion : versionOfPackage();

function versionOfPackage(): string {
	const {version} = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
		version: string;
	};
	return version;
}
