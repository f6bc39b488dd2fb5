// For how long it is believed that a secret is none. The rest of this room is tested with whole processes (test/faults,
// test/introspection).
import { createHash } from 'node:crypto'
import t from 'tap'
import type { Invalidation } from '../../src/db/change.ts'
import type { KeyRing } from '../../src/token/key-ring.ts'
import { createFactsSource } from '../../src/verify/facts.ts'
import { createFence } from '../../src/verify/fence.ts'
import { soleLease } from '../../src/verify/lease.ts'
import { createFactStore } from '../../src/verify/memory/store.ts'

const secret = 'lk_pat_0123456789abcdef'
const another = { kind: 'token', id: 'tok_01k0000d6d806a39ba8faa2375' } as const satisfies Invalidation

function unknownSecrets() {
  let reads = 0
  const digest = (one: string) => createHash('sha256').update(one).digest()
  const ring = {
    digests: (one: string) => [digest(one)],
    digesters: [{ into: () => {} }],
  } as unknown as KeyRing
  const facts = createFactsSource({
    ring,
    shape: () => true,
    memory: createFactStore({ capacity: 10 }),
    fence: createFence(),
    lease: soleLease,
    readFacts: async () => {
      reads += 1
      return new Map()
    },
    confirm: async () => true,
    monotonic: () => 0,
    sabotage: new Set(),
  })
  return { facts, reads: () => reads }
}

t.test('that a secret is unknown is remembered, but not beyond any change', async (t) => {
  const { facts, reads } = unknownSecrets()
  t.equal(await facts.read(secret), null)
  t.equal(await facts.read(secret), null)
  t.equal(reads(), 1, 'the database is asked once')
  facts.forget([another])
  t.equal(await facts.read(secret), null)
  t.equal(reads(), 2, 'again after a change of whatever')
  facts.forgetAll()
  t.equal(await facts.read(secret), null)
  t.equal(reads(), 3, 'and after everything was forgotten')
})
