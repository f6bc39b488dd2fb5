// Input is checked against the route's schema once, at the border; this file says how. The words are wording.ts.
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import formats from 'ajv-formats'
import type { FastifySchemaCompiler } from 'fastify'
import { type FieldError, Problem } from './problem.ts'
import { pointerOf, wording } from './wording.ts'

/** JSON keeps its types; everything in a URL or a form is text and is converted. */
const strict = instance(false)
const fromText = instance('array')

function instance(coerceTypes: boolean | 'array'): Ajv {
  const ajv = new Ajv({
    coerceTypes,
    useDefaults: true,
    allErrors: true,
    removeAdditional: false,
    verbose: true,
    // Ajv turns "-Infinity" into a number and then skips its minimum, unless told that it is one.
    strictNumbers: !coerceTypes,
  })
  formats.default(ajv, ['date-time', 'uri'])
  const rfc3339 = ajv.formats['date-time'] as { validate: (value: string) => boolean }
  ajv.addFormat('date-time', (value) => rfc3339.validate(value) && isStorable(Date.parse(value)))
  // NUL cannot be stored, a lone surrogate cannot be encoded, other control characters have no business in a name.
  ajv.addFormat(
    'text',
    (value) => isWellFormed(value) && !/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(value),
  )
  ajv.addKeyword('example')
  return ajv
}

/** The grammar also has leap seconds and "+02", which are no time to JavaScript; the store begins with the year 1. */
const isStorable = (at: number) => at >= Date.parse('0001-01-01T00:00:00Z') && at < Date.UTC(10_000, 0)

const isWellFormed = (value: string) => !/\p{Surrogate}/u.test(value)

/** Compiles at the first request (as serializing.ts does), so one that cannot be compiled shows there: test/http/schemas. */
// biome-ignore lint/suspicious/noExplicitAny: Fastify's own type of a schema
export const validatorCompiler: FastifySchemaCompiler<any> = ({ schema, httpPart }) => {
  let compiled: ValidateFunction | undefined
  const validate: ReturnType<FastifySchemaCompiler<unknown>> = (value) => {
    compiled ??= (httpPart === 'body' ? strict : fromText).compile(schema)
    const isValid = compiled(value)
    validate.errors = compiled.errors ?? null
    return isValid
  }
  return validate
}

/** Turns Ajv's findings into one Problem that names every wrong field. */
export function validationProblem(findings: readonly ErrorObject[], context: string): Problem {
  const errors = findings
    .filter(tellsSomething)
    .slice(0, 20)
    .map((finding) => fieldError(finding, context))
  const first = errors[0]
  const where = first?.parameter ?? first?.pointer?.slice(1)
  const detail = first ? `${where ? `${where}: ` : ''}${first.detail}` : 'The request is not as documented.'
  const unknown = findings.some((finding) => finding.keyword === 'additionalProperties')
  return new Problem(unknown ? 'unknown-field' : 'validation-failed', detail, { errors })
}

/** These only say that something else failed. */
const tellsSomething = ({ keyword }: ErrorObject) => keyword !== 'if' && keyword !== 'anyOf'

function fieldError(finding: ErrorObject, context: string): FieldError {
  const pointer = pointerOf(finding)
  const detail = wording(finding)
  if (context === 'body') return { pointer: pointer || '/', detail }
  return { parameter: pointer.slice(1) || context, detail }
}
