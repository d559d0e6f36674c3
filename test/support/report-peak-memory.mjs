// Loaded before the program: reports its peak memory at the end, for a test to read.
import {readFileSync, writeFileSync} from 'node:fs';

process.on('exit', () => {
	// Kibibytes. The value of `resourceUsage` starts at the peak of the process that started this one.
	const [, peak = process.resourceUsage().maxRSS] =
		process.platform === 'linux'
			? (/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [])
			: [];
	writeFileSync(process.env.PEAK_MEMORY_FILE, String(peak));
});
