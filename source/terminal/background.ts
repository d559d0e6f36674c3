// Queries the terminal's background color (OSC 11) before the first frame.
import {setTimeout as sleep} from 'node:timers/promises';

/** Longer than a local terminal takes; a later answer changes the colors of the drawn screen. */
const graceMs = 20;
// Every terminal answers the second query, so the wait ends with its answer.
const queries = '\u001B]11;?\u0007\u001B[c';

export type Background = 'dark' | 'light';

type TerminalPair = {
	readonly stdin: NodeJS.ReadStream;
	readonly stdout: NodeJS.WriteStream;
};

/**
 * Waits for the answer until shortly after `ready`, which resolves when the screen could be drawn. Resolves with undefined
 * if there is none. Keys typed in the meantime are put back.
 */
export async function queryBackground(
	{stdin, stdout}: TerminalPair,
	environment: NodeJS.ProcessEnv,
	ready: Promise<unknown>,
): Promise<Background | undefined> {
	const {TERM = ''} = environment;
	if (TERM === '' || TERM === 'dumb' || TERM === 'linux') {
		return undefined;
	}

	let read = '';
	const answer = new AbortController();
	// Not with `data`: pausing the stream again would take effect only after others have begun to listen.
	const onReadable = () => {
		for (let data: Buffer | null; (data = stdin.read() as Buffer | null) !== null;) {
			read += data.toString('latin1');
		}

		// oxlint-disable-next-line no-control-regex -- answers of terminals begin so
		if (/\u001B\[\?[\d;]*c/.test(read)) {
			answer.abort();
		}
	};
	stdin.setRawMode(true);
	stdin.on('readable', onReadable);
	stdout.write(queries);
	await ready.catch(() => undefined);
	await sleep(graceMs, undefined, {signal: answer.signal}).catch(() => undefined);
	stdin.off('readable', onReadable);
	stdin.setRawMode(false);
	const {background, rest} = parseAnswers(read);
	if (rest !== '') {
		stdin.unshift(Buffer.from(rest, 'latin1'));
	}

	return background;
}

/** Separates the terminal's answers from typed text. */
export function parseAnswers(read: string): {background: Background | undefined; rest: string} {
	// oxlint-disable-next-line no-control-regex -- answers of terminals begin and end so
	const [answer = ''] = /\u001B\]11;[^\u0007\u001B]*(?:\u0007|\u001B\\)/.exec(read) ?? [];
	// oxlint-disable-next-line no-control-regex -- see above
	const rest = read.replace(answer, '').replace(/\u001B\[\?[\d;]*c/, '');
	return {background: backgroundOf(answer), rest};
}

/**
 * Returns undefined if this is not a complete answer. A key reader delivers the escape and the bracket separately.
 */
export function backgroundOf(answer: string): Background | undefined {
	const [, ...channels] = /\b11;rgba?:([\da-f]+)\/([\da-f]+)\/([\da-f]+)/i.exec(answer) ?? [];
	if (channels.length < 3 || new Set(channels.map(({length}) => length)).size > 1) {
		return undefined;
	}

	const [red, green, blue] = channels.map(
		channel => Number.parseInt(channel, 16) / (16 ** channel.length - 1),
	);
	const luminance = 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
	return luminance < 0.5 ? 'dark' : 'light';
}
