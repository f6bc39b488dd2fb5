// The one way from a secret to a Verdict, for every door: shape (offline) → facts → policy.

import type { Facts } from '../policy/facts.ts'
import { judge, type Question, unknownToken, type Verdict } from '../policy/judge.ts'
import type { SecretShape } from '../token/format.ts'

export type Verify = (secret: string, question: Question, agent?: string) => Promise<Verdict>

export type VerifyDependencies = {
  readonly shape: SecretShape
  /** null: no such token. Rejects when that cannot be known now. */
  readonly factsOf: (secret: string) => Promise<Facts | null>
  readonly note: (verdict: Verdict, question: Question, at: number, agent: string | undefined) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

export function createVerify({ shape, factsOf, note, now }: VerifyDependencies): Verify {
  return async (secret, question, agent) => {
    if (!shape(secret)) return unknownToken
    const facts = await factsOf(secret)
    if (facts === null) return unknownToken
    const at = now()
    const verdict = judge(facts, question, at)
    note(verdict, question, at, agent)
    return verdict
  }
}
