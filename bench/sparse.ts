// A player seeks near the end of a file of 100 GiB and reads only there.
import {truncate, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {temporaryFolder} from '../test/support/engines.ts';
import type {Bench} from './section.ts';
import {diskUse, firstByte, GiB, interleaved, MiB, until} from './measure.ts';
import {startOrigin} from './origins.ts';
import {nginxSlice1, ours, present} from './peers.ts';
import {atMost} from './report.ts';

const seeks = 41;
const wanted = 64 * 1024;

export async function sparse({report, scope}: Bench): Promise<void> {
	await scope(async t => {
		const root = await temporaryFolder(t);
		const files = {large: 100 * GiB, small: 200 * MiB};
		for (const [name, size] of Object.entries(files)) {
			await writeFile(path.join(root, name), '');
			await truncate(path.join(root, name), size);
		}

		const origin = await startOrigin(t, root);
		const proxy = await ours.start(t, origin, '--on-demand');
		const fresh = await ours.start(t, origin, '--on-demand');
		await firstByte(fresh.urlOf('/large'), 99 * GiB, wanted);
		await until(async () => (await fresh.downloads())[0]?.connections === 0, 'the end of the connections');
		const used = await diskUse(fresh.folder);

		const waits = await interleaved(
			seeks,
			new Map([
				['large', (round: number) => firstByte(proxy.urlOf('/large'), 99 * GiB + round * 4 * MiB, wanted)],
				['small', (round: number) => firstByte(proxy.urlOf('/small'), (round + 1) * 4 * MiB, wanted)],
			]),
		);
		report.compare(
			'seek to 99 GiB',
			'ms',
			waits.get('large')!,
			'file of 200 MiB',
			waits.get('small'),
			atMost(1.1),
		);
		report.state('disk use after one seek', 'MiB', used / MiB, atMost(2));
		for (const {name, start} of present([nginxSlice1])) {
			const peer = await start(t, origin);
			await firstByte(peer.urlOf('/large'), 99 * GiB, wanted);
			report.state(`the same: ${name}`, 'MiB', (await diskUse(peer.folder)) / MiB);
		}
	});
}
