// One step of a plan: what is to be done about one thing, or that nothing is; and the comparing from which it comes.
import type { Fields } from './wanted.ts'

export type Action = 'create' | 'change' | 'replace' | 'remove' | 'keep'
export type Change = { readonly field: string; readonly from: unknown; readonly to: unknown }

export type Step = {
  readonly action: Action
  readonly kind: 'service' | 'scopes' | 'trust policy' | 'token'
  /** Of scopes: their service's id. */
  readonly name: string
  /** Of a token. */
  readonly subject: string | null
  /** null: it is not there yet. */
  readonly id: string | null
  readonly changes: readonly Change[]
  /** Name of the file for the secret that arises; null: none does. */
  readonly secret: string | null
  /** Does it. @returns the id of what there is then, and what people should know */
  readonly run: () => Promise<Done>
}
export type Done = { readonly id: string; readonly notes?: readonly string[] }

/** What differs of what the file says; what it leaves out is as it is. */
export const changesOf = (present: Fields, wanted: Fields): Change[] =>
  Object.entries(wanted)
    .filter(([field, to]) => !isSame(present[field], to))
    .map(([field, to]) => ({ field, from: present[field] ?? null, to }))

/** Lists of plain values are sets here: scopes, services, addresses, the values of a condition. */
export function isSame(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    if (a.length !== b.length) return false
    const isSet = [...a, ...b].every((one) => typeof one !== 'object')
    return a.every((one, at) => (isSet ? b.includes(one) : isSame(one, b[at])))
  }
  if (!isObject(a) || !isObject(b)) return (a ?? null) === (b ?? null)
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => isSame(a[key], b[key]))
}

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null

/** The same moment may be written in many ways, and the API has one of them. */
export const inUtc = (time: unknown): unknown =>
  typeof time === 'string' ? new Date(time).toISOString() : time

/** The changed fields, as the file has them. */
export const changed = (changes: readonly Change[]): Fields =>
  Object.fromEntries(changes.map(({ field, to }) => [field, to]))
