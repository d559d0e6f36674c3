// Redraws the whole screen on demand and after a resize.
import {useApp, useStdout} from 'ink';
import {useCallback, useEffect} from 'react';

/** Ink redraws its whole frame after any other output. */
const clearScreen = '\u001B[2J\u001B[H';
const resizedMs = 50;

export function useRedraw(): () => void {
	const {stdout, write} = useStdout();
	const {waitUntilRenderFlush} = useApp();
	const redraw = useCallback(() => write(clearScreen), [write]);
	useEffect(() => {
		let timer: NodeJS.Timeout | undefined;
		// Terminals move lines on a resize, so an incremental frame is not enough.
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
