// Flags of V8 for the run.
import process from 'node:process';
import {cachedDataVersionTag, setFlagsFromString} from 'node:v8';

/**
 * Streams use their own blocks outside the heap and leave little garbage. By default V8 lets 48 MB of it accumulate,
 * and the heap grow to four times its live size.
 */
const heapFlags = [
	{name: 'semi-space-growth-factor', value: 1, original: 2},
	{name: 'heap-growing-percent', value: 30, original: 0},
];
/**
 * A download spends its time in the system. In Node 20, without V8's mid-tier compiler, the optimizing one takes a quarter of
 * the CPU time of the first seconds: functions must be eight times as hot. Later versions lack the flag and gain little.
 */
const compilerFlags =
	Number.parseInt(process.versions.node, 10) < 22
		? [{name: 'interrupt-budget', value: 540_000, original: 67_584}]
		: [];
const flags = [...heapFlags, ...compilerFlags];

/** Identifies V8, its flags and the processor: V8 refuses compiled code of another tag. */
export const originalTag = cachedDataVersionTag();

/**
 * Sets flags of V8 for the run, once the program is loaded: after a change of flags V8 compiles Node's own modules again, which
 * would take 15 to 20 ms of the start.
 */
export function tuneEngine(): void {
	// The first use of this global loads a module of Node.
	void performance.now();
	for (const {name, value} of flags) {
		setFlagsFromString(`--${name}=${value}`);
	}
}

/** Runs `action` with the flags that V8 started with. */
export function withOriginalFlags<T>(action: () => T): T {
	if (cachedDataVersionTag() === originalTag) {
		return action();
	}

	for (const {name, original} of flags) {
		setFlagsFromString(`--${name}=${original}`);
	}

	try {
		return action();
	} finally {
		tuneEngine();
	}
}
