// What the gateway's own configuration says, in the query of the URL that it calls.

import { scopePattern } from '../policy/scopes.ts'
import type { Need } from './need.ts'

export type Asked = {
  /** null: the catalog is to say it. */
  readonly need: Need | null
  readonly service: string | null
  readonly team: string | null
  /** Whose words stand in the query: no gateway writes 'others', and what has both is nobody's. */
  readonly words: 'none' | 'ours' | 'others' | 'both'
}

const ours = ['scope', 'service', 'team'] as const

/** The same few come again and again. */
const known = new Map<string, Asked | null>()
let last: { readonly text: string; readonly asked: Asked | null } = { text: '', asked: null }
const oneScope = new RegExp(scopePattern)

/** @param text without the question mark @returns null: it cannot be read, so nothing may pass */
export function askedIn(text: string): Asked | null {
  if (text !== last.text || last.asked === null) last = { text, asked: askedOnce(text) }
  return last.asked
}

function askedOnce(text: string): Asked | null {
  let asked = known.get(text)
  if (asked === undefined) {
    asked = readAsked(new URLSearchParams(text))
    if (known.size >= 1_000) known.clear()
    known.set(text, asked)
  }
  return asked
}

function readAsked(parameters: URLSearchParams): Asked | null {
  for (const name of ours) if (parameters.getAll(name).length > 1) return null
  const scopes =
    parameters
      .get('scope')
      ?.split(/[ ,]+/)
      .filter((scope) => scope !== '') ?? null
  if (scopes?.some((scope) => !oneScope.test(scope))) return null
  const service = parameters.get('service')
  if (service !== null && !/^[a-z0-9_-]+$/.test(service)) return null
  const need: Need | null = scopes && { kind: 'token', scopes, bearer: 'any' }
  return { need, service, team: parameters.get('team'), words: wordsIn(parameters) }
}

function wordsIn(parameters: URLSearchParams): Asked['words'] {
  const names = [...new Set(parameters.keys())]
  const count = names.filter((name) => (ours as readonly string[]).includes(name)).length
  if (names.length === 0) return 'none'
  return count === names.length ? 'ours' : count === 0 ? 'others' : 'both'
}
