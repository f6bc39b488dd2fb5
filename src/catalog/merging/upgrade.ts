// OpenAPI 3.0 → 3.1: what its schemas say in another way (nullable, exclusive bounds). Pure; the rest reads the same.
import { isObject, type Json, type JsonObject, own } from '../reading/tree.ts'

/** Members whose values are data, in which nothing is a schema, and those whose members have names of their own. */
const data = new Set(['example', 'examples', 'default', 'enum', 'const'])
const named = new Set(['properties', 'patternProperties', 'schemas', 'headers', 'parameters', 'responses'])

export function upgraded(document: JsonObject): JsonObject {
  if (!String(own(document, 'openapi')).startsWith('3.0')) return document
  return { ...(walk(document, false) as JsonObject), openapi: '3.1.0' }
}

function walk(value: Json, isNamed: boolean): Json {
  if (Array.isArray(value)) return value.map((one) => walk(one, false))
  if (!isObject(value)) return value
  const members = Object.entries(isNamed ? value : asIn31(value)).map(([name, member]): [string, Json] => [
    name,
    data.has(name) && !isNamed ? member : walk(member, named.has(name) && !isNamed),
  ])
  return Object.fromEntries(members)
}

function asIn31(schema: JsonObject): JsonObject {
  const result = { ...schema }
  if (typeof result['nullable'] === 'boolean') withNull(result)
  for (const [bound, exclusive] of [
    ['minimum', 'exclusiveMinimum'],
    ['maximum', 'exclusiveMaximum'],
  ] as const) {
    if (typeof result[exclusive] !== 'boolean') continue
    if (result[exclusive] && result[bound] !== undefined) {
      result[exclusive] = result[bound]!
      delete result[bound]
    } else delete result[exclusive]
  }
  return result
}

/** Without a type, nullable says nothing (OpenAPI 3.0.3). */
function withNull(schema: JsonObject): void {
  const { nullable, type, enum: choices } = schema
  delete schema['nullable']
  if (nullable !== true || typeof type !== 'string') return
  schema['type'] = [type, 'null']
  if (Array.isArray(choices) && !choices.includes(null)) schema['enum'] = [...choices, null]
}
