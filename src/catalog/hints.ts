// JSON Schema → what a person or an agent needs to know of it in a line: each field's kind and bounds, and an example.
// Works on any schema: references go through a resolver, circles and depth end where the budget ends.

export type Schema = {
  $ref?: string
  type?: string | string[]
  description?: string
  examples?: unknown[]
  example?: unknown
  default?: unknown
  enum?: unknown[]
  const?: unknown
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  format?: string
}

/** What a `$ref` leads to; undefined: nowhere. */
export type Resolve = (ref: string) => Schema | undefined

const mostFields = 60
const longestHint = 300
const mostExampleNodes = 150
const longestExample = 4_000
const deepest = 8

/** A line for each field of an object schema. */
export function fieldHints(schema: Schema, resolve: Resolve): Record<string, string> {
  const { properties, required } = membersOf(schema, resolve)
  const hints = [...properties].slice(0, mostFields).map(([name, field]): [string, string] => {
    return [name, fieldHint(field, required.has(name), resolve)]
  })
  return Object.fromEntries(hints)
}

export function fieldHint(field: Schema, isRequired: boolean, resolve: Resolve, about?: string): string {
  const plain = follow(field, resolve)
  const description = about ?? field.description ?? plain.description
  const words = [isRequired ? 'required' : null, kindOf(plain, resolve), firstLine(description)]
  return words.filter((word) => word !== null).join(', ')
}

const firstLine = (text: string | undefined): string | null =>
  typeof text === 'string' ? text.slice(0, longestHint) : null

/** Schemas may be booleans, and a hostile document may have anything for one. */
function follow(schema: Schema | undefined, resolve: Resolve): Schema {
  let one: Schema | undefined = schema
  for (let steps = 0; typeof one?.$ref === 'string'; steps++)
    one = steps < deepest ? resolve(one.$ref) : undefined
  return typeof one === 'object' && one !== null ? one : {}
}

type Members = { properties: Map<string, Schema>; required: Set<string> }

function membersOf(schema: Schema, resolve: Resolve, depth = 0): Members {
  const { properties = {}, required = [], allOf = [] } = follow(schema, resolve)
  const all: Members = { properties: new Map(Object.entries(properties)), required: new Set(required) }
  if (depth === deepest) return all
  for (const part of allOf.slice(0, deepest)) {
    const { properties: more, required: needed } = membersOf(part, resolve, depth + 1)
    for (const [name, field] of more) if (!all.properties.has(name)) all.properties.set(name, field)
    for (const name of needed) all.required.add(name)
  }
  return all
}

function kindOf(schema: Schema, resolve: Resolve, depth = 0): string {
  const { type, enum: choices, const: only, minimum, maximum, maxLength, format, default: fallback } = schema
  if (only !== undefined) return wordOf(only)
  if (choices) return choices.slice(0, 20).map(wordOf).join(' | ')
  const options = schema.anyOf ?? schema.oneOf
  if (options && depth < deepest) {
    const kinds = options.slice(0, 10).map((one) => kindOf(follow(one, resolve), resolve, depth + 1))
    return [...new Set(kinds)].join(' or ').slice(0, longestHint)
  }
  const range = minimum !== undefined && maximum !== undefined ? ` ${minimum}-${maximum}` : ''
  const length = maxLength !== undefined ? `, up to ${maxLength}` : ''
  const usual = fallback !== undefined ? `, default ${wordOf(fallback)}` : ''
  return `${format && format !== 'text' ? format : kindName(schema, type)}${range}${length}${usual}`
}

const kindName = ({ properties, allOf }: Schema, type: Schema['type']): string =>
  type === undefined ? (properties || allOf ? 'object' : 'any') : [type].flat().join(' or ')

const wordOf = (value: unknown): string =>
  (typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value)).slice(0, 100)

/** From the schema's own examples; an object is put together from those of its members. undefined: none, or too long. */
export function exampleOf(schema: Schema, resolve: Resolve): unknown {
  let nodesLeft = mostExampleNodes

  /** @param around what it is within: a schema that contains itself ends there */
  function build(given: Schema | undefined, around: readonly Schema[]): unknown {
    const schema = follow(given, resolve)
    nodesLeft -= 1
    if (nodesLeft < 0 || around.length > deepest || around.includes(schema)) return undefined
    if (schema.example !== undefined) return schema.example
    if (schema.examples) return Array.isArray(schema.examples) ? schema.examples[0] : undefined
    if (schema.const !== undefined) return schema.const
    if (schema.enum) return schema.default ?? schema.enum[0]
    if (schema.type === 'array') return listOf(build(schema.items, [...around, schema]))
    if (schema.properties || schema.allOf) return buildObject(schema, [...around, schema])
    if (schema.type === 'boolean') return schema.default ?? true
    if (schema.format === 'date-time') return '2027-01-31T12:00:00.000Z'
    return undefined
  }

  function buildObject(schema: Schema, around: readonly Schema[]): unknown {
    const members = [...membersOf(schema, resolve).properties]
      .slice(0, mostFields)
      .map(([name, member]): [string, unknown] => [name, build(member, around)])
    return Object.fromEntries(members.filter(([, example]) => example !== undefined))
  }

  return shown(build(schema, []))
}

/** An example as it is shown: one that is as long as a page helps nobody. */
export function shown(example: unknown): unknown {
  if (example === undefined) return undefined
  return JSON.stringify(example).length <= longestExample ? example : undefined
}

const listOf = (example: unknown) => (example === undefined ? [] : [example])
