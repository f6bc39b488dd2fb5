// Every guard of the promise has a saboteur, a replica that lacks it; here each is caught by the scenario that was made
// for it. A scenario that never failed proves nothing.
import { test } from 'tap'
import type { Sabotage } from '../../src/verify/replicas.ts'
import { startHarness } from './harness.ts'
import { traps } from './scenarios.ts'

test('the checker catches', async (t) => {
  const harness = await startHarness()
  t.teardown(harness.close)
  for (const [sabotage, scenario] of Object.entries(traps) as [Sabotage, (typeof traps)[Sabotage]][]) {
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
