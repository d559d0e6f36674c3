// The dashboard on the whole terminal, which is left as it was found on every way out.
import {writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {render} from 'ink';
import {Dashboard} from '../dashboard/dashboard.tsx';
import type {DownStream} from '../downstream.ts';
import {copyText} from './clipboard.ts';
import {enterTerminal, hasUnicode} from './modes.ts';

export type DashboardEnd = 'quit' | 'crash' | NodeJS.Signals;

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Resolves when the user has quit, a signal came, or the program broke; nothing of the engine is ended. */
export async function showDashboard(
	downstream: DownStream,
	options: {readonly ascii: boolean; readonly exportDir: string},
): Promise<DashboardEnd> {
	const {env, platform, stdout} = process;
	let end: (reason: DashboardEnd) => void = () => undefined;
	const ended = new Promise<DashboardEnd>(resolve => {
		end = resolve;
	});
	const crash = (error: unknown) => {
		app.unmount();
		restoreTerminal();
		reportCrash(error);
		end('crash');
	};
	const handlers = signals.map(signal => [signal, () => end(signal)] as const);
	for (const [signal, handler] of handlers) {
		process.on(signal, handler);
	}

	process.on('uncaughtException', crash);
	process.on('unhandledRejection', crash);
	const restoreTerminal = enterTerminal();
	process.on('exit', restoreTerminal);
	const app = render(
		<Dashboard
			downstream={downstream}
			ascii={options.ascii || !hasUnicode(env, platform)}
			exportDir={options.exportDir}
			// A frame as high as the screen makes Windows consoles scroll.
			spareRows={platform === 'win32' ? 1 : 0}
			copy={text => copyText(text, {environment: env, platform, write: sequence => stdout.write(sequence)})}
			onQuit={() => end('quit')}
		/>,
		{alternateScreen: true, incrementalRendering: true, maxFps: 10, exitOnCtrlC: false, patchConsole: true},
	);
	app.waitUntilExit().catch(crash);
	const reason = await ended;
	app.unmount();
	restoreTerminal();
	process.off('exit', restoreTerminal);
	process.off('uncaughtException', crash);
	process.off('unhandledRejection', crash);
	for (const [signal, handler] of handlers) {
		process.off(signal, handler);
	}

	return reason;
}

/** Two lines after the screen is back, and the rest in a file that only the user can read. */
function reportCrash(error: unknown): void {
	const report = path.join(tmpdir(), `downstream-crash-${process.pid}.txt`);
	const {message, stack} = error instanceof Error ? error : {message: String(error), stack: undefined};
	try {
		writeFileSync(report, `${new Date().toISOString()} Node ${process.version}\n${stack ?? message}\n`, {
			mode: 0o600,
			flag: 'wx',
		});
	} catch {
		// The two lines below still tell what happened.
	}

	process.stderr.write(`downstream-tui crashed: ${message}.\nYour downloads are kept. Report: ${report}\n`);
}
