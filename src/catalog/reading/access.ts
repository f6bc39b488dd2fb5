// What `security` and `x-latchkey` say together about who may call an operation. They may not contradict each other.
import type { Access } from '../endpoint.ts'
import type { Extension } from './extension.ts'
import type { Security } from './security.ts'

export type Decided =
  | {
      readonly access: Access
      readonly scopes: readonly string[]
      readonly pat: boolean
      readonly session: boolean
    }
  | { readonly fault: string }

type Known = Exclude<Security, { kind: 'missing' | 'fault' }>

const plain = { both: 'both', token: 'token', session: 'browser-only', open: 'public', other: null } as const

export function decide(security: Known, { access: said, scopes: saidScopes }: Extension): Decided {
  const { kind } = security
  const fault = faultOf(security, said, saidScopes)
  if (fault !== null) return { fault }
  const pat = (kind === 'both' || kind === 'token') && said !== 'webhook-ingress'
  const isForSessions = kind === 'both' || kind === 'session' || said === 'both' || said === 'browser-only'
  const session = isForSessions && said !== 'webhook-ingress'
  const scopes = [...new Set(saidScopes ?? security.scopes)].sort()
  return { access: said ?? plain[kind]!, scopes, pat, session }
}

function faultOf(
  security: Known,
  said: Extension['access'],
  saidScopes: readonly string[] | undefined,
): string | null {
  const { kind, scopes, namesScopes } = security
  const differ = saidScopes && namesScopes && [...new Set(saidScopes)].sort().join(' ') !== scopes.join(' ')
  if (differ)
    return `x-latchkey.scopes (${saidScopes.join(', ')}) and security (${scopes.join(', ')}) name different scopes.`
  const isTokenNeeded = (saidScopes ?? scopes).length > 0
  const takesTokens = kind === 'both' || kind === 'token'
  if (isTokenNeeded && !takesTokens)
    return 'Scopes are for tokens, but its security takes none: add a bearer scheme, or leave the scopes out.'
  if (said === undefined)
    return plain[kind] === null
      ? 'Its security uses only schemes other than bearer tokens and cookies. Say in x-latchkey.access what it is: webhook-ingress or internal.'
      : null
  if (said === 'internal') return null
  if (said === 'webhook-ingress')
    return takesTokens || kind === 'session'
      ? 'A webhook-ingress brings a signature of its own: its security must take neither tokens nor sessions.'
      : null
  if (said === 'admin-only') return takesTokens ? null : 'admin-only needs a bearer scheme in its security.'
  // Sessions are the service's own affair, and few documents have a scheme for them: what only adds them to a token,
  // or takes everybody else out, is no contradiction.
  if (said === 'both' && kind === 'token') return null
  if (said === 'browser-only' && kind === 'open') return null
  return plain[kind] === said
    ? null
    : `x-latchkey.access says ${said}, but its security says ${plain[kind] ?? 'something else'}.`
}
