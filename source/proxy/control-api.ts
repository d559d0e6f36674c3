// The control API: the engine's commands and snapshot as JSON over HTTP, with server-sent events for changes.
import type {IncomingMessage, ServerResponse} from 'node:http';
import {
	byId,
	type AddRequest,
	type Download,
	type DownloadId,
	type DownloadEngine,
	DownStreamError,
	type QueueMove,
} from '../downstream.ts';
import {
	addRequest,
	anyObject,
	boolean,
	downloadChange,
	exportRequest,
	integer,
	object,
	optional,
	playerCommand,
	rateLimit,
	rule,
	safeRequest,
	wholeNumber,
	type ObjectSchema,
} from '../schema.ts';
import type {Leases} from '../leases.ts';
import {safeJson} from '../text/escape-controls.ts';
import {viewKeyRefusal} from './access.ts';
import {withoutSecrets, type ReadOnly} from './read-only.ts';
import {Problem} from './problem.ts';
import {changesBetween} from './snapshot-changes.ts';

/** Bytes of a request body. */
const maxBodySize = 1024 * 1024;
/** Up to the longest delay of a timer. */
export const undoTime = integer(0, 2_147_483_647);

/**
 * In the response to a command: the version of the first snapshot that reflects it. A client of the event stream uses
 * it to detect when its own command has taken effect.
 */
export const versionHeader = 'downstream-version';

/** Names the lease of the client. */
export const leaseHeader = 'Downstream-Lease';
export const leaseName = /^[\w-]{1,64}$/;

/** Request bodies without a type in the engine's interface. */
export const startOverRequest = object<{keepOld?: boolean}>({keepOld: optional(boolean)});
export const moveRequest = object<{by: QueueMove}>({
	by: rule('-1, 1 or "front"', value => value === -1 || value === 1 || value === 'front', {
		enum: [-1, 1, 'front'],
	}),
});
export const settingsRequest = object<{limitRate: number | null}>({limitRate: rateLimit});

type ApiRequest = {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly path: string;
	readonly parameters: URLSearchParams;
	readonly permission: 'command' | 'view';
	readonly prepareAdd?: ((request: AddRequest) => Promise<AddRequest>) | undefined;
	readonly leases: Leases;
	/** The name of the client's lease. */
	readonly lease: string | undefined;
};

type Handler<Engine = DownloadEngine> = (
	engine: Engine,
	api: ApiRequest,
	id: DownloadId,
) => void | Promise<void>;

type Methods = {readonly GET?: Handler<ReadOnly>} & Readonly<
	Partial<Record<'POST' | 'PATCH' | 'DELETE', Handler>>
>;

/** Keyed by path below `/api`, where `*` stands for a download's id and then a number, then by method. */
export const routes = new Map<string, Methods>([
	[
		'/downloads',
		{
			GET: (engine, {response}) => sendJson(response, 200, engine.snapshot.downloads),
			POST: addDownload,
		},
	],
	[
		'/downloads/*',
		{
			GET: (engine, {response}, id) => sendJson(response, 200, findDownload(engine, id)),
			PATCH: updateDownload,
			DELETE: removeDownload,
		},
	],
	['/downloads/*/pause', {POST: command((engine, id) => engine.pause(id))}],
	['/downloads/*/resume', {POST: command((engine, id) => engine.resume(id))}],
	['/downloads/*/cancel', {POST: command((engine, id) => engine.cancel(id))}],
	['/downloads/*/restore', {POST: command((engine, id) => engine.restore(id))}],
	['/downloads/*/verify', {POST: verifyDownload}],
	['/downloads/*/accept-change', {POST: command((engine, id) => engine.acceptChange(id))}],
	['/downloads/*/start-over', {POST: startOver}],
	['/downloads/*/move-in-queue', {POST: moveInQueue}],
	['/downloads/*/export', {POST: exportDownload}],
	['/downloads/*/safe', {POST: makeSafe}],
	['/downloads/*/safe/*', {DELETE: lift}],
	['/downloads/*/link-player', {POST: linkPlayer}],
	['/downloads/*/player', {POST: controlPlayer}],
	['/settings', {GET: sendSettings, PATCH: changeSettings}],
	['/events', {GET: sendEvents}],
	['/lease', {DELETE: releaseLease}],
]);

/** Throws a `Problem` for an invalid name. */
export function leaseOf({headers}: IncomingMessage): string | undefined {
	const name = headers[leaseHeader.toLowerCase()];
	if (name !== undefined && !(typeof name === 'string' && leaseName.test(name))) {
		throw badRequest(`The header ${leaseHeader} must be 1 to 64 letters, digits, "-" or "_".`);
	}

	return name;
}

/** Serves an authorized request below `/api`. Rejects with a `Problem` or `DownStreamError`. */
export async function serveApi(engine: DownloadEngine, api: ApiRequest): Promise<void> {
	const [, id = '', verb = ''] = /^\/api\/downloads\/([^/]+)(.*)$/.exec(api.path) ?? [];
	const name = verb.replace(/^(\/[a-z-]+)\/\d{1,15}$/, '$1/*');
	const methods = routes.get(id === '' ? api.path.slice('/api'.length) : `/downloads/*${name}`);
	if (!methods) {
		throw new Problem(404, 'There is nothing at this address.');
	}

	const method = api.request.method ?? '';
	const handler = Object.hasOwn(methods, method) ? methods[method as keyof Methods] : undefined;
	if (!handler) {
		const allowed = Object.keys(methods);
		const words = `${new Intl.ListFormat('en').format(allowed)} ${allowed.length > 1 ? 'are' : 'is'}`;
		throw new Problem(405, `Only ${words} allowed here.`, {allow: allowed.join(', ')});
	}

	const {lease, leases, permission} = api;
	if (permission === 'command') {
		await handler(lease === undefined ? leases.without(engine) : leases.with(lease), api, id);
	} else if (lease !== undefined) {
		throw new Problem(403, viewKeyRefusal);
	} else if (handler === methods.GET) {
		await methods.GET(withoutSecrets(engine), api, id);
	} else {
		throw new Problem(403, viewKeyRefusal);
	}
}

function command(run: (engine: DownloadEngine, id: DownloadId) => Promise<void>): Handler {
	return async (engine, {response}, id) => {
		await run(engine, id);
		sendResult(engine, response, 200, findDownload(engine, id));
	};
}

async function addDownload(
	engine: DownloadEngine,
	{request, response, prepareAdd = async original => original}: ApiRequest,
): Promise<void> {
	const given = checkBody(await readJson(request), addRequest);
	const {download, existed} = await engine.add(await prepareAdd(given));
	response.setHeader('location', `/api/downloads/${download.id}`);
	sendResult(engine, response, existed ? 200 : 201, download);
}

async function updateDownload(
	engine: DownloadEngine,
	{request, response}: ApiRequest,
	id: DownloadId,
): Promise<void> {
	const change = checkBody(await readJson(request), downloadChange);
	sendResult(engine, response, 200, await engine.update(id, change));
}

async function removeDownload(
	engine: DownloadEngine,
	{response, parameters}: ApiRequest,
	id: DownloadId,
): Promise<void> {
	const data = parameters.get('data') ?? 'keep';
	if (data !== 'keep' && data !== 'delete') {
		throw badRequest('The parameter "data" must be keep or delete.');
	}

	const undoMs = parameters.get('undoMs');
	if (undoMs !== null && !undoTime.accepts(wholeNumber(undoMs))) {
		throw badRequest(`The parameter "undoMs" must be ${undoTime.expected}.`);
	}

	await engine.remove(id, {data, ...(undoMs === null ? {} : {undoMs: Number(undoMs)})});
	sendVersion(engine, response);
	response.writeHead(204).end();
}

/** Responds with the download and its damaged ranges. */
async function verifyDownload(engine: DownloadEngine, {response}: ApiRequest, id: DownloadId): Promise<void> {
	const {damaged} = await engine.verify(id);
	sendResult(engine, response, 200, {...findDownload(engine, id), damaged});
}

async function startOver(
	engine: DownloadEngine,
	{request, response}: ApiRequest,
	id: DownloadId,
): Promise<void> {
	const options = checkBody(await readOptionalJson(request), startOverRequest);
	sendResult(engine, response, 200, await engine.startOver(id, options));
}

async function moveInQueue(
	engine: DownloadEngine,
	{request, response}: ApiRequest,
	id: DownloadId,
): Promise<void> {
	const {by} = checkBody(await readJson(request), moveRequest);
	await engine.moveInQueue(id, by);
	sendResult(engine, response, 200, findDownload(engine, id));
}

async function exportDownload(
	engine: DownloadEngine,
	{request, response}: ApiRequest,
	id: DownloadId,
): Promise<void> {
	const given = checkBody(await readJson(request), exportRequest);
	sendResult(engine, response, 200, await engine.export(id, given));
}

async function makeSafe(
	engine: DownloadEngine,
	{request, response}: ApiRequest,
	id: DownloadId,
): Promise<void> {
	const given = checkBody(await readJson(request), safeRequest);
	sendResult(engine, response, given.dryRun ? 200 : 201, await engine.makeSafe(id, given));
}

async function lift(engine: DownloadEngine, {path, response}: ApiRequest, id: DownloadId): Promise<void> {
	await engine.lift(id, Number(path.replace(/^.*\//, '')));
	sendResult(engine, response, 200, findDownload(engine, id));
}

async function linkPlayer(engine: DownloadEngine, {response}: ApiRequest, id: DownloadId): Promise<void> {
	sendResult(engine, response, 200, await engine.linkPlayer(id));
}

async function controlPlayer(
	engine: DownloadEngine,
	{request, response}: ApiRequest,
	id: DownloadId,
): Promise<void> {
	await engine.controlPlayer(id, checkBody(await readJson(request), playerCommand));
	sendResult(engine, response, 200, findDownload(engine, id));
}

function sendSettings({snapshot}: ReadOnly, {response}: ApiRequest): void {
	sendJson(response, 200, {limitRate: snapshot.limitRate});
}

async function changeSettings(engine: DownloadEngine, {request, response}: ApiRequest): Promise<void> {
	const {limitRate} = checkBody(await readJson(request), settingsRequest);
	await engine.setLimitRate(limitRate);
	sendResult(engine, response, 200, {limitRate: engine.snapshot.limitRate});
}

function findDownload(engine: ReadOnly, id: DownloadId): Download {
	const download = byId(engine.snapshot.downloads, id);
	if (!download) {
		throw new DownStreamError('not-found', 'There is no such download.');
	}

	return download;
}

/** A slow client skips intermediate states: each event is the difference from the last snapshot sent to it. */
function sendEvents(engine: ReadOnly, {response, lease, leases}: ApiRequest): void {
	response.writeHead(200, {'content-type': 'text/event-stream', 'cache-control': 'no-store'});
	let sent = engine.snapshot;
	response.write(formatEvent('snapshot', sent));
	const sendChanges = () => {
		const {snapshot} = engine;
		if (snapshot !== sent && !response.writableNeedDrain) {
			response.write(formatEvent('changes', changesBetween(sent, snapshot)));
			sent = snapshot;
		}
	};
	response.on('drain', sendChanges);
	response.on('close', engine.subscribe(sendChanges));
	if (lease !== undefined) {
		response.on('close', leases.connect(lease));
	}
}

function releaseLease(_engine: DownloadEngine, {response, lease, leases}: ApiRequest): void {
	if (lease === undefined) {
		throw badRequest(`The header ${leaseHeader} is missing.`);
	}

	leases.release(lease);
	response.writeHead(204).end();
}

function formatEvent(event: string, data: unknown): string {
	return `event: ${event}\ndata: ${safeJson(data)}\n\n`;
}

/** Responds to a command. */
function sendResult(engine: DownloadEngine, response: ServerResponse, status: number, value: unknown): void {
	sendVersion(engine, response);
	sendJson(response, status, value);
}

function sendVersion({snapshot}: DownloadEngine, response: ServerResponse): void {
	response.setHeader(versionHeader, snapshot.version);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
	const body = safeJson(value);
	response.writeHead(status, {
		'content-type': 'application/json',
		'content-length': Buffer.byteLength(body),
		'cache-control': 'no-store',
		'x-content-type-options': 'nosniff',
	});
	response.end(body);
}

/** For requests with an optional body. */
async function readOptionalJson(request: IncomingMessage): Promise<unknown> {
	const {headers} = request;
	const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
	return hasBody ? readJson(request) : {};
}

async function readJson(request: IncomingMessage): Promise<unknown> {
	if (!/^application\/json *(?:;|$)/i.test(request.headers['content-type'] ?? '')) {
		throw new Problem(415, 'The body must be JSON, with Content-Type: application/json.');
	}

	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of request as AsyncIterable<Buffer>) {
		size += chunk.length;
		// Drained anyway: a client that is still sending would not receive the response.
		if (size <= maxBodySize) {
			chunks.push(chunk);
		}
	}

	if (size > maxBodySize) {
		throw new Problem(413, `The body must not exceed ${maxBodySize} bytes.`);
	}

	try {
		return JSON.parse(Buffer.concat(chunks).toString());
	} catch {
		throw badRequest('The body is not valid JSON.');
	}
}

/** Rejects unknown fields, wrong types and missing required fields. */
function checkBody<Body extends object>(body: unknown, schema: ObjectSchema<Body>): Body {
	const given = anyObject.read(body, () => {
		throw badRequest('The body must be a JSON object.');
	});
	const unknown = Object.keys(given).find(field => !Object.hasOwn(schema.fields, field));
	if (unknown !== undefined) {
		throw badRequest(`The field ${JSON.stringify(unknown)} is unknown.`);
	}

	return schema.read(given, (expected, [field = '']) => {
		const problem = Object.hasOwn(given, field) ? `must be ${expected}` : 'is missing';
		throw badRequest(`The field "${field}" ${problem}.`);
	});
}

function badRequest(message: string): DownStreamError {
	return new DownStreamError('bad-request', message);
}
