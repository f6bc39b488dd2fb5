// Faults of what a replica hears and reads: real PostgreSQL, real processes, each scenario once. Long runs: npm run faults.
import { test } from 'tap'
import { prove } from './prove.ts'
import { hearing } from './scenarios.ts'

test('no answer after an acknowledged revoke is active, whatever happens', (t) => prove(t, hearing))
