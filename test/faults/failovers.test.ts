// Faults with a second server between or beside: standby, failover, pooler. Each scenario once; long runs: npm run faults.
import { test } from 'tap'
import { prove } from './prove.ts'
import { failovers } from './scenarios.ts'

test('no answer after an acknowledged revoke is active, whatever happens', (t) => prove(t, failovers))
