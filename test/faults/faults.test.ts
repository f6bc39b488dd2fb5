// Each fault scenario once, and each saboteur caught; long runs: npm run faults. Every group has a PostgreSQL and replicas of
// its own, and mostly waits (for leases to run out, for servers to come back), so they go on side by side.
import t from 'tap'
import type { Sabotage } from '../../src/verify/replicas.ts'
import { report } from './checker.ts'
import { type Scenario, Skipped, startHarness } from './harness.ts'
import { groups, traps } from './scenarios.ts'

t.jobs = 2

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

// A scenario that never failed proves nothing: every guard has a saboteur, a replica that lacks it.
t.test('the checker catches', { buffered: true }, async (t) => {
  const harness = await startHarness()
  t.teardown(harness.close)
  for (const [sabotage, scenario] of Object.entries(traps) as [Sabotage, Scenario][]) {
    await t.test(`a replica with ${sabotage}, in ${scenario.id}`, async (t) => {
      const { verdict, broken } = await scenario.run(harness, { rounds: 1, sabotage: [sabotage] })
      const resurrected = verdict.violations.filter(({ invariant }) => invariant === 'I1').length
      t.comment(
        `${resurrected} of ${verdict.judged.I1} answers active after the acknowledgement; ${broken.join('; ')}`,
      )
      // Without the second look at the lease no promise to a caller is broken, but a rule of the scenario's own is.
      t.ok(sabotage === 'no-recheck' ? broken.length > 0 : resurrected > 0, scenario.title)
    })
  }
})
