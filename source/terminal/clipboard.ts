// Copies text to the clipboard by the first applicable method, and reports only what is certain.
import {spawn} from 'node:child_process';
import {once} from 'node:events';

type Clipboard = {
	readonly environment: NodeJS.ProcessEnv;
	readonly platform: NodeJS.Platform;
	/** Writes a control sequence to the terminal in one piece. */
	readonly write: (sequence: string) => void;
};

const timeoutMs = 1000;
/** The longest piece that GNU screen accepts. */
const screenPiece = 76;

/**
 * `copied`: a program has accepted the text. `sent`: the terminal was requested to copy it, which it does not
 * confirm. `none`: no method applies.
 */
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

/**
 * In tmux, its own buffer, which it forwards to the terminal. The system's programs only work on the local machine.
 */
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
		// Some programs stay in the background to serve the clipboard, so only their exit code counts, not the end of
		// their output.
		const [code] = (await once(child, 'exit')) as [number | null];
		return code === 0;
	} catch {
		return false;
	}
}

/** OSC 52; wrapped in GNU screen, so that it reaches the outer terminal. */
function terminalSequence(text: string, environment: NodeJS.ProcessEnv): string {
	const sequence = `\u001B]52;c;${Buffer.from(text).toString('base64')}\u0007`;
	if (!environment.STY) {
		return sequence;
	}

	const pieces = sequence.match(new RegExp(`[^]{1,${screenPiece}}`, 'g')) ?? [];
	return pieces.map(piece => `\u001BP${piece}\u001B\\`).join('');
}
