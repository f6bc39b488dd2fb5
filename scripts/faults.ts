// The long run of the fault scenarios: `npm run faults -- --rounds 50 [--only F06,F12]`. Prints what was tried, and what
// the numbers exclude; ends with 1 when a promise was broken or a saboteur got away. Two groups go on side by side, each with
// servers of its own: they mostly wait.
import { parseArgs } from 'node:util'
import type { Sabotage } from '../src/verify/replicas.ts'
import {
  type Figures,
  type Harness,
  type Outcome,
  type Scenario,
  Skipped,
  startHarness,
} from '../test/faults/harness.ts'
import { groups } from '../test/faults/scenarios.ts'
import { sabotages, spring, traps } from '../test/faults/traps.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, only: { type: 'string' } },
})
const rounds = Number(values.rounds)
if (!(rounds >= 1)) throw new Error('--rounds takes a number from 1')
const only = values.only?.split(',')
const wanted = (id: string) => only === undefined || only.includes(id)

let broken = 0
type Task = (harness: Harness) => Promise<void>
const piles: Task[][] = [
  ...Object.values(groups).map((scenarios) =>
    scenarios.filter(({ id }) => wanted(id)).map((one) => (harness: Harness) => runOne(harness, one)),
  ),
  wanted('saboteurs') ? sabotages.map((sabotage) => (harness: Harness) => catchOne(harness, sabotage)) : [],
].filter((tasks) => tasks.length > 0)
await Promise.all([oneByOne(), oneByOne()])
console.log(broken === 0 ? '\nEverything held.' : `\n${broken} scenarios are BROKEN.`)
process.exitCode = broken === 0 ? 0 : 1

async function oneByOne(): Promise<void> {
  for (let tasks = piles.shift(); tasks; tasks = piles.shift()) {
    const harness = await startHarness()
    try {
      for (const task of tasks) await task(harness)
    } finally {
      await harness.close()
    }
  }
}

async function runOne(harness: Harness, scenario: Scenario): Promise<void> {
  const title = `\n${scenario.id}  ${scenario.title}`
  try {
    const outcome = await scenario.run(harness, { rounds })
    console.log(title)
    print(outcome)
  } catch (error) {
    if (error instanceof Skipped) return console.log(`${title}\n  skipped: ${error.message}`)
    broken += 1
    console.log(`${title}\n  BROKEN: ${(error as Error).stack}`)
  }
}

function print({ verdict, figures, broken: why }: Outcome): void {
  const count = (invariant: string) => verdict.violations.filter((one) => one.invariant === invariant).length
  const holds = verdict.violations.length + why.length === 0
  if (!holds) broken += 1
  console.log(
    `  tried ${verdict.tried}, acknowledged ${verdict.acknowledged}, indeterminate ${verdict.indeterminate}`,
  )
  console.log(
    `  resurrected ${count('I1')} of ${verdict.judged.I1} (below ${verdict.bound95.toExponential(1)} at 95 %), false negatives ${count('I2')} of ${verdict.judged.I2}, lost ${count('I3')} of ${verdict.judged.I3}`,
  )
  console.log(`  ${inWords(figures)}`)
  for (const line of why) console.log(`  BROKEN: ${line}`)
  for (const { invariant, token, why } of verdict.violations.slice(0, 5))
    console.log(`  BROKEN: ${invariant} ${token}: ${why}`)
}

function inWords(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

async function catchOne(harness: Harness, sabotage: Sabotage): Promise<void> {
  const { verdict, broken: why, isCaught, tries } = await spring(harness, sabotage)
  if (!isCaught) broken += 1
  console.log(
    `${isCaught ? 'caught' : 'NOT CAUGHT'}  ${sabotage}, by ${traps[sabotage].id} at try ${tries}: ${verdict.violations.length} wrong answers ${why.join('; ')}`,
  )
}
