// `security` of an operation → who may call it, and with which scopes. What could not be enforced is a fault, never a guess.
import { didYouMean } from '../../http/nearest.ts'
import { follow } from './references.ts'
import { isObject, type Json, type JsonObject, own } from './tree.ts'

/** How a caller shows who it is, as far as Latchkey and gateways know of it. */
type SchemeKind = 'token' | 'session' | 'other'

export type Schemes = ReadonlyMap<string, SchemeKind>

export type Security =
  /** `open`: nobody has to show anything. `other`: only schemes that Latchkey does not know. */
  | {
      readonly kind: 'both' | 'token' | 'session' | 'open' | 'other'
      readonly scopes: readonly string[]
      /** Whether the requirement itself names the scopes, or only that there is a token. */
      readonly namesScopes: boolean
    }
  | { readonly kind: 'missing' }
  | { readonly kind: 'fault'; readonly detail: string }

export function schemesOf(document: JsonObject): Schemes {
  const declared = own(own(document, 'components'), 'securitySchemes')
  const names = isObject(declared) ? Object.keys(declared) : []
  return new Map(names.map((name) => [name, kindOf(follow(document, own(declared, name)))]))
}

function kindOf(scheme: Json | undefined): SchemeKind {
  const text = (name: string) => String(own(scheme, name) ?? '').toLowerCase()
  switch (own(scheme, 'type')) {
    case 'oauth2':
    case 'openIdConnect':
      return 'token'
    case 'http':
      return text('scheme') === 'bearer' ? 'token' : 'other'
    case 'apiKey':
      if (text('in') === 'cookie') return 'session'
      return text('in') === 'header' && text('name') === 'authorization' ? 'token' : 'other'
    default:
      return 'other'
  }
}

type Alternative = { readonly kind: SchemeKind | 'open' | 'mixed'; readonly scopes: readonly string[] }

/** @param requirements the operation's own `security`, else the document's */
export function securityOf(requirements: Json | undefined, schemes: Schemes): Security {
  if (!Array.isArray(requirements)) return { kind: 'missing' }
  const unknown = requirements.flatMap((one) => Object.keys(one as object)).find((name) => !schemes.has(name))
  if (unknown !== undefined) {
    const detail = `There is no security scheme "${unknown}" in components.securitySchemes.${didYouMean(unknown, schemes.keys())}`
    return { kind: 'fault', detail }
  }
  return combined(requirements.map((one) => alternativeOf(one as JsonObject, schemes)))
}

function alternativeOf(requirement: JsonObject, schemes: Schemes): Alternative {
  const names = Object.keys(requirement)
  const kinds = new Set(names.map((name) => schemes.get(name)!))
  const scopes = names
    .filter((name) => schemes.get(name) === 'token')
    .flatMap((name) => requirement[name] as string[])
  if (names.length === 0) return { kind: 'open', scopes }
  if (kinds.has('token') && kinds.has('session')) return { kind: 'mixed', scopes }
  const kind = (['token', 'session', 'other'] as const).find((one) => kinds.has(one))!
  return { kind, scopes: [...new Set(scopes)].sort() }
}

function combined(alternatives: readonly Alternative[]): Security {
  const has = (kind: Alternative['kind']) => alternatives.some((one) => one.kind === kind)
  if (has('mixed'))
    return { kind: 'fault', detail: 'security: a token and a browser session at once cannot be asked for.' }
  const byToken = alternatives.filter((one) => one.kind === 'token')
  const texts = new Set(byToken.map((one) => one.scopes.join(' ')))
  if (texts.size > 1) {
    const detail =
      'security: one set of scopes or another cannot be enforced; name the scopes that are always needed, or make two operations of it.'
    return { kind: 'fault', detail }
  }
  const scopes = byToken[0]?.scopes ?? []
  const named = { scopes, namesScopes: scopes.length > 0 }
  if (alternatives.length > 0 && has('open') && named.namesScopes) {
    return {
      kind: 'fault',
      detail: 'security: "{}" lets everybody in, so scopes cannot be needed. Leave one of them out.',
    }
  }
  if (alternatives.length === 0 || has('open')) return { kind: 'open', ...named }
  if (has('token')) return { kind: has('session') ? 'both' : 'token', ...named }
  return { kind: has('session') ? 'session' : 'other', ...named }
}
