// The one decision: facts about a token + what is asked → Verdict. Pure; the time is passed in.
// Fetching facts is the verify room's, wording the answer each door's.
import type { Facts } from './facts.ts'
import { type Address, withinAny } from './network.ts'

/** Who wants to know. The holder asking about its own token is not bound by the token's audience. */
export type Asker =
  | { readonly kind: 'service'; readonly id: string; readonly checksIp: boolean }
  | { readonly kind: 'unregistered' }
  | { readonly kind: 'holder' }

export type Question = {
  readonly asker: Asker
  /** null: Latchkey was not told where the bearer calls from. */
  readonly clientIp: Address | null
  readonly requiredScopes: readonly string[]
  /** null: the asker does not care. */
  readonly team: string | null
}

export type RefusalCode =
  | 'not_found'
  | 'expired'
  | 'revoked'
  | 'disabled'
  | 'subject_disabled'
  | 'rotated'
  | 'wrong_audience'
  | 'wrong_team'
  | 'ip_not_allowed'
  | 'missing_scope'

export type Verdict =
  | { readonly active: true; readonly facts: Facts }
  | {
      readonly active: false
      readonly code: RefusalCode
      readonly facts: Facts | null
      readonly missingScopes: readonly string[]
    }

export const unknownToken: Verdict = { active: false, code: 'not_found', facts: null, missingScopes: [] }

/** @param now epoch milliseconds */
export function judge(facts: Facts, question: Question, now: number): Verdict {
  const code = ended(facts, now) ?? elsewhere(facts, question)
  if (code) return { active: false, code, facts, missingScopes: [] }
  const missingScopes = question.requiredScopes.filter((scope) => !facts.scopes.includes(scope))
  if (missingScopes.length > 0) return { active: false, code: 'missing_scope', facts, missingScopes }
  return { active: true, facts }
}

function ended(facts: Facts, now: number): RefusalCode | null {
  if (facts.state !== 'active') return facts.state
  if (facts.expireAt !== null && now >= facts.expireAt) return 'expired'
  if (facts.endsAt !== null && now >= facts.endsAt) return 'rotated'
  return null
}

function elsewhere(facts: Facts, { asker, clientIp, team }: Question): RefusalCode | null {
  if (!inAudience(facts, asker)) return 'wrong_audience'
  if (team !== null && facts.team !== null && facts.team !== team) return 'wrong_team'
  if (facts.ranges.length === 0) return null
  // Without an address only a service that promised to check ip_ranges itself may hear "active".
  if (clientIp === null) return asker.kind === 'service' && asker.checksIp ? null : 'ip_not_allowed'
  return withinAny(facts.ranges, clientIp) ? null : 'ip_not_allowed'
}

function inAudience(facts: Facts, asker: Asker): boolean {
  if (facts.audience.length === 0 || asker.kind === 'holder') return true
  return asker.kind === 'service' && facts.audience.includes(asker.id)
}
