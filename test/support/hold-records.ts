// Delays the records on their way to the disk.
import type {FileHandle} from 'node:fs/promises';
import type {TestContext} from 'node:test';
import {atEnd} from './cleanup.ts';
import {fileHandlePrototype} from './file-handles.ts';

/** Holds back the write of each record that contains the text, until `letGo` is called. */
export async function holdRecordsWith(
	t: TestContext,
	part: string,
): Promise<{isHeld: Promise<void>; letGo: () => void}> {
	const prototype = await fileHandlePrototype();
	// oxlint-disable-next-line typescript/unbound-method -- called with its own `this`
	const {writeFile} = prototype;
	let letGo!: () => void;
	const gone = new Promise<void>(resolve => {
		letGo = resolve;
	});
	atEnd(t, letGo);
	const isHeld = new Promise<void>(resolve => {
		t.mock.method(prototype, 'writeFile', async function (this: FileHandle, text: string) {
			if (text.includes(part)) {
				resolve();
				await gone;
			}

			return writeFile.call(this, text);
		});
	});
	return {isHeld, letGo};
}
