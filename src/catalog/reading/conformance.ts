// Is it OpenAPI? Judged by the official JSON Schemas of 3.0 and 3.1, which the validator package brings along.
import { Validator } from '@seriousme/openapi-schema-validator'
import type { ErrorObject, ValidateFunction } from 'ajv'
import { type Finding, Unreadable } from './finding.ts'
import { isObject, type Json, type JsonObject } from './tree.ts'

const mostFindings = 8

/**
 * Only the compiled schemas are used: `validate()` would go on to follow references through inherited members, so
 * that a document with `#/constructor/prototype` could change Object.prototype, and would read files by name.
 */
const validator = new Validator() as unknown as { getAjvValidator(version: string): ValidateFunction }

/** @throws Unreadable */
export function conforming(value: Json): JsonObject {
  if (!isObject(value))
    throw new Unreadable('The document is not an object. Send an OpenAPI 3.0 or 3.1 document.')
  const version = /^3\.[01](?=\.\d+$)/.exec(String(value['openapi'] ?? ''))?.[0]
  if (version === undefined) {
    throw new Unreadable(
      'The document does not say that it is OpenAPI 3.0 or 3.1, as in "openapi": "3.1.0".',
      [{ pointer: '/openapi', detail: 'Must be 3.0.x or 3.1.x.' }],
    )
  }
  const validate = validator.getAjvValidator(version)
  if (validate(value)) return value
  const findings = (validate.errors ?? []).filter(tellsSomething).map(findingOf).slice(0, mostFindings)
  const first = findings[0]
  throw new Unreadable(`This is not OpenAPI ${version}: ${first?.pointer || '/'}: ${first?.detail}`, findings)
}

/** The others only say that one of those has failed. */
const tellsSomething = ({ keyword }: ErrorObject) =>
  !['if', 'then', 'else', '$ref', '$dynamicRef'].includes(keyword)

function findingOf({ instancePath, message, params, keyword }: ErrorObject): Finding {
  const extra = params['additionalProperty'] ?? params['unevaluatedProperty'] ?? params['propertyName']
  const allowed = keyword === 'enum' ? ` (${params['allowedValues'].join(', ')})` : ''
  const named = typeof extra === 'string' ? `: ${JSON.stringify(extra.slice(0, 100))}` : ''
  return { pointer: instancePath, detail: `${message ?? 'is wrong'}${named}${allowed}` }
}
