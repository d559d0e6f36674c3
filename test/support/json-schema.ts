// Checks values against the JSON Schemas of the API's description. An unknown keyword is an error.
import assert from 'node:assert/strict';
import type {JsonSchema} from '../../source/schema.ts';

/** The value of a `#/…` reference. */
export function resolved(root: object, schema: JsonSchema): JsonSchema {
	if (typeof schema.$ref !== 'string') {
		return schema;
	}

	let target: unknown = root;
	for (const key of schema.$ref.split('/').slice(1)) {
		target = (target as Record<string, unknown>)[key];
	}

	assert.ok(target, `${schema.$ref} leads nowhere`);
	return target as JsonSchema;
}

/** Throws an error that names the first mismatch. */
export function assertFits(root: object, given: JsonSchema, value: unknown, where = 'the value'): void {
	const schema = resolved(root, given);
	for (const [keyword, argument] of Object.entries(schema)) {
		const check = keywords[keyword];
		assert.ok(check, `the keyword ${keyword} is not known`);
		check({root, schema, value, where, argument: argument as never});
	}
}

type Check = (given: {
	root: object;
	schema: JsonSchema;
	value: unknown;
	where: string;
	argument: never;
}) => void;

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

const keywords: Partial<Record<string, Check>> = {
	description: () => undefined,
	default: () => undefined,
	type({value, where, argument}) {
		const fits: Record<string, boolean> = {
			null: value === null,
			object: isObject(value),
			array: Array.isArray(value),
			integer: Number.isInteger(value),
			string: typeof value === 'string',
			number: typeof value === 'number',
			boolean: typeof value === 'boolean',
		};
		assert.ok(fits[argument as string], `${where} is no ${String(argument)}: ${JSON.stringify(value)}`);
	},
	enum({value, where, argument}) {
		assert.ok((argument as unknown[]).includes(value), `${where} is ${JSON.stringify(value)}`);
	},
	anyOf({root, value, where, argument}) {
		const problems = (argument as JsonSchema[]).map(schema => {
			try {
				assertFits(root, schema, value, where);
				return undefined;
			} catch (error) {
				return (error as Error).message;
			}
		});
		assert.ok(problems.includes(undefined), problems.join('; or '));
	},
	properties({root, value, where, argument}) {
		for (const [name, schema] of Object.entries<JsonSchema>(argument)) {
			if (isObject(value) && Object.hasOwn(value, name)) {
				assertFits(root, schema, value[name], `${where}.${name}`);
			}
		}
	},
	required({value, where, argument}) {
		for (const name of argument as string[]) {
			assert.ok(isObject(value) && Object.hasOwn(value, name), `${where}.${name} is missing`);
		}
	},
	additionalProperties({root, schema, value, where, argument}) {
		const known = schema.properties ?? {};
		for (const [name, each] of Object.entries(isObject(value) ? value : {})) {
			if (!Object.hasOwn(known, name)) {
				assert.notEqual(argument, false, `${where}.${name} is not described`);
				assertFits(root, argument, each, `${where}.${name}`);
			}
		}
	},
	items({root, value, where, argument}) {
		for (const [index, item] of (Array.isArray(value) ? value : []).entries()) {
			assertFits(root, argument, item, `${where}[${index}]`);
		}
	},
	minItems: ({value, where, argument}) => assert.ok((value as unknown[]).length >= argument, where),
	maxItems: ({value, where, argument}) => assert.ok((value as unknown[]).length <= argument, where),
	minimum: ({value, where, argument}) => assert.ok((value as number) >= argument, where),
	maximum: ({value, where, argument}) => assert.ok((value as number) <= argument, where),
};
