// Any value → a plain JSON tree of bounded size: no circles, no shared parts that blow up, nothing that JSON lacks.
import { Unreadable } from './finding.ts'

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
export type JsonObject = { [name: string]: Json }

const deepest = 100
const mostValues = 1_000_000
const mostCharacters = 10_000_000

type Budget = { values: number; characters: number }

/** A copy. @throws Unreadable */
export function treeOf(value: unknown): Json {
  return copy(value, { values: mostValues, characters: mostCharacters }, new Set())
}

function copy(value: unknown, budget: Budget, around: Set<object>): Json {
  budget.values -= 1
  if (budget.values < 0 || budget.characters < 0) {
    throw new Unreadable('The document is too large when its aliases are written out.')
  }
  if (typeof value === 'string') budget.characters -= value.length
  if (isPlain(value)) return value
  if (typeof value !== 'object') throw new Unreadable('The document has a value that JSON does not have.')
  if (around.has(value as object)) throw new Unreadable('A YAML alias leads back into what contains it.')
  if (around.size >= deepest) throw new Unreadable(`The document is nested more than ${deepest} levels deep.`)
  around.add(value as object)
  const result = Array.isArray(value)
    ? value.map((one) => copy(one, budget, around))
    : copyObject(value as object, budget, around)
  around.delete(value as object)
  return result
}

const isPlain = (value: unknown): value is null | boolean | number | string =>
  value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)

function copyObject(value: object, budget: Budget, around: Set<object>): Json {
  if (Object.getPrototypeOf(value) !== Object.prototype) {
    throw new Unreadable('The document has a value that JSON does not have.')
  }
  const result: JsonObject = {}
  for (const [name, member] of Object.entries(value)) {
    // As a key it would set what the object inherits, here or in whatever reads it later.
    if (name === '__proto__') throw new Unreadable('The document has a key "__proto__".')
    budget.characters -= name.length
    result[name] = copy(member, budget, around)
  }
  return result
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A member that an object itself has, not what it inherits: names come from strangers. */
export const own = (object: unknown, name: string): Json | undefined =>
  isObject(object) && Object.hasOwn(object, name) ? object[name] : undefined
