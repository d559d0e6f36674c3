// The newest snapshot, at most four times a second; nothing runs while nothing changes.
import {useCallback, useEffect, useState} from 'react';
import type {DownStream, Snapshot} from '../downstream.ts';

const frameMs = 250;

/** `refresh` takes the newest at once, for what a key has changed. */
export function useSnapshot(downstream: DownStream): {snapshot: Snapshot; refresh: () => void} {
	const [snapshot, setSnapshot] = useState(downstream.snapshot);
	const refresh = useCallback(() => setSnapshot(downstream.snapshot), [downstream]);
	useEffect(() => {
		let timer: NodeJS.Timeout | undefined;
		let taken = 0;
		const unsubscribe = downstream.subscribe(() => {
			timer ??= setTimeout(
				() => {
					timer = undefined;
					taken = Date.now();
					refresh();
				},
				Math.max(0, taken + frameMs - Date.now()),
			);
		});
		refresh();
		return () => {
			unsubscribe();
			clearTimeout(timer);
		};
	}, [downstream, refresh]);
	return {snapshot, refresh};
}
