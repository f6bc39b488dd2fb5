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

const members = new Set(['scopes', 'team', 'clientIp', 'fresh'] satisfies (keyof Question)[] as string[])

/** In plain JavaScript, `{ scope: … }` would ask for nothing, and pass. @throws TypeError that says what is wrong */
export function checkQuestion(question: Question): void {
  const strange = Object.keys(question).find((name) => !members.has(name))
  if (strange !== undefined)
    throw new TypeError(`"${strange}" cannot be asked; what can is ${[...members].join(', ')}`)
  const { scopes = [] } = question
  if (!Array.isArray(scopes) || scopes.some((scope) => typeof scope !== 'string'))
    throw new TypeError('scopes must be an array of strings')
}

export function missingScopes(token: Token, { scopes = [] }: Question): string[] {
  return scopes.filter((scope) => !token.scopes.includes(scope))
}
