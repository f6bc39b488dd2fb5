// Each fault scenario once, and each saboteur caught; long runs: npm run faults. Every group has a PostgreSQL and replicas of
// its own, and mostly waits (for leases to run out, for servers to come back), so they go on side by side.
import t from 'tap'
import { report } from './checker.ts'
import { Skipped, startHarness } from './harness.ts'
import { groups } from './scenarios.ts'
import { sabotages, spring, traps } from './traps.ts'

t.jobs = 3

for (const [group, scenarios] of Object.entries(groups)) {
  t.test(`${group}: no answer after an acknowledged revoke is active`, { buffered: true }, async (t) => {
    const harness = await startHarness()
    t.teardown(harness.close)
    for (const scenario of scenarios) {
      await t.test(`${scenario.id}: ${scenario.title}`, async (t) => {
        const began = performance.now()
        try {
          const { verdict, figures, broken } = await scenario.run(harness, { rounds: 1 })
          report(scenario.id, verdict, (line) => t.comment(line))
          t.comment(`${JSON.stringify(figures)} in ${Math.round(performance.now() - began)} ms`)
          t.same(verdict.violations.slice(0, 3), [], 'every answer told the truth')
          t.same(broken, [], 'what else the scenario asks for')
        } catch (error) {
          if (!(error instanceof Skipped)) throw error
          t.pass(scenario.title, { skip: error.message })
        }
      })
    }
  })
}

t.test('the checker catches', { buffered: true }, async (t) => {
  const harness = await startHarness()
  t.teardown(harness.close)
  for (const sabotage of sabotages) {
    await t.test(`a replica with ${sabotage}, in ${traps[sabotage].id}`, async (t) => {
      const { verdict, broken, isCaught, tries } = await spring(harness, sabotage)
      t.comment([`${verdict.violations.length} wrong answers`, ...broken, `try ${tries}`].join('; '))
      t.ok(isCaught, traps[sabotage].title)
    })
  }
})
