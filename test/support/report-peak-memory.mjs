// Loaded before the program: tells its peak memory at the end, for a test to read.
import {writeFileSync} from 'node:fs';

process.on('exit', () => {
	// Kibibytes.
	writeFileSync(process.env.PEAK_MEMORY_FILE, String(process.resourceUsage().maxRSS));
});
