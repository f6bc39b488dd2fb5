// Faults of the replicas themselves: killed, flooded, restarted, misled by their clock. Each scenario once; long runs: npm run faults.
import { test } from 'tap'
import { prove } from './prove.ts'
import { processes } from './scenarios.ts'

test('no answer after an acknowledged revoke is active, whatever happens', (t) => prove(t, processes))
