// The whole screen drawn anew: when asked to, and after the window has changed its size.
import {useApp, useStdout} from 'ink';
import {useCallback, useEffect} from 'react';

/** Ink draws its whole frame after what is written beside it. */
const clearScreen = '\u001B[2J\u001B[H';
const resizedMs = 50;

export function useRedraw(): () => void {
	const {stdout, write} = useStdout();
	const {waitUntilRenderFlush} = useApp();
	const redraw = useCallback(() => write(clearScreen), [write]);
	useEffect(() => {
		let timer: NodeJS.Timeout | undefined;
		// Terminals move lines when they change size, so that what changed since the last frame is not enough.
		const onResize = () => {
			clearTimeout(timer);
			timer = setTimeout(() => {
				waitUntilRenderFlush()
					.then(redraw)
					.catch(() => undefined);
			}, resizedMs);
		};
		stdout.on('resize', onResize);
		return () => {
			clearTimeout(timer);
			stdout.off('resize', onResize);
		};
	}, [stdout, redraw, waitUntilRenderFlush]);
	return redraw;
}
