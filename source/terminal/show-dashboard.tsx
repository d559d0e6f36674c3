// Runs the dashboard on the full terminal, and restores the terminal on every exit path.
import {once} from 'node:events';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {render} from 'ink';
import {Dashboard} from '../dashboard/dashboard.tsx';
import {themes, type Theme, type ThemeName} from '../dashboard/theme.ts';
import type {Attachment, Host} from '../dashboard/ui-store.ts';
import type {Download, DownloadId, DownloadEngine} from '../downstream.ts';
import {backgroundOf} from './background.ts';
import {copyText} from './clipboard.ts';
import {reportCrash} from './crash-report.ts';
import {filmFrame} from './film-frame.ts';
import {enterTerminal, hasUnicode, mouseSequence} from './modes.ts';
import {isBehind, queueOutput, untilTaken} from './output.ts';
import {showsProgress, TerminalStatus, type TabProgress} from './status.ts';
import {completePath, describeFile, openFolder} from './system.ts';

type DashboardEnd = 'quit' | 'crash' | NodeJS.Signals;

export type ShowOptions = {
	readonly ascii: boolean;
	readonly exportDir: string;
	readonly theme: ThemeName;
	/** At least 256. */
	readonly manyColors: boolean;
	/** The terminal was queried for its background; over a slow line, the response may arrive after the first frame. */
	readonly mayAnswerLate: boolean;
	readonly title: boolean;
	readonly tabProgress: TabProgress;
	readonly mouse: boolean;
	readonly bell: boolean;
	/** The source of keys: standard input, or the terminal if standard input is a pipe. */
	readonly keys: NodeJS.ReadStream;
	/** Another program runs the downloads. */
	readonly attachment: Attachment | undefined;
	/** The download added by the command line, which is then selected. */
	readonly added?: Promise<DownloadId | undefined>;
	/** Whether a film resumes at its last position. */
	readonly continues: Host['continues'];
	/** Starts a player at a time in milliseconds, and resolves with its name. */
	play(download: Download, startMs: number): Promise<string>;
};

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Milliseconds. Without a job-control shell, the stop signal is dropped and the process continues at once. */
const stoppedMs = 200;

/** Resolves on quit, a signal or a crash; leaves the engine running. */
export async function showDashboard(downstream: DownloadEngine, options: ShowOptions): Promise<DashboardEnd> {
	const {env, platform, stderr, stdout} = process;
	const {keys} = options;
	let end: (reason: DashboardEnd) => void = () => undefined;
	const ended = new Promise<DashboardEnd>(resolve => {
		end = resolve;
	});
	let hasCrashed = false;
	const crash = (error: unknown) => {
		// Reporting the crash may fail too.
		if (hasCrashed) {
			return;
		}

		hasCrashed = true;
		app.unmount();
		status.end();
		terminal.restore();
		reportCrash(error);
		end('crash');
	};
	const handlers = signals.map(signal => [signal, () => end(signal)] as const);
	for (const [signal, handler] of handlers) {
		process.on(signal, handler);
	}

	// The terminal is gone, or belongs to another program because the shell in between was killed.
	const lost = () => end('SIGHUP');
	keys.on('error', lost);
	keys.on('end', lost);
	stdout.on('error', lost);
	process.on('uncaughtException', crash);
	process.on('unhandledRejection', crash);
	const write = (sequence: string) => {
		stdout.write(sequence);
	};
	const hasProgress = showsProgress(options.tabProgress, env);
	const status = new TerminalStatus({hasTitle: options.title, hasProgress, write});
	queueOutput(stdout);
	queueOutput(stderr);
	const terminal = enterTerminal(keys);
	process.on('exit', terminal.restore);
	const stopListeners = new Set<() => void>();
	const onStopSignal = () => {
		for (const listener of stopListeners) {
			listener();
		}
	};
	process.on('SIGTSTP', onStopSignal);
	let isSuspended = false;
	let hasMouse = false;
	/** Turns our modes off while another program uses the screen. */
	const lendScreen = async (action: () => Promise<void>) => {
		isSuspended = true;
		write(terminal.leave + mouseSequence(false));
		try {
			await action();
		} finally {
			isSuspended = false;
			write(terminal.enter + (hasMouse ? mouseSequence(true) : ''));
		}
	};
	const app = render(
		<Dashboard
			downstream={downstream}
			theme={themes[options.theme]}
			{...(options.mayAnswerLate && {lateTheme: parseTheme})}
			ascii={options.ascii || !hasUnicode(env, platform)}
			manyColors={options.manyColors}
			exportDir={options.exportDir}
			attachment={options.attachment}
			{...(options.added && {added: options.added})}
			mouse={options.mouse}
			// A frame as high as the screen makes Windows consoles scroll.
			spareRows={platform === 'win32' ? 1 : 0}
			host={{
				copy: text => copyText(text, {environment: env, platform, write}),
				remoteHint: env.SSH_CONNECTION ? sshHint(downstream.snapshot.origin) : undefined,
				continues: options.continues,
				play: (download, startMs) => options.play(download, startMs),
				filmFrame,
				openFolder,
				completePath,
				describeFile,
				setMouse(on) {
					hasMouse = on;
					write(mouseSequence(on));
				},
				bell() {
					if (options.bell) {
						write('\u0007');
					}
				},
				isBehind: () => isBehind(stdout),
				quit: () => end('quit'),
				printPlain: lines =>
					lendScreen(async () => {
						write(`\n${lines.join('\n')}\nPress any key to go back `);
						keys.setRawMode?.(true);
						// Not with `data`: pausing it again takes effect after Ink has begun to listen.
						await once(keys, 'readable');
						keys.read();
					}),
				stopProcess: () =>
					lendScreen(async () => {
						process.off('SIGTSTP', onStopSignal);
						await stopProcess(platform);
						process.on('SIGTSTP', onStopSignal);
					}),
				onStop(listener) {
					stopListeners.add(listener);
					return () => stopListeners.delete(listener);
				},
			}}
		/>,
		{
			stdin: keys,
			alternateScreen: true,
			incrementalRendering: true,
			// Keys are drawn at once; the feed paces the rest.
			maxFps: 120,
			exitOnCtrlC: false,
			patchConsole: true,
		},
	);
	app.waitUntilExit().catch(crash);
	const showStatus = () => {
		if (!isSuspended) {
			status.show(downstream.snapshot, Date.now());
		}
	};
	// Another process stopped and continued this one; it may have written lines in between.
	const onContinue = () => {
		if (!isSuspended) {
			stdout.emit('resize');
		}
	};
	process.on('SIGCONT', onContinue);
	const unsubscribe = downstream.subscribe(showStatus);
	showStatus();
	const reason = await ended;
	unsubscribe();
	process.off('SIGTSTP', onStopSignal);
	process.off('SIGCONT', onContinue);
	keys.off('end', lost);
	// Ink turns raw mode off later, which fails without the terminal: `lost` stays for such errors.
	app.unmount();
	status.end();
	// A terminal that takes no output would block the restoration, and with it the end of the program.
	if (await untilTaken(stdout)) {
		terminal.restore();
	} else {
		terminal.restoreLater();
	}

	process.off('exit', terminal.restore);
	process.off('uncaughtException', crash);
	process.off('unhandledRejection', crash);
	for (const [signal, handler] of handlers) {
		process.off(signal, handler);
	}

	return reason;
}

function parseTheme(answer: string): Theme | undefined {
	const background = backgroundOf(answer);
	return background && themes[background];
}

/**
 * Stops the whole process group: under npx, stopping only this process would leave npm in the foreground and the
 * terminal hanging. Resolves when the shell continues it.
 */
async function stopProcess(platform: NodeJS.Platform): Promise<void> {
	if (platform === 'win32') {
		throw new Error('Ctrl+Z does not work on Windows');
	}

	const continued = once(process, 'SIGCONT');
	process.kill(0, 'SIGTSTP');
	await Promise.race([continued, sleep(stoppedMs)]);
}

/** Streams are served only on this machine. */
function sshHint(origin: string): string {
	const {port} = new URL(origin);
	return `On another machine? ssh -L ${port}:127.0.0.1:${port} HOST`;
}
