// A scenario that never failed proves nothing: every guard has a saboteur, a replica that lacks it, and a scenario that is to
// catch it.
import type { Sabotage } from '../../src/verify/replicas.ts'
import { syncFailover } from './failover.ts'
import type { Harness, Outcome, Scenario } from './harness.ts'
import { deafness, lateEcho, lostChannel } from './listening.ts'
import { lapsedRead, overtakenRead } from './reading.ts'

export const traps: Readonly<Record<Sabotage, Scenario>> = {
  'no-barrier': deafness,
  'no-lease': deafness,
  'no-flush-on-reconnect': deafness,
  'lease-from-receipt': lateEcho,
  'select-heartbeat': lostChannel,
  'light-heartbeat': syncFailover,
  'no-fence': overtakenRead,
  'shared-flights': overtakenRead,
  'no-recheck': lapsedRead,
}
export const sabotages = Object.keys(traps) as Sabotage[]

/** A trap races with what it is to catch, and on a busy machine may be too late. */
const mostTries = 3

/** Runs the saboteur into its trap until it is caught. @returns the outcome of the last try, and how many there were */
export async function spring(
  harness: Harness,
  sabotage: Sabotage,
): Promise<Outcome & { readonly isCaught: boolean; readonly tries: number }> {
  for (let tries = 1; ; tries++) {
    const outcome = await traps[sabotage].run(harness, { rounds: 1, sabotage: [sabotage] })
    const resurrected = outcome.verdict.violations.filter(({ invariant }) => invariant === 'I1')
    // Without the second look at the lease no promise to a caller is broken, but a rule of the scenario's own is.
    const isCaught = sabotage === 'no-recheck' ? outcome.broken.length > 0 : resurrected.length > 0
    if (isCaught || tries === mostTries) return { ...outcome, isCaught, tries }
  }
}
