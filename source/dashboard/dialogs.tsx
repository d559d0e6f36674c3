// What is asked before something is lost, and what is typed.
import {Text} from 'ink';
import type {Download} from '../downstream.ts';
import {cleanText, fitName, fitText} from './clean-text.ts';
import {Buttons, Dialog, type Button} from './dialog.tsx';
import {amount} from './state-words.ts';
import {FieldText, type Field} from './text-field.tsx';

type Place = {readonly width: number; readonly height: number; readonly ascii: boolean};

const inner = (width: number) => Math.min(66, width - 4);

export const removeButtons: readonly Button[] = [
	{label: 'No', letter: 'n'},
	{label: 'Remove, Keep data', letter: 'k'},
	{label: 'remove, Delete data', letter: 'd'},
];

export function RemoveDialog({download, focus, ...place}: Place & {download: Download; focus: number}) {
	const {width, ascii} = place;
	const readers = download.players.filter(({connected}) => connected);
	const names = readers.map(({name}) => cleanText(name)).join(', ');
	return (
		<Dialog
			title="Remove this download?"
			hint={`${ascii ? 'arrows' : '←→'} choose   Enter   Esc = No`}
			{...place}
		>
			<Text wrap="truncate">{fitName(cleanText(download.name), inner(width), {ascii})}</Text>
			<Text>
				{`${amount(download)} are here.`}
				{readers.length > 0 ? ` ${names} reads it and will stop.` : ''}
			</Text>
			<Text> </Text>
			<Buttons buttons={removeButtons} focus={focus} ascii={ascii} />
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
	const downloads = running === 1 ? '1 download runs' : `${running} downloads run`;
	const connected = players === 1 ? '1 player is connected' : `${players} players are connected`;
	return (
		<Dialog title="Quit?" hint="q or Ctrl+C = quit   Esc = stay" {...place}>
			<Text>{`${downloads} and ${connected}.`}</Text>
			<Text>Downloads stop now and go on from here at the next start.</Text>
			{players > 0 ? <Text>Players will stop: their URL is served by this program.</Text> : null}
			<Text> </Text>
			<Buttons buttons={quitButtons} focus={focus} ascii={place.ascii} />
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
	const {width, ascii} = place;
	const isComplete = download.status === 'complete';
	return (
		<Dialog
			title={`Export ${fitName(cleanText(download.name), inner(width) - 7, {ascii})}`}
			hint={
				clash === undefined
					? 'Enter export   Esc close'
					: `${ascii ? 'arrows' : '←→'} choose   Enter   Esc close`
			}
			{...place}
		>
			<Text>
				{'To     '}
				<FieldText field={field} width={inner(width) - 8} />
			</Text>
			<Text>{`When   ${isComplete ? 'now' : `when complete (now ${amount(download)})`}`}</Text>
			{clash === undefined ? null : (
				<>
					<Text bold>! A file of this name is there.</Text>
					<Buttons buttons={clashButtons} focus={clash} ascii={ascii} />
				</>
			)}
			{problem === undefined ? null : (
				<Text bold>{`! ${fitText(cleanText(problem), inner(width) * 2)}`}</Text>
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
	const {width} = place;
	const {urls, problem: wrong} = parseUrls(field.text);
	const shown = problem ?? wrong;
	return (
		<Dialog title="Add downloads" hint="Enter add   Esc close (what was typed is kept)" {...place}>
			<Text>
				{'URLs   '}
				<FieldText field={field} width={inner(width) - 8} />
			</Text>
			<Text>{`       ${urls.length} ready; several are separated by blanks`}</Text>
			{shown === undefined ? null : <Text bold>{`! ${fitText(cleanText(shown), inner(width) - 2)}`}</Text>}
		</Dialog>
	);
}
