// The schemas of the API's responses, as JSON Schemas. Pure.
import {
	errorKinds,
	filmProblems,
	remedies,
	type Download,
	type DownloadError,
	type DownloadFilm,
	type DownloadStatus,
	type OpenSegment,
	type Playback,
	type Pledge,
	type Player,
	type Position,
	type Snapshot,
} from '../downstream.ts';
import type {JsonSchema} from '../schema.ts';
import type {DownloadChanges, SnapshotChanges} from './snapshot-changes.ts';

const text = (description: string): JsonSchema => ({type: 'string', description});
const flag = (description: string): JsonSchema => ({type: 'boolean', description});
const number = (description: string): JsonSchema => ({type: 'number', description});
const integer = (description: string): JsonSchema => ({type: 'integer', description});
const orNull = (schema: JsonSchema): JsonSchema => ({anyOf: [schema, {type: 'null'}]});
export const listOf = (items: JsonSchema, description?: string): JsonSchema => ({
	type: 'array',
	items,
	...(description !== undefined && {description}),
});

/** All fields are required, except the named ones. */
function objectOf(
	properties: Readonly<Record<string, JsonSchema>>,
	optional: readonly string[] = [],
): JsonSchema {
	return partOf(
		properties,
		Object.keys(properties).filter(name => !optional.includes(name)),
	);
}

/** All fields are optional except the named ones. */
function partOf(properties: Readonly<Record<string, JsonSchema>>, required: readonly string[]): JsonSchema {
	return {type: 'object', properties, required, additionalProperties: false};
}

const statuses: Readonly<Record<DownloadStatus, string>> = {
	asking: 'waiting for the first response of the origin, or for a new link',
	active: 'connections fetch bytes, or the last bytes are being recorded',
	waiting: 'an attempt failed, the next one is scheduled',
	queued: 'waiting for a place, a connection, or a player',
	paused: 'the background download is stopped, players are still served',
	cancelled: 'everything is stopped, players included',
	exporting: 'the file is being copied out',
	checking: 'stored bytes are being compared with their checksums',
	complete: 'every byte is stored',
	failed: 'stopped by a permanent error',
};

const range = {...listOf({type: 'integer'}, '`[start, end)`'), minItems: 2, maxItems: 2};

const download: Readonly<Record<keyof Download, JsonSchema>> = {
	id: text('128 random bits in hexadecimal.'),
	url: text('The given URL without user and password. Masked for the view key.'),
	item: orNull(text('The source from which the URL was resolved, such as a page.')),
	streamUrl: text('The local URL to play.'),
	name: text('A safe file name.'),
	size: orNull(integer('Bytes; null while unknown.')),
	type: text('MIME type.'),
	status: {
		enum: Object.keys(statuses),
		description: Object.entries(statuses)
			.map(([name, meaning]) => `${name}: ${meaning}`)
			.join('; '),
	},
	present: integer('Stored bytes.'),
	ranges: listOf(range, 'Stored ranges, sorted and merged.'),
	bytesPerSecond: number('Averaged over 3 s.'),
	bytesPerSecondLong: number('Averaged over 20 s; at most the speed limit.'),
	connections: integer('Open connections to the origin.'),
	maxConnections: integer('Limit on connections.'),
	hostCeiling: orNull(integer('Connection limit of the server, while the download waits for a connection.')),
	waitsForPledges: flag('Queued because pledges come first.'),
	segments: listOf({$ref: '#/components/schemas/Segment'}, 'One per connection.'),
	players: listOf({$ref: '#/components/schemas/Player'}, 'Programs that read the stream.'),
	pledges: listOf({$ref: '#/components/schemas/Pledge'}, 'Stretches to keep on disk, by number.'),
	position: orNull({$ref: '#/components/schemas/Position'}),
	playback: orNull({$ref: '#/components/schemas/Playback'}),
	error: orNull({$ref: '#/components/schemas/DownloadError'}),
	lastError: orNull({$ref: '#/components/schemas/DownloadError'}),
	retryAt: orNull(integer('Time of the next attempt.')),
	lastByteAt: orNull(integer('Time of the last write.')),
	addedAt: integer('Time of addition.'),
	completedAt: orNull(integer('Time of completion.')),
	acceptsRanges: orNull(flag('Null before the first response.')),
	validator: orNull(text('ETag or Last-Modified of the stored bytes.')),
	hasUnstableValidator: flag('The validator of the server changes without the file.'),
	isPageForFile: flag('The server sent a web page in place of the file.'),
	onDemand: flag('Fetch only the bytes that players request.'),
	queueRank: number('Order in the queue: smaller first.'),
	limitRate: orNull(integer('Limit of this download.')),
	checksum: orNull(text('The expected checksum, such as `sha256:…`.')),
	checkProgress: orNull(number('Fraction of a running check.')),
	exportProgress: orNull(number('Fraction of a running export.')),
	exportedTo: orNull(text('Path of the last export.')),
	exportWhenComplete: orNull(text('Path of the export planned for completion.')),
	film: orNull({$ref: '#/components/schemas/Film'}),
	filmProblem: orNull({
		enum: [...filmProblems],
		description: 'Reason why the index of a film or sound cannot be read.',
	}),
	folder: text('The folder that holds the data.'),
};

const film: Readonly<Record<keyof DownloadFilm, JsonSchema>> = {
	durationMs: integer('Milliseconds, like all times of a film.'),
	exact: flag(
		'From the index. Otherwise times are interpolated from bytes, and watchTo and stallAt are estimates.',
	),
	indexBytes: integer('Bytes of the index.'),
	indexOffset: integer('Offset of the last part of the index.'),
	tracks: listOf(
		objectOf({
			kind: {enum: ['video', 'audio']},
			codec: orNull(text('Such as avc or aac.')),
			language: orNull(text('ISO 639-2.')),
			width: orNull(integer('Pixels.')),
			height: orNull(integer('Pixels.')),
		}),
	),
	playable: listOf(range, 'Stretches that play without another byte, sorted. Never an estimate.'),
	position: integer('Time at the read position of the newest player; 0 without players.'),
	watchTo: orNull(integer('End of the playable stretch that contains position.')),
	forecastRate: integer(
		'Bytes per second that playback from position gets: without those that other players and pledges take, and at most the speed limit. 0 while nothing is fetched beyond the requests of players.',
	),
	stallAt: orNull(integer('Where playback from position stalls at forecastRate; null if it plays through.')),
	waitMs: orNull(integer('Milliseconds until it would play through; null at the rate 0.')),
	neededRate: integer('Bytes per second at which it would play through after a wait of at most 5 s.'),
};

const needs = {enum: [...remedies], description: 'User input that would resolve the error.'};

const downloadError: Readonly<Record<keyof DownloadError, JsonSchema>> = {
	code: {enum: Object.keys(errorKinds)},
	message: text('One sentence.'),
	at: integer('Time of the error.'),
	tries: integer('Consecutive failed attempts.'),
	since: integer('Time of the first failed attempt.'),
	maxTries: integer('Limit on attempts, in records of earlier versions.'),
	bytesAgree: flag('For origin-changed: samples of the stored bytes match the server.'),
	status: integer('HTTP status of the response.'),
	needs,
};

const player: Readonly<Record<keyof Player, JsonSchema>> = {
	id: text('Unique in this list.'),
	name: text('From its User-Agent. Untrusted.'),
	offset: integer('The next byte to read.'),
	ready: integer('Contiguous stored bytes from offset on.'),
	readyMs: orNull(
		integer(
			"Milliseconds that these bytes last: by the film's index, or else at the rate of the player's reads. Null while neither is known.",
		),
	),
	blocked: flag('Waiting for missing bytes.'),
	connected: flag('Has an open request.'),
};

const position: Readonly<Record<keyof Position, JsonSchema>> = {
	ms: integer('Milliseconds from the start.'),
	at: integer('Time of this position, in milliseconds since the epoch.'),
	watched: flag('Played to the end, or past 92 %.'),
	exact: flag(
		'Reported by a linked player or set by a client; otherwise inferred from the bytes that a player reads.',
	),
};

const playback: Readonly<Record<keyof Playback, JsonSchema>> = {
	player: text('Such as `mpv 0.38.0`. Untrusted.'),
	durationMs: orNull(integer('Null while unknown.')),
	paused: flag('Paused by its user or a command.'),
	speed: number('1 is normal.'),
	offset: orNull(integer('The byte of the current picture or sound; null without a film map.')),
	stalled: flag('Waiting for missing bytes.'),
	stalls: integer('Number of stalls so far.'),
	subtitles: orNull(text('The language of the shown subtitles, such as `en`. Untrusted.')),
};

const segment: Readonly<Record<keyof OpenSegment, JsonSchema>> = {
	start: integer('First byte of the request.'),
	offset: integer('The next byte to arrive.'),
	end: orNull(integer('Exclusive; null while the size is unknown.')),
	for: {enum: ['player', 'pledge', 'fill']},
};

const pledge: Readonly<Record<keyof Pledge, JsonSchema>> = {
	n: integer('Unique among the pledges of the download.'),
	fromMs: orNull(integer('Milliseconds of the film; null for a stretch in bytes.')),
	toMs: orNull(
		integer('Exclusive; null for a stretch in bytes, and while the duration of the film is unknown.'),
	),
	exact: flag('False for minutes that are estimates.'),
	start: orNull(integer('First byte; null while unknown.')),
	end: orNull(integer('Exclusive. A film may need only some of the bytes before it.')),
	missing: orNull(integer('Missing bytes of the stretch and of the index of the film.')),
	safeTo: orNull(integer('End of the bytes that can be read without a network; null if there are none.')),
	safeToMs: orNull(
		integer('End of the minutes that can be watched without a network; null if there are none.'),
	),
	by: orNull(integer('Deadline.')),
	etaAt: orNull(integer('Expected time of completion at the current speed.')),
	state: {
		enum: ['pending', 'safe', 'impossible'],
		description: 'pending: bytes are missing or unknown; safe: all are on disk; impossible: see reason',
	},
	reason: orNull(text('Reason; null unless it is impossible.')),
};

const general: Readonly<Record<Exclude<keyof Snapshot, 'downloads'>, JsonSchema>> = {
	version: integer('Increases by one with each change.'),
	bytesPerSecond: number('Of all downloads.'),
	limitRate: orNull(integer('Limit of all downloads.')),
	freeBytes: orNull(integer('Free bytes on the disk of the storage folder.')),
	origin: text('`http://127.0.0.1:PORT`'),
	banners: listOf(text('One sentence.'), 'Messages about the whole instance, such as a full disk.'),
};

const downloadChanges: Readonly<Record<keyof DownloadChanges, JsonSchema>> = {
	...download,
	flipped: listOf(range, 'Instead of `ranges`: ranges that arrived or became holes.'),
};

const changes: Readonly<Record<keyof SnapshotChanges, JsonSchema>> = {
	...general,
	changed: listOf(
		{$ref: '#/components/schemas/DownloadChanges'},
		'New downloads in full; of changed ones the id and the changed fields.',
	),
	order: orNull(listOf(text('ID'), 'All ids; null if unchanged.')),
};

export const schemas = {
	Download: objectOf(download),
	Film: objectOf(film),
	DownloadError: objectOf(downloadError, ['tries', 'since', 'maxTries', 'bytesAgree', 'status', 'needs']),
	Player: objectOf(player),
	Position: objectOf(position),
	Playback: objectOf(playback),
	PlayerSocket: objectOf({socket: text('A path, or the name of a pipe.')}),
	Segment: objectOf(segment),
	Pledge: objectOf(pledge),
	Verified: objectOf({...download, damaged: listOf(range, 'Damaged ranges, which are now holes.')}),
	Snapshot: objectOf({...general, downloads: listOf({$ref: '#/components/schemas/Download'})}),
	DownloadChanges: partOf(downloadChanges, ['id']),
	SnapshotChanges: partOf(changes, ['version', 'changed', 'order']),
	Settings: objectOf({limitRate: orNull(integer('Limit of all downloads.'))}),
	Exported: objectOf({path: text('Path of the written or planned file.')}),
	Problem: objectOf(
		{
			type: {enum: ['about:blank']},
			title: text('Reason phrase of the status.'),
			status: integer('The status.'),
			detail: text('One sentence without secrets.'),
			code: {enum: Object.keys(errorKinds)},
			needs,
		},
		['code', 'needs'],
	),
};

export function ref(name: keyof typeof schemas): JsonSchema {
	return {$ref: `#/components/schemas/${name}`};
}
