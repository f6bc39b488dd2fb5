// Runs scenarios once each as tests: the history holds, and so do the scenario's own conditions.
import type { Test } from 'tap'
import { report } from './checker.ts'
import { type Scenario, Skipped, startHarness } from './harness.ts'

export async function prove(t: Test, scenarios: readonly Scenario[]): Promise<void> {
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
}
