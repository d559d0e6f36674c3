// What is asked before something is lost, and what is typed.
import {Text} from 'ink';
import type {Download} from '../downstream.ts';
import {cleanText, fitName, fitText} from './clean-text.ts';
import {Dialog, dialogCells, type Button, type Place} from './dialog.tsx';
import {amount} from './state-words.ts';
import {FieldText, type Field} from './text-field.tsx';

export const removeButtons: readonly Button[] = [
	{label: 'No', letter: 'n'},
	{label: 'Remove, Keep data', letter: 'k'},
	{label: 'remove, Delete data', letter: 'd'},
];

export function RemoveDialog({download, focus, ...place}: Place & {download: Download; focus: number}) {
	const {ascii} = place;
	const readers = download.players.filter(({connected}) => connected);
	const names = readers.map(({name}) => cleanText(name)).join(', ');
	return (
		<Dialog
			title="Remove this download?"
			hint={`${ascii ? 'arrows' : '←→'} choose   Enter   Esc = No`}
			buttons={removeButtons}
			focus={focus}
			{...place}
		>
			<Text>{fitName(cleanText(download.name), dialogCells(place), {ascii})}</Text>
			<Text wrap="truncate">{`${amount(download)} are here.`}</Text>
			{readers.length > 0 ? (
				<Text wrap="truncate">{`${names} ${readers.length === 1 ? 'reads it and' : 'read it and'} will stop.`}</Text>
			) : null}
		</Dialog>
	);
}

export const quitButtons: readonly Button[] = [
	{label: 'Stay', letter: 's'},
	{label: 'Quit', letter: 'q'},
];

export function QuitDialog({
	running,
	players,
	focus,
	...place
}: Place & {running: number; players: number; focus: number}) {
	const facts = [
		running > 0 && (running === 1 ? '1 download runs' : `${running} downloads run`),
		players > 0 && (players === 1 ? '1 player is connected' : `${players} players are connected`),
	].filter(Boolean);
	return (
		<Dialog
			title="Quit?"
			hint="q or Ctrl+C = quit   Esc = stay"
			buttons={quitButtons}
			focus={focus}
			{...place}
		>
			<Text>{`${facts.join(' and ')}.`}</Text>
			{running > 0 ? <Text>Downloads stop now and go on from here at the next start.</Text> : null}
			{players > 0 ? <Text>Players will stop: their URL is served by this program.</Text> : null}
		</Dialog>
	);
}

export const clashButtons: readonly Button[] = [
	{label: 'Keep both', letter: 'k'},
	{label: 'Replace', letter: 'r'},
	{label: 'Close', letter: 'c'},
];

export type ExportDialogProps = Place & {
	download: Download;
	field: Field;
	/** A file of that name is there: which button has the focus. */
	clash: number | undefined;
	problem: string | undefined;
};

export function ExportDialog({download, field, clash, problem, ...place}: ExportDialogProps) {
	const {ascii} = place;
	const cells = dialogCells(place);
	const isComplete = download.status === 'complete';
	const isAsked = clash !== undefined;
	return (
		<Dialog
			title={`Export ${fitName(cleanText(download.name), cells - 9, {ascii})}`}
			hint={isAsked ? `${ascii ? 'arrows' : '←→'} choose   Enter   Esc close` : 'Enter export   Esc close'}
			buttons={isAsked ? clashButtons : undefined}
			focus={clash}
			{...place}
		>
			<Text>
				{'To     '}
				<FieldText field={field} width={cells - 7} />
			</Text>
			<Text wrap="truncate">{`When   ${isComplete ? 'now' : `when complete (now ${amount(download)})`}`}</Text>
			{isAsked ? <Text bold>! A file of this name is there.</Text> : null}
			{problem === undefined ? null : (
				<Text bold>{`! ${fitText(cleanText(problem), cells * 2 - 2, {ascii})}`}</Text>
			)}
		</Dialog>
	);
}

/** What of the typed text can be added, and what is wrong with the rest. */
export function parseUrls(text: string): {urls: string[]; problem: string | undefined} {
	const urls: string[] = [];
	let problem: string | undefined;
	for (const word of text.split(/\s+/).filter(Boolean)) {
		const [, scheme] = /^([a-z][a-z\d+.-]*):/i.exec(word) ?? [];
		if (/^https?$/i.test(scheme ?? '') && URL.canParse(word)) {
			urls.push(word);
		} else {
			problem ??=
				scheme === undefined || /^https?$/i.test(scheme)
					? `"${word}" is not a URL`
					: `"${scheme}" is not http or https`;
		}
	}

	return {urls, problem};
}

export function AddDialog({field, problem, ...place}: Place & {field: Field; problem: string | undefined}) {
	const cells = dialogCells(place);
	const {urls, problem: wrong} = parseUrls(field.text);
	const shown = problem ?? wrong;
	return (
		<Dialog title="Add downloads" hint="Enter add   Esc close (draft is kept)" {...place}>
			<Text>
				{'URLs   '}
				<FieldText field={field} width={cells - 7} />
			</Text>
			<Text wrap="truncate">{`       ${urls.length} ready; several are separated by blanks`}</Text>
			{shown === undefined ? null : (
				<Text bold>{`! ${fitText(cleanText(shown), cells * 2 - 2, place)}`}</Text>
			)}
		</Dialog>
	);
}
