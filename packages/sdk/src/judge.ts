// The decision, on what is known of a token: may it do this, here, now? Pure; Latchkey decides alike, by the same facts.
import { mayCallFrom, readAddress } from './network.ts'
import type { Question, Reason, Token } from './verdict.ts'

/** @param now epoch milliseconds @returns the first reason to refuse; null: none */
export function judge(token: Token, question: Question, now: number): Reason | null {
  // Written so that a date that cannot be read refuses.
  if (token.expireAt !== null && !(now < Date.parse(token.expireAt))) return 'expired'
  if (question.team !== undefined && token.team !== null && token.team !== question.team) return 'wrong_team'
  if (!mayCallFrom(token, readAddress(question.clientIp))) return 'ip_not_allowed'
  return missingScopes(token, question).length > 0 ? 'missing_scope' : null
}

export function missingScopes(token: Token, { scopes = [] }: Question): string[] {
  return scopes.filter((scope) => !token.scopes.includes(scope))
}
