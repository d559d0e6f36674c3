// Keys, pastes and clicks of the terminal, for the controller.
import {useInput as useKeys, usePaste} from 'ink';
import {useRef} from 'react';
import type {Controller} from './controller.ts';
import {hitTest, parseMouse, type MouseEvent, type Targets} from './hit-test.ts';
import {keyPresses} from './keys.ts';

const doubleClickMs = 400;
/** Control sequences without their escape: late answers, releases of a mouse button, unknown keys. */
// oxlint-disable-next-line no-control-regex -- terminals end answers with BEL
const controlSequence = /^(?:\]?\d+;rgba?:[\da-f/]*(?:\u0007|\u001B?\\)?|\[[\d:;<=>?]+[ -/]*[@-~])/i;
/** An answer whose end, ESC and a backslash, arrives in a later read. */
const openAnswer = /^\]?\d+;rgba?:[\da-f/]*$/i;
/** The keys of a screen that is too small for anything else. */
const smallKeys: ReadonlySet<string> = new Set(['q', 'ctrl+c', 'ctrl+z']);

type InputOptions = {
	readonly controller: Controller;
	/** Takes an answer of the terminal, which may arrive among the keys. */
	takeAnswer(this: void, input: string): void;
	/** The areas that take clicks; undefined on a screen that is too small. */
	readonly targets: (() => Targets) | undefined;
};

export function useInput({controller, takeAnswer, targets}: InputOptions): void {
	const clicked = useRef({x: -1, y: -1, at: 0});
	const isAnswerOpen = useRef(false);
	const click = (event: MouseEvent) => {
		const {x, y, at} = clicked.current;
		const hit = targets && hitTest(event, targets());
		const now = Date.now();
		clicked.current = {x: event.x, y: event.y, at: now};
		if (hit) {
			controller.click(hit, event.x === x && event.y === y && now - at < doubleClickMs);
		}
	};
	useKeys((input, key) => {
		const event = parseMouse(input);
		if (event) {
			click(event);
			return;
		}

		takeAnswer(input);
		const typed = input.replace(controlSequence, '');
		const isEnd = isAnswerOpen.current && input === '\\';
		isAnswerOpen.current = openAnswer.test(input) || (isAnswerOpen.current && key.escape);
		if (isEnd || (typed === '' && input !== '')) {
			return;
		}

		const {names, pasted} = keyPresses(typed, key);
		if (pasted !== undefined) {
			controller.paste(pasted);
		}

		const {mode} = controller.state;
		const isQuitting = mode.kind === 'dialog' && mode.dialog.isQuit;
		for (const name of names) {
			if (targets || isQuitting || smallKeys.has(name)) {
				controller.press(name);
			}
		}
	});
	usePaste(text => controller.paste(text));
}
