import {test} from 'node:test';
import {MemoryDownStream, everyState} from './support/memory-downstream.ts';
import {Screen} from './support/screen.tsx';
const [columns, rows] = (process.env.SIZE ?? '80x24').split('x').map(Number);
test('look', async t => {
	const d = new MemoryDownStream(process.env.EMPTY ? [] : everyState());
	if (process.env.BANNER)
		d.change({
			banners: [
				'Disk full: 0 B free on /home. 2 downloads wait. Free some space, then press r.',
				'Port 8080 is taken by another program; streams are at http://127.0.0.1:8081',
			],
		});
	const s = new Screen(t, d, {columns: columns!, rows: rows!, ascii: Boolean(process.env.ASCII)});
	await s.shows(() => s.text.trim() !== '');
	for (const k of (process.env.KEYS ?? '').split('').filter(Boolean)) {
		s.press(k === 'E' ? '\r' : k);
		await new Promise(r => setTimeout(r, 60));
	}
	await new Promise(r => setTimeout(r, 150));
	console.error('+' + '-'.repeat(columns!) + '+');
	for (const l of s.lines) console.error('|' + l + '|');
	console.error('+' + '-'.repeat(columns!) + '+');
});
