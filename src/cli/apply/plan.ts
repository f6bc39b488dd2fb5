// The plan: what the file says against what there is → steps, in an order in which each finds what it needs.
import type { Client } from '@latchkey/sdk/client'
import type { Output } from '../output.ts'
import type { Catalog } from './catalog.ts'
import { declaredSteps } from './declared.ts'
import { policySteps } from './policies.ts'
import type { Secrets } from './secrets.ts'
import { serviceSteps } from './services.ts'
import type { Step } from './step.ts'
import { tokenSteps } from './tokens.ts'
import type { Wanted } from './wanted.ts'

export type Tools = {
  readonly client: Client
  readonly output: Output
  readonly catalog: Catalog
  /** null: the user names no place, and no step that makes a secret is run. */
  readonly secrets: Secrets | null
  /** What is not in the file goes, too. */
  readonly prune: boolean
}

/** Nothing is changed by it. What goes, goes last, and what leans on another before that. */
export async function plan(wanted: Wanted, tools: Tools): Promise<Step[]> {
  const steps = [
    ...(await serviceSteps(wanted, tools)),
    ...(await declaredSteps(wanted, tools)),
    ...(await policySteps(wanted, tools)),
    ...(await tokenSteps(wanted, tools)),
  ]
  const [staying, going] = [false, true].map((goes) =>
    steps.filter(({ action }) => (action === 'remove') === goes),
  )
  return [...staying!, ...going!.reverse()]
}

export const isOpen = ({ action }: Step): boolean => action !== 'keep'

export type State = 'planned' | 'done' | 'failed' | 'not done' | 'as it is'
export type Result = {
  readonly step: Step
  readonly state: State
  readonly id: string | null
  readonly notes: readonly string[]
}

export const planned = (step: Step): Result => ({
  step,
  state: isOpen(step) ? 'planned' : 'as it is',
  id: step.id,
  notes: [],
})

/** One after the other, up to the first that fails. @returns also why it failed; undefined: none did */
export async function carryOut(steps: readonly Step[]): Promise<{ results: Result[]; failure: unknown }> {
  const results: Result[] = []
  let failure: unknown
  for (const step of steps) {
    const result = planned(step)
    if (!isOpen(step)) results.push(result)
    else if (failure !== undefined) results.push({ ...result, state: 'not done' })
    else
      await step.run().then(
        ({ id, notes = [] }) => results.push({ step, state: 'done', id, notes }),
        (error) => {
          failure = error
          results.push({ ...result, state: 'failed' })
        },
      )
  }
  return { results, failure }
}
