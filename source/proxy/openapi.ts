// The description of the API for other programs: OpenAPI 3.1, from the schemas that check the requests. Pure.
import {
	addRequest,
	downloadChange,
	exportRequest,
	playerCommand,
	safeRequest,
	type JsonSchema,
	type Schema,
} from '../schema.ts';
import {version} from '../version.ts';
import {
	leaseHeader,
	leaseName,
	moveRequest,
	settingsRequest,
	startOverRequest,
	undoTime,
	versionHeader,
} from './control-api.ts';
import {listOf, ref, schemas} from './openapi-schemas.ts';

type Operation = {
	readonly summary: string;
	readonly parameters?: readonly object[];
	readonly body?: Schema<object>;
	/** The body is optional. */
	readonly isBodyOptional?: boolean;
	/** The successful responses. */
	readonly responses: Readonly<Record<number, object>>;
	readonly access: keyof typeof accesses;
};

/** Alternative security schemes. */
const accesses = {
	none: [],
	view: [{viewKey: []}, {key: []}],
	viewOrUrl: [{viewKey: []}, {key: []}, {keyInUrl: []}],
	url: [{keyInUrl: []}],
	command: [{key: []}],
};

/** The document, the same for each instance of this version. */
export function openApi(): object {
	return {
		openapi: '3.1.0',
		info: {
			title: 'downstream-tui',
			version,
			description:
				'Control of a running instance. Sizes and offsets are bytes, ranges are half-open, times are milliseconds since the epoch, rates are bytes per second.',
		},
		// The instance that serves this document.
		servers: [{url: '/'}],
		paths: Object.fromEntries(
			Object.entries(operations).map(([path, methods]) => [
				path,
				Object.fromEntries(
					Object.entries(methods).map(([method, operation]) => [method, describe(path, operation)]),
				),
			]),
		),
		components: {
			schemas,
			responses: {
				Problem: {
					description: 'The request failed. Problem details (RFC 9457).',
					content: {'application/problem+json': {schema: ref('Problem')}},
				},
			},
			securitySchemes: {
				key: {
					type: 'http',
					scheme: 'bearer',
					description: 'The key of the storage folder (file `key`): reads and commands.',
				},
				viewKey: {
					type: 'http',
					scheme: 'bearer',
					description: 'The view key of the storage folder (file `view-key`): read-only; URLs are masked.',
				},
				keyInUrl: {type: 'apiKey', in: 'query', name: 'key', description: 'Either key, in the URL.'},
			},
		},
	};
}

function describe(path: string, operation: Operation): object {
	const {summary, parameters = [], body, isBodyOptional = false, responses, access} = operation;
	const all = [...(path.includes('{id}') ? [idParameter] : []), ...parameters];
	return {
		summary,
		...(all.length > 0 && {parameters: all}),
		...(body && {
			requestBody: {
				required: !isBodyOptional,
				content: {'application/json': {schema: {...body.json, additionalProperties: false}}},
			},
		}),
		responses: {...responses, default: {$ref: '#/components/responses/Problem'}},
		security: accesses[access],
	};
}

const idParameter = {name: 'id', in: 'path', required: true, schema: {type: 'string'}};
const leaseParameter = {
	name: leaseHeader,
	in: 'header',
	description:
		'The lease of the client, on every request: unless it is released, its additions and resumptions are undone 5 s after its last connection for events. Not with the view key.',
	schema: {type: 'string', pattern: leaseName.source},
};
const versionOfSnapshot = {
	[versionHeader]: {
		description: 'Version of the first snapshot that shows the effect.',
		schema: {type: 'integer'},
	},
};
const json = (description: string, schema: JsonSchema) => ({
	description,
	content: {'application/json': {schema}},
});
const commanded = (schema: keyof typeof schemas, description = 'Done.') => ({
	...json(description, ref(schema)),
	headers: versionOfSnapshot,
});
const media = (description: string) => ({
	description,
	content: {'*/*': {schema: {type: 'string', format: 'binary'}}},
});

function command(summary: string, parameters: readonly object[] = []): {post: Operation} {
	return {post: {summary, access: 'command', parameters, responses: {200: commanded('Download')}}};
}

/** By path, then method. */
const operations: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
	'/api/openapi.json': {
		get: {
			summary: 'This description',
			access: 'none',
			responses: {200: json('OpenAPI 3.1.', {type: 'object'})},
		},
	},
	'/api/downloads': {
		get: {
			summary: 'All downloads',
			access: 'view',
			responses: {200: json('In order of addition.', listOf(ref('Download')))},
		},
		post: {
			summary: 'Add a download',
			access: 'command',
			parameters: [leaseParameter],
			body: addRequest,
			responses: {
				200: commanded('Download', 'The download already existed.'),
				201: commanded('Download', 'The download was added.'),
			},
		},
	},
	'/api/downloads/{id}': {
		get: {summary: 'One download', access: 'view', responses: {200: json('The download.', ref('Download'))}},
		patch: {
			summary: 'Change a download',
			access: 'command',
			body: downloadChange,
			responses: {200: commanded('Download')},
		},
		delete: {
			summary: 'Remove a download',
			access: 'command',
			parameters: [
				{
					name: 'data',
					in: 'query',
					description: 'keep: the bytes stay; delete: they are deleted after undoMs.',
					schema: {enum: ['keep', 'delete'], default: 'keep'},
				},
				{name: 'undoMs', in: 'query', description: 'Milliseconds.', schema: undoTime.json},
			],
			responses: {204: {description: 'Removed.', headers: versionOfSnapshot}},
		},
	},
	'/api/downloads/{id}/pause': command('Stop the background download; players are still served'),
	'/api/downloads/{id}/resume': command('Continue, or retry at once', [leaseParameter]),
	'/api/downloads/{id}/cancel': command('Stop everything, players included'),
	'/api/downloads/{id}/restore': command('Undo a removal'),
	'/api/downloads/{id}/verify': {
		post: {
			summary: 'Compare the stored bytes with their checksums',
			access: 'command',
			responses: {200: commanded('Verified')},
		},
	},
	'/api/downloads/{id}/accept-change': command('Keep the stored bytes after origin-changed'),
	'/api/downloads/{id}/start-over': {
		post: {
			summary: 'Fetch the new version after origin-changed',
			access: 'command',
			body: startOverRequest,
			isBodyOptional: true,
			responses: {200: commanded('Download')},
		},
	},
	'/api/downloads/{id}/move-in-queue': {
		post: {
			summary: 'Move in the queue',
			access: 'command',
			body: moveRequest,
			responses: {200: commanded('Download')},
		},
	},
	'/api/downloads/{id}/export': {
		post: {
			summary: 'Export the file',
			access: 'command',
			body: exportRequest,
			responses: {200: commanded('Exported')},
		},
	},
	'/api/downloads/{id}/safe': {
		post: {
			summary: 'Make a stretch safe: fetch it before all background downloads, and keep it',
			access: 'command',
			body: safeRequest,
			responses: {
				200: commanded('Pledge', 'With dryRun: the pledge that would be made.'),
				201: commanded('Pledge', 'The pledge that includes the stretch.'),
			},
		},
	},
	'/api/downloads/{id}/safe/{n}': {
		delete: {
			summary: 'Lift a pledge; its bytes stay',
			access: 'command',
			parameters: [{name: 'n', in: 'path', required: true, schema: {type: 'integer'}}],
			responses: {200: commanded('Download')},
		},
	},
	'/api/downloads/{id}/link-player': {
		post: {
			summary: 'Get a socket for the --input-ipc-server option of mpv',
			access: 'command',
			responses: {200: commanded('PlayerSocket')},
		},
	},
	'/api/downloads/{id}/player': {
		post: {
			summary: 'Seek or pause the linked player; 409 without one',
			access: 'command',
			body: playerCommand,
			responses: {200: commanded('Download')},
		},
	},
	'/api/settings': {
		get: {
			summary: 'Settings of this run',
			access: 'view',
			responses: {200: json('The settings.', ref('Settings'))},
		},
		patch: {
			summary: 'Change settings of this run',
			access: 'command',
			body: settingsRequest,
			responses: {200: commanded('Settings')},
		},
	},
	'/api/events': {
		get: {
			summary: 'Follow the downloads through server-sent events',
			access: 'viewOrUrl',
			parameters: [leaseParameter],
			responses: {
				200: {
					description:
						'First `snapshot` with a Snapshot, then `changes` with SnapshotChanges; omitted fields are unchanged.',
					content: {
						'text/event-stream': {schema: {anyOf: [ref('Snapshot'), ref('SnapshotChanges')]}},
					},
				},
			},
		},
	},
	'/api/lease': {
		delete: {
			summary: 'Release the lease: its additions and resumptions stay',
			access: 'command',
			parameters: [{...leaseParameter, required: true}],
			responses: {204: {description: 'Released.'}},
		},
	},
	'/playlist.m3u': {
		get: {
			summary: 'A playlist of all playable downloads',
			access: 'url',
			parameters: [
				{
					name: 'begun',
					in: 'query',
					description: 'Only partly watched downloads.',
					schema: {type: 'string'},
				},
			],
			responses: {
				200: {description: 'Extended M3U.', content: {'audio/x-mpegurl': {schema: {type: 'string'}}}},
			},
		},
	},
	'/stream/{id}/{name}': {
		get: {
			summary: 'The file, with range requests (RFC 9110 section 14)',
			access: 'none',
			parameters: [
				{name: 'name', in: 'path', required: true, schema: {type: 'string'}},
				{
					name: 'cached',
					in: 'query',
					description:
						'Only stored bytes: fetches nothing, counts as no player, and ends at the first missing byte.',
					schema: {type: 'string'},
				},
			],
			responses: {200: media('The file.'), 206: media('The requested ranges.')},
		},
	},
	'/stream': {
		get: {
			summary: 'The file of any URL, added on the first request; the view key is not sufficient',
			access: 'url',
			parameters: [{name: 'url', in: 'query', required: true, schema: {type: 'string'}}],
			responses: {200: media('The file.'), 206: media('The requested ranges.')},
		},
	},
};
