// The components of a merged document: each service's, as far as something that is shown refers to them, under their
// own names where they are free.
import { lookUp } from '../reading/references.ts'
import { isObject, type Json, type JsonObject, own } from '../reading/tree.ts'

export type Components = { [section: string]: JsonObject }

export type Source = {
  /** A copy in which every reference leads to where its target is now. */
  rewrite(value: Json): Json
  /** The name that a component has now. */
  nameOf(section: string, name: string): string
  /** Puts in what was referred to until now. */
  settle(): void
}

export type SourceOptions = {
  readonly service: string
  readonly document: JsonObject
  /** New operationIds, by the old ones. */
  readonly renamed: ReadonlyMap<string, string>
}

const deepest = 50

/** @param components gets what is taken */
export function sourceOf({ service, document, renamed }: SourceOptions, components: Components): Source {
  const names = new Map<string, string>()
  const around = new Set<string>()
  const open: (() => void)[] = []

  function nameOf(section: string, name: string): string {
    const key = `${section} ${name}`
    const present = names.get(key)
    if (present !== undefined) return present
    components[section] ??= {}
    const there = components[section]
    const free = freeName(name, service, (one) => Object.hasOwn(there, one))
    names.set(key, free)
    // Its place first, what is in it later: it may refer to itself, or to thousands of others one by one.
    there[free] = null
    open.push(() => {
      there[free] = rewrite(own(own(own(document, 'components'), section), name) ?? {})
    })
    return free
  }

  function target(reference: string): JsonObject | string {
    const [section, name, ...rest] = reference.replace(/^#\/components\//, '').split('/')
    if (!reference.startsWith('#/components/') || name === undefined) return inline(reference)
    return ['#/components', section, escaped(nameOf(section!, decoded(name))), ...rest].join('/')
  }

  /** What is no component has no place of its own in the merged document. */
  function inline(reference: string): JsonObject {
    if (around.has(reference) || around.size > deepest) return {}
    around.add(reference)
    const value = rewrite(lookUp(document, reference) ?? {})
    around.delete(reference)
    return isObject(value) ? value : {}
  }

  function rewrite(value: Json): Json {
    if (Array.isArray(value)) return value.map(rewrite)
    if (!isObject(value)) return value
    const { $ref: reference, ...rest } = value
    if (typeof reference !== 'string') return Object.fromEntries(Object.entries(value).map(rewriteMember))
    const found = target(reference)
    return typeof found === 'string' ? { $ref: found, ...(rewrite(rest) as JsonObject) } : found
  }

  function rewriteMember([name, value]: [string, Json]): [string, Json] {
    if (name === 'operationId' && typeof value === 'string') return [name, renamed.get(value) ?? value]
    if (name === 'mapping' && isObject(value)) return [name, mapping(value)]
    if (name === 'callbacks') return [name, withoutIds(rewrite(value))]
    return [name, rewrite(value)]
  }

  /** Of a discriminator: references, or names of schemas. */
  function mapping(value: JsonObject): JsonObject {
    const schemas = own(own(document, 'components'), 'schemas')
    const entries = Object.entries(value).map(([key, to]): [string, Json] => {
      if (typeof to !== 'string') return [key, to]
      const reference = own(schemas, to) === undefined ? to : `#/components/schemas/${escaped(to)}`
      const found = reference.startsWith('#/') ? target(reference) : reference
      return [key, typeof found === 'string' ? found : to]
    })
    return Object.fromEntries(entries)
  }

  function settle(): void {
    for (let next = open.pop(); next; next = open.pop()) next()
  }

  return { rewrite, nameOf, settle }
}

/** operationIds of callbacks would have to be unique among all others, and nobody calls them. */
function withoutIds(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutIds)
  if (!isObject(value)) return value
  const entries = Object.entries(value).filter(
    ([name, one]) => name !== 'operationId' || typeof one !== 'string',
  )
  return Object.fromEntries(entries.map(([name, one]) => [name, withoutIds(one)]))
}

/** The name itself, else with the service in front, else with a number behind. */
export function freeName(name: string, service: string, isTaken: (name: string) => boolean): string {
  if (!isTaken(name)) return name
  const prefixed = `${service}_${name}`
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? prefixed : `${prefixed}_${number}`
    if (!isTaken(candidate)) return candidate
  }
}

const escaped = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1')
const decoded = (part: string): string => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')
