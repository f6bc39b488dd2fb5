// The one way from a secret to a Verdict, for every door: facts (memory, else shape and database) → policy.
import type { Facts } from '../policy/facts.ts'
import { judge, type Question, unknownToken, type Verdict } from '../policy/judge.ts'
import type { FactsSource } from './facts.ts'

/**
 * A promise only when the facts are not in memory. Rejects when they cannot be known now.
 * @param agent the bearer's own User-Agent, where the bearer itself calls
 */
export type Verify = (secret: string, question: Question, agent?: string) => Verdict | Promise<Verdict>

export type VerifyDependencies = {
  readonly facts: Pick<FactsSource, 'slotOf' | 'at' | 'read'>
  /** @param slot where memory has the facts; -1: it has not */
  readonly note: (
    verdict: Verdict,
    question: Question,
    at: number,
    agent: string | undefined,
    slot: number,
  ) => void
  /** A token was found good whose former secret ends by that. */
  readonly noteFirstUse: (facts: Facts) => void
  /** Epoch milliseconds. */
  readonly now: () => number
}

export function createVerify({ facts, note, noteFirstUse, now }: VerifyDependencies): Verify {
  const judged = (known: Facts, slot: number, question: Question, agent: string | undefined): Verdict => {
    const at = now()
    const verdict = judge(known, question, at)
    note(verdict, question, at, agent, slot)
    if (known.endsVersion !== null && verdict.active) noteFirstUse(known)
    return verdict
  }
  return (secret, question, agent) => {
    const slot = facts.slotOf(secret)
    if (slot >= 0) return judged(facts.at(slot), slot, question, agent)
    const reading = facts.read(secret)
    if (reading === null) return unknownToken
    return reading.then((read) => (read === null ? unknownToken : judged(read, -1, question, agent)))
  }
}
