// May this token call that endpoint, and if not, what is missing? For `for=self`: the same facts that a check judges. Pure.
import type { Facts } from '../policy/facts.ts'
import type { Access, Endpoint } from './endpoint.ts'

export type Allowance =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly missingScopes?: readonly string[]; readonly reason?: string }

const neverByToken: Partial<Record<Access, string>> = {
  'browser-only': 'It needs a person in a browser.',
  'webhook-ingress': 'It is called by a third party with its own signature.',
  internal: 'It is for services among themselves.',
}

export function allowanceOf({ access, service, auth }: Endpoint, facts: Facts, isAdmin: boolean): Allowance {
  const never = neverByToken[access]
  if (never) return { allowed: false, reason: never }
  if (access === 'public') return { allowed: true }
  if (facts.audience.length > 0 && !facts.audience.includes(service) && !isAboutItself(auth.scopes, service))
    return { allowed: false, reason: `The token is limited to ${facts.audience.join(', ')}.` }
  const missingScopes = auth.scopes.filter((scope) => !facts.scopes.includes(scope))
  if (missingScopes.length > 0) return { allowed: false, missingScopes }
  if (access === 'admin-only' && !isAdmin) return { allowed: false, reason: 'It needs an admin.' }
  return { allowed: true }
}

/** Whatever its audience, a token may ask Latchkey about itself. */
const isAboutItself = (scopes: readonly string[], service: string) =>
  service === 'latchkey' && scopes.length === 0
