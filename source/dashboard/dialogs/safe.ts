// The dialog that makes a stretch of a download safe.
import {isSettled, type Download, type Pledge, type SafeRequest} from '../../downstream.ts';
import {cleanText, fitName} from '../../text/clean-text.ts';
import {formatTime} from '../../text/film-words.ts';
import {formatBytes, formatDuration, formatSpeed} from '../../text/format.ts';
import {safeRequestOf, startOf} from '../../text/safe-request.ts';
import {pledgeWords} from '../../text/safe-words.ts';
import {
	choiceOf,
	createForm,
	presetItem,
	textItem,
	textOf,
	withItems,
	withNotice,
	withProblem,
	type ChoiceItem,
	type Form,
	type Item,
	type TextItem,
} from '../form.ts';
import {messageOf} from '../../text/message-of.ts';
import type {UiStore} from '../ui-store.ts';

/** Milliseconds of the next download. */
const startMs = 2 * 60_000;
/** Milliseconds that the dialog proposes, unless the film has fewer left. */
const usualMs = 45 * 60_000;

/** The cost below the fields of a dialog, while it matches their content. */
export class ShownCost {
	readonly #ui: UiStore;
	readonly #costOf: (form: Form, isOver: () => boolean) => Promise<string | undefined>;
	#asked = 0;

	/** `costOf` resolves with undefined while a field is invalid; once `isOver`, its result is no longer of interest. */
	constructor(ui: UiStore, costOf: (form: Form, isOver: () => boolean) => Promise<string | undefined>) {
		this.#ui = ui;
		this.#costOf = costOf;
	}

	/** Returns the form, and shows its cost in the open dialog later. */
	of(form: Form): Form {
		const turn = ++this.#asked;
		const opened = this.#ui.openedDialog();
		void this.#costOf(form, () => turn !== this.#asked || !opened.isOpen).then(text => {
			const {dialog} = this.#ui;
			if (turn === this.#asked && dialog && text !== undefined) {
				opened.show(withNotice(dialog.form, text));
			}
		});
		return form;
	}

	forget(): void {
		this.#asked++;
	}
}

export function openSafeDialog(ui: UiStore, download: Download): void {
	const {id} = download;
	const next = nextOf(ui, download);
	const cost = new ShownCost(ui, form => costOf(ui, download, form));
	const whole = safeForm(download, next);
	ui.openDialog({
		form: whole,
		onChange: form => cost.of(withStretch(form, whole)),
		onButton: (button, form) => {
			if (button === 'close') {
				ui.close();
				return;
			}

			cost.forget();
			const dialog = ui.openedDialog();
			ui.run(async () => {
				try {
					if (button === 'lift') {
						for (const {n} of download.pledges) {
							await ui.downstream.lift(id, n);
						}

						dialog.close();
						return `${cleanText(download.name)}: no longer kept safe`;
					}

					const pledge = await ui.downstream.makeSafe(id, requestOf(form));
					if (next && choiceOf(form, 'also') === 1) {
						await ui.downstream.makeSafe(next.id, startOf(startMs));
					}

					dialog.close();
					return `${cleanText(download.name)}: ${pledgeWords(pledge, download)}`;
				} catch (error) {
					dialog.show(withProblem(form, messageOf(error)), error);
					return undefined;
				}
			});
		},
	});
	cost.of(whole);
}

function safeForm(download: Download, next: Download | undefined): Form {
	const {name, film, pledges, playback, position} = download;
	const isBegunOrPlayed = film !== null && (playback ?? position) !== null;
	const fromMs = isBegunOrPlayed ? (film.position > 0 ? film.position : (position?.ms ?? 0)) : 0;
	const length = film === null ? '200M' : durationWords(Math.min(usualMs, film.durationMs - fromMs));
	return createForm(
		`Make safe: ${fitName(cleanText(name), 44)}`,
		[
			{kind: 'choice', name: 'what', label: 'What', options: ['the next', 'all of it'], chosen: 0},
			presetItem('amount', 'Amount', length, '45m, 1h30m or 200M'),
			presetItem(
				'from',
				'From',
				isBegunOrPlayed ? formatTime(fromMs) : '',
				film === null ? 'start, or player' : '41:07 or start; empty: where the player is',
			),
			textItem('by', 'By', '', {placeholder: '18:40 or 2h; empty: as soon as possible'}),
			...(next ? [alsoItem(next)] : []),
		],
		[
			{name: 'safe', label: 'Make safe', key: 'm'},
			...(pledges.length > 0 ? [{name: 'lift', label: 'Stop keeping it safe', key: 's'}] : []),
			{name: 'close', label: 'Close', key: 'c'},
		],
		{hint: 'Enter make safe   Esc close', focus: 1},
	);
}

function alsoItem({name}: Download): ChoiceItem {
	const options = ['nothing else', `the start of ${fitName(cleanText(name), 32)}`];
	return {kind: 'choice', name: 'also', label: 'Also', options, chosen: 0};
}

/** Shows the fields of the stretch, unless everything is chosen. `whole`: with all fields. */
function withStretch(form: Form, {items}: Form): Form {
	const isStretch = (item: Item) => item.kind === 'text' && (item.name === 'amount' || item.name === 'from');
	return choiceOf(form, 'what') === 0
		? withItems(form, items)
		: withItems(
				form,
				items.filter(item => !isStretch(item)),
				items.filter((item): item is TextItem => isStretch(item)),
			);
}

/** `45m`, `9m30s`: rounded down to seconds, at least 1, as the field takes it. */
function durationWords(ms: number): string {
	const seconds = Math.max(1, Math.floor(ms / 1000));
	const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
	return `${minutes > 0 ? `${minutes}m` : ''}${rest > 0 ? `${rest}s` : ''}`;
}

/** Throws `bad-request`. */
function requestOf(form: Form): SafeRequest {
	const isAll = choiceOf(form, 'what') === 1;
	const words = {
		amount: isAll ? 'all' : textOf(form, 'amount'),
		from: isAll ? '' : textOf(form, 'from'),
		by: textOf(form, 'by'),
	};
	return safeRequestOf(words, Date.now(), {from: 'From', by: 'By'});
}

/** The cost of the stretch, or the reason why it cannot be made safe; undefined while a field is invalid. */
async function costOf(ui: UiStore, {id}: Download, form: Form): Promise<string | undefined> {
	let request: SafeRequest;
	try {
		request = requestOf(form);
	} catch {
		return undefined;
	}

	try {
		const pledge = await ui.downstream.makeSafe(id, {...request, dryRun: true});
		return costWords(pledge, ui.feed.frame.snapshot.bytesPerSecond, Date.now());
	} catch (error) {
		return messageOf(error);
	}
}

/**
 * `Fetches 412 MiB, about 2m40s; needs 1.3 MiB/s of your 2.6 MiB/s`: at the rate of the download, or at that of all downloads
 * while this one fetches nothing. `now`: milliseconds since the epoch.
 */
export function costWords({missing, by, etaAt}: Pledge, rateOfAll: number, now: number): string {
	if (missing === null) {
		return 'The size is known once the index of the film is read';
	}

	if (missing === 0) {
		return 'Already downloaded';
	}

	const bytesPerSecond = etaAt === null ? rateOfAll : (missing * 1000) / Math.max(1, etaAt - now);
	const time = bytesPerSecond > 0 ? `, about ${formatDuration(missing / bytesPerSecond)}` : '';
	const needed = by === null ? '' : `; needs ${formatSpeed((missing * 1000) / Math.max(1, by - now))}`;
	const of = needed !== '' && bytesPerSecond > 0 ? ` of your ${formatSpeed(bytesPerSecond)}` : '';
	return `Fetches ${formatBytes(missing)}${time}${needed}${of}`;
}

/** The next incomplete download of the list. */
function nextOf(ui: UiStore, {id}: Download): Download | undefined {
	const {downloads} = ui.feed.frame.snapshot;
	return downloads
		.slice(downloads.findIndex(each => each.id === id) + 1)
		.find(download => !isSettled(download));
}
