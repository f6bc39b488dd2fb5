// Faults of PostgreSQL itself: killed, stopped, frozen, locked. Each scenario once; long runs: npm run faults.
import { test } from 'tap'
import { prove } from './prove.ts'
import { servers } from './scenarios.ts'

test('no answer after an acknowledged revoke is active, whatever happens', (t) => prove(t, servers))
