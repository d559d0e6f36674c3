// Loaded before the program: tells its peak memory at the end, for a test to read.
import {readFileSync, writeFileSync} from 'node:fs';

process.on('exit', () => {
	// Kibibytes. What `resourceUsage` tells begins with the peak of the process that started this one.
	const [, peak = process.resourceUsage().maxRSS] =
		process.platform === 'linux'
			? (/^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [])
			: [];
	writeFileSync(process.env.PEAK_MEMORY_FILE, String(peak));
});
