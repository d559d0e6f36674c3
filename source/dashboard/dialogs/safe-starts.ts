// The dialog that makes the start of every download safe, so that each plays at once, or stops that.
import {isSettled, type Download, type SafeRequest} from '../../downstream.ts';
import {cleanText} from '../../text/clean-text.ts';
import {counted, formatBytes, formatDuration} from '../../text/format.ts';
import {safeRequestOf, startOf} from '../../text/safe-request.ts';
import {settleEach} from '../../wait.ts';
import {createForm, note, presetItem, textOf, withProblem, type Form} from '../form.ts';
import {messageOf} from '../../text/message-of.ts';
import type {UiStore} from '../ui-store.ts';
import {ShownCost} from './safe.ts';

export function openSafeStartsDialog(ui: UiStore): void {
	const {downloads} = ui.feed.frame.snapshot;
	const open = downloads.filter(download => !isSettled(download));
	const pledged = downloads.filter(({pledges}) => pledges.length > 0);
	if (open.length === 0) {
		ui.say('Nothing to make safe');
		return;
	}

	const cost = new ShownCost(ui, (form, isOver) => costOf(ui, open, form, isOver));
	const first = startsForm(open, pledged.length);
	ui.openDialog({
		form: first,
		onChange: form => cost.of(form),
		onButton: (button, form) => {
			if (button === 'close') {
				ui.close();
				return;
			}

			let request: SafeRequest | undefined;
			try {
				request = button === 'lift' ? undefined : requestOf(form);
			} catch (error) {
				ui.showForm(withProblem(form, messageOf(error)));
				return;
			}

			cost.forget();
			ui.close();
			ui.run(() => (request ? makeSafe(ui, open, request, partOf(form)) : lift(ui, pledged)));
		},
	});
	cost.of(first);
}

function startsForm({length}: readonly Download[], pledged: number): Form {
	return createForm(
		length === 1 ? 'Make the start of the download safe' : `Make the starts of ${length} downloads safe`,
		[
			note(
				`Fetches ${length === 1 ? 'it' : 'them'} before everything else, and keeps ${length === 1 ? 'it' : 'them'}.`,
			),
			...(pledged > 0
				? [note(`${counted(pledged, 'download')} ${pledged === 1 ? 'is' : 'are'} kept safe now.`)]
				: []),
			presetItem('amount', 'First', '2m', '2m, 10m or 200M of each'),
		],
		[
			{name: 'safe', label: 'Make safe', key: 'm'},
			...(pledged > 0
				? [{name: 'lift', label: `Stop keeping ${pledged === 1 ? 'it' : 'them'} safe`, key: 's'}]
				: []),
			{name: 'close', label: 'Close', key: 'c'},
		],
		{hint: 'Enter make safe   Esc close'},
	);
}

/** Throws `bad-request`. */
function requestOf(form: Form): SafeRequest {
	const amount = textOf(form, 'amount');
	const request = safeRequestOf({amount, from: 'start'}, Date.now(), {amount: 'First'});
	return request.forMs === undefined ? request : startOf(request.forMs);
}

/** `the first 2m of `; empty for all. */
function partOf(form: Form): string {
	const amount = textOf(form, 'amount')
		.trim()
		.replace(/^first\s+/i, '');
	return amount.toLowerCase() === 'all' ? '' : `the first ${amount} of `;
}

/** Undefined while the field is invalid. */
async function costOf(
	ui: UiStore,
	downloads: readonly Download[],
	form: Form,
	isOver: () => boolean,
): Promise<string | undefined> {
	let request: SafeRequest;
	try {
		request = requestOf(form);
	} catch {
		return undefined;
	}

	let [bytes, unknown] = [0, 0];
	const ask = ({id}: Download) => ui.downstream.makeSafe(id, {...request, dryRun: true});
	for await (const one of settleEach(downloads, ask)) {
		if (isOver()) {
			return undefined;
		}

		const missing = one.status === 'fulfilled' ? one.value.missing : null;
		bytes += missing ?? 0;
		unknown += missing === null ? 1 : 0;
	}

	const {freeBytes, bytesPerSecond} = ui.feed.frame.snapshot;
	return startsCost({bytes, unknown, freeBytes, bytesPerSecond});
}

/** `Fetches 412 MiB, about 2m40s; 43.1 GiB are free`. `unknown`: downloads of unknown size. */
function startsCost({
	bytes,
	unknown,
	freeBytes,
	bytesPerSecond,
}: {
	readonly bytes: number;
	readonly unknown: number;
	readonly freeBytes: number | null;
	readonly bytesPerSecond: number;
}): string {
	if (bytes === 0 && unknown === 0) {
		return 'Already downloaded';
	}

	const others = unknown === 0 ? '' : `; ${counted(unknown, 'download')} of unknown size`;
	if (bytes === 0) {
		return `The size is not known yet${others}`;
	}

	const takes = `Fetches ${unknown === 0 ? '' : 'at least '}${formatBytes(bytes)}`;
	if (freeBytes !== null && bytes > freeBytes) {
		return `${takes}, but only ${formatBytes(freeBytes)} are free${others}`;
	}

	const time = bytesPerSecond > 0 ? `, about ${formatDuration(bytes / bytesPerSecond)}` : '';
	const room = freeBytes === null ? '' : `; ${formatBytes(freeBytes)} are free`;
	return takes + time + room + others;
}

async function makeSafe(
	ui: UiStore,
	downloads: readonly Download[],
	request: SafeRequest,
	part: string,
): Promise<string | undefined> {
	const failures: string[] = [];
	for await (const one of settleEach(downloads, ({id}) => ui.downstream.makeSafe(id, request))) {
		if (one.status === 'rejected') {
			failures.push(`${cleanText(one.item.name)}: ${messageOf(one.reason)}`);
		}
	}

	const [failure, ...others] = failures;
	if (failure === undefined) {
		return `Fetching ${part}${wholeList(downloads)} before everything else. W stops it`;
	}

	const done = downloads.length - failures.length;
	const start = done === 0 ? '' : `Fetching ${part}${done} of ${downloads.length} downloads. `;
	ui.say(`${start}${failure}${others.length === 0 ? '' : `; ${others.length} more failed`}`, true);
	return undefined;
}

async function lift(ui: UiStore, downloads: readonly Download[]): Promise<string> {
	for (const {id, pledges} of downloads) {
		for (const {n} of pledges) {
			await ui.downstream.lift(id, n);
		}
	}

	return `${counted(downloads.length, 'download')} no longer kept safe; the data stays`;
}

function wholeList(downloads: readonly Download[]): string {
	const {length} = downloads;
	return length === 1
		? cleanText(downloads[0]!.name)
		: length === 2
			? 'both downloads'
			: `all ${length} downloads`;
}
