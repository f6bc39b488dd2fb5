// The one way from a secret to a Verdict, for every door: facts (memory, else shape and database) → policy.
import type { Facts } from '../policy/facts.ts'
import { judge, type Question, unknownToken, type Verdict } from '../policy/judge.ts'

/**
 * A promise only when the facts are not in memory. Rejects when they cannot be known now.
 * @param agent the bearer's own User-Agent, where the bearer itself calls
 */
export type Verify = (secret: string, question: Question, agent?: string) => Verdict | Promise<Verdict>

export type VerifyDependencies = {
  /** null: no such token. */
  readonly factsOf: (secret: string) => Facts | null | Promise<Facts | null>
  readonly note: (verdict: Verdict, question: Question, at: number, agent: string | undefined) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

export function createVerify({ factsOf, note, now }: VerifyDependencies): Verify {
  const judged = (facts: Facts | null, question: Question, agent: string | undefined): Verdict => {
    if (facts === null) return unknownToken
    const at = now()
    const verdict = judge(facts, question, at)
    note(verdict, question, at, agent)
    return verdict
  }
  return (secret, question, agent) => {
    const facts = factsOf(secret)
    return facts instanceof Promise
      ? facts.then((read) => judged(read, question, agent))
      : judged(facts, question, agent)
  }
}
