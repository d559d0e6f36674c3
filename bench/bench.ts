// `npm run bench [-- SECTION…] [--size MIB] [--rounds N]`: compares the built program with its peers in one run.
import {open} from 'node:fs/promises';
import {cpus} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {parseArgs} from 'node:util';
import {randomFillSync} from 'node:crypto';
import type {TestContext} from 'node:test';
import {withoutTest} from '../test/support/cleanup.ts';
import {temporaryFolder} from '../test/support/engines.ts';
import {missing} from '../test/support/programs.ts';
import {cold} from './cold.ts';
import {collection} from './collection.ts';
import {dashboard} from './dashboard.ts';
import {delivery} from './delivery.ts';
import {download} from './download.ts';
import {events} from './events.ts';
import {films, forecast, frame} from './film.ts';
import {keyLatency} from './keys.ts';
import {MiB} from './measure.ts';
import {positions} from './positions.ts';
import {profile} from './profile.ts';
import {Report} from './report.ts';
import {safe} from './safe.ts';
import {scale} from './scale.ts';
import type {Bench} from './section.ts';
import {seek} from './seek.ts';
import {sets} from './sets.ts';
import {sparse} from './sparse.ts';
import {start} from './start.ts';
import {cpu16, daily} from './steady.ts';
import {warm} from './warm.ts';

const sections: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
	cold,
	warm,
	seek,
	download,
	cpu16,
	daily,
	film: films,
	forecast,
	frame,
	positions,
	safe,
	sparse,
	sets,
	delivery,
	dashboard,
	keys: keyLatency,
	start,
	scale,
	events,
	collection,
	profile,
};

async function main(): Promise<void> {
	const {positionals, values} = parseArgs({
		allowPositionals: true,
		options: {size: {type: 'string', default: '256'}, rounds: {type: 'string', default: '5'}},
	});
	// Excluded by default: a profile compares nothing, delivery has no figures, and forecast and frame are parts of film.
	const all = Object.keys(sections).filter(
		name => !['profile', 'delivery', 'forecast', 'frame'].includes(name),
	);
	const names = positionals.length > 0 ? positionals : all;
	const size = Number(values.size) * MiB;
	const rounds = Number(values.rounds);
	if (!names.every(name => Object.hasOwn(sections, name)) || !(size >= 16 * MiB && rounds >= 1)) {
		process.stderr.write(
			`Usage: npm run bench -- [${Object.keys(sections).join('|')}]… [--size MIB, 16 or more] [--rounds N]\n`,
		);
		process.exitCode = 2;
		return;
	}

	const needs = process.platform === 'linux' ? missing('nginx', 'curl', 'openssl') : 'needs Linux, for /proc';
	if (needs !== false) {
		process.stderr.write(`The bench ${needs}\n`);
		process.exitCode = 1;
		return;
	}

	const report = new Report();
	await scope(async t => {
		const root = await temporaryFolder(t);
		await writeFilm(path.join(root, 'film.bin'), size);
		for (const name of names) {
			report.begin(name);
			try {
				await sections[name]!({report, rounds, size, root, scope});
			} catch (error) {
				// Keep the figures of the other sections, which took their time.
				process.stderr.write(`${name} failed: ${error instanceof Error ? error.stack : String(error)}\n`);
				process.exitCode = 1;
			}
		}
	});
	const file = await report.save({
		node: process.version,
		cpu: cpus()[0]?.model,
		cores: cpus().length,
		size,
		rounds,
	});
	process.stdout.write(`\n${report.missed} goals not met; all figures are in ${path.relative('.', file)}\n`);
}

async function scope<Result>(body: (t: TestContext) => Promise<Result>): Promise<Result> {
	const {t, end} = withoutTest();
	try {
		return await body(t);
	} finally {
		await end();
	}
}

/** Random, so nothing between the origin and the disk can compress it. */
async function writeFilm(file: string, size: number): Promise<void> {
	const handle = await open(file, 'w');
	const bytes = Buffer.alloc(MiB);
	for (let offset = 0; offset < size; offset += bytes.length) {
		await handle.write(randomFillSync(bytes), 0, Math.min(bytes.length, size - offset));
	}

	await handle.close();
}

await main();
process.exit();
