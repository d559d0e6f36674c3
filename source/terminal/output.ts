// The screen's output: a terminal that stops reading must not stop the downloads.
import {setTimeout as sleep} from 'node:timers/promises';

/** Milliseconds. A remote terminal takes a frame within a few hundred. */
const takenMs = 1000;

/**
 * Queues what the terminal does not take at once. By default Node waits for it, and with it every download and player, while
 * an SSH connection hangs or tmux holds the output. Windows queues anyway.
 */
export function queueOutput(stream: NodeJS.WriteStream): void {
	const {_handle: handle} = stream as {_handle?: {setBlocking?: (blocking: boolean) => number}};
	handle?.setBlocking?.(false);
}

/** Whether output waits for the terminal. */
export function isBehind(stdout: NodeJS.WriteStream): boolean {
	return stdout.writableLength > 0;
}

/** Resolves with true once the terminal has taken all output, or with false if it takes none. */
export async function untilTaken(stdout: NodeJS.WriteStream): Promise<boolean> {
	const isTaken = new Promise<true>(resolve => {
		stdout.write('', () => resolve(true));
	});
	return Promise.race([isTaken, sleep(takenMs, false, {ref: false})]);
}
