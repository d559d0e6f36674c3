// Text to the clipboard: the first way that applies, and no more said than is known.
import {spawn} from 'node:child_process';
import {once} from 'node:events';

export type Clipboard = {
	readonly environment: NodeJS.ProcessEnv;
	readonly platform: NodeJS.Platform;
	/** Writes a control sequence to the terminal, in one piece. */
	readonly write: (sequence: string) => void;
};

const timeoutMs = 1000;
/** GNU screen takes no longer pieces. */
const screenPiece = 76;

/** `copied`: a program took it. `sent`: the terminal was asked to; whether it did is not told. `none`: no way applies. */
export async function copyText(text: string, clipboard: Clipboard): Promise<'copied' | 'sent' | 'none'> {
	for (const [program, ...args] of programs(clipboard)) {
		if (await feed(program!, args, text, clipboard.environment)) {
			return 'copied';
		}
	}

	const {TERM = ''} = clipboard.environment;
	if (TERM === 'dumb' || TERM === 'linux' || TERM === '') {
		return 'none';
	}

	clipboard.write(terminalSequence(text, clipboard.environment));
	return 'sent';
}

/** In tmux its own buffer, which it hands on to the terminal; the system's programs only on this very machine. */
function programs({environment, platform}: Clipboard): string[][] {
	if (environment.TMUX) {
		return [['tmux', 'load-buffer', '-w', '-']];
	}

	if (environment.SSH_TTY || environment.SSH_CONNECTION) {
		return [];
	}

	if (platform === 'darwin') {
		return [['pbcopy']];
	}

	const found: string[][] = [];
	if (platform === 'win32' || environment.WSL_DISTRO_NAME) {
		found.push(['clip.exe']);
	}

	if (environment.WAYLAND_DISPLAY) {
		found.push(['wl-copy']);
	}

	if (environment.DISPLAY) {
		found.push(['xclip', '-selection', 'clipboard'], ['xsel', '-b']);
	}

	return found;
}

async function feed(
	program: string,
	args: string[],
	text: string,
	environment: NodeJS.ProcessEnv,
): Promise<boolean> {
	try {
		const child = spawn(program, args, {
			env: environment,
			stdio: ['pipe', 'ignore', 'ignore'],
			timeout: timeoutMs,
		});
		child.stdin.on('error', () => undefined);
		child.stdin.end(text);
		// Some of them stay to serve the clipboard: their exit is what counts, or that they still run in the background.
		const [code] = (await once(child, 'exit')) as [number | null];
		return code === 0;
	} catch {
		return false;
	}
}

/** OSC 52; in GNU screen wrapped so that it reaches the terminal around it. */
function terminalSequence(text: string, environment: NodeJS.ProcessEnv): string {
	const sequence = `\u001B]52;c;${Buffer.from(text).toString('base64')}\u0007`;
	if (!environment.STY) {
		return sequence;
	}

	const pieces = sequence.match(new RegExp(`[^]{1,${screenPiece}}`, 'g')) ?? [];
	return pieces.map(piece => `\u001BP${piece}\u001B\\`).join('');
}
