// What was read before a change is not remembered after it: the fence says so as a list of all changes would.
import fc from 'fast-check'
import t from 'tap'
import type { Invalidation } from '../../src/db/change.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { createFence } from '../../src/verify/fence.ts'

const facts = { tokenId: 'tok_a', subject: 'user_a' } as Facts

type Change = Invalidation | 'all'
const touching: Change[] = [
  { kind: 'token', id: 'tok_a' },
  { kind: 'subject', id: 'user_a' },
  { kind: 'scopes' },
  'all',
]
const others: Change[] = [
  { kind: 'token', id: 'tok_b' },
  { kind: 'token', id: 'user_a' },
  { kind: 'subject', id: 'user_b' },
  { kind: 'subject', id: 'tok_a' },
  { kind: 'services' },
  { kind: 'catalog' },
]

const changes = fc.array(fc.constantFrom(...others, ...others, ...touching), { maxLength: 12 })

t.test('what was read is remembered, unless a change that touches it came since it was begun', async () => {
  fc.assert(
    fc.property(changes, changes, (before, since) => {
      const fence = createFence()
      const happens = (change: Change) => (change === 'all' ? fence.raiseAll() : fence.raise(change))
      for (const one of before) happens(one)
      const mark = fence.mark()
      for (const one of since) happens(one)
      return (
        fence.admits(facts, mark) === !since.some((one) => touching.includes(one)) &&
        fence.unchangedSince(mark) === (since.length === 0)
      )
    }),
    { numRuns: 2_000 },
  )
})

t.test('a read that is overtaken by more changes than are kept is not remembered', async (t) => {
  const fence = createFence()
  const mark = fence.mark()
  fence.raise({ kind: 'token', id: 'tok_b' })
  for (let n = 1; n < 4_096; n++) fence.raise({ kind: 'services' })
  t.ok(fence.admits(facts, mark))
  t.notOk(fence.admits({ ...facts, tokenId: 'tok_b' }, mark))
  fence.raise({ kind: 'services' })
  t.notOk(fence.admits({ ...facts, tokenId: 'tok_b' }, mark), 'which of them it was is not known any more')
  t.ok(fence.admits(facts, fence.mark()))
})
