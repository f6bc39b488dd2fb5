// What a replica may say of a secret: nothing without the lease, nothing from memory or from a read that a change has made
// untrue, and of a secret that is none, not for long. That it holds between processes is shown in test/faults.
import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Invalidation } from '../../src/db/change.ts'
import type { Facts } from '../../src/policy/facts.ts'
import type { KeyRing } from '../../src/token/key-ring.ts'
import { createFactsSource } from '../../src/verify/facts.ts'
import { createFence } from '../../src/verify/fence.ts'
import { createFactStore } from '../../src/verify/memory/store.ts'
import { takeTime } from '../helpers/time.ts'

const secret = 'lk_pat_0123456789abcdef'
const known: Facts = {
  tokenId: 'tok_01k0000d6d806a39ba8faa2375',
  type: 'personal',
  subject: 'user_42',
  team: null,
  audience: [],
  scopes: [],
  ranges: [],
  createdAt: 1,
  expireAt: null,
  endsAt: null,
  endsVersion: null,
  state: 'active',
}
const itself = { kind: 'token', id: known.tokenId } as const satisfies Invalidation
const another = { kind: 'token', id: 'tok_01k0000d6d806a39ba8faa2376' } as const satisfies Invalidation

type Keys = readonly ['current', ...string[]]
const digest = (one: string, key: string) => createHash('sha256').update(`${key} ${one}`).digest()
const wordsOf = (bytes: Buffer) => Int32Array.from({ length: 8 }, (_, word) => bytes.readInt32LE(word * 4))

/** @param keys under which digests are looked for, the current one first */
function replica(t: Test, keys: Keys = ['current']) {
  const { now: monotonic, pass } = takeTime(t)
  const lease = { held: true, holds: () => lease.held, wait: async () => lease.held }
  const memory = createFactStore({ capacity: 10 })
  const fence = createFence()
  /** What the database says, one answer for each read, the last one from then on; and what happens meanwhile. */
  const database: { answers: (Facts | null)[]; reads: number; meanwhile: () => void } = {
    answers: [known],
    reads: 0,
    meanwhile: () => {},
  }
  const sure = { yes: true }
  const facts = createFactsSource({
    ring: {
      digests: (one: string) => keys.map((key) => digest(one, key)),
      digesters: keys.map((key) => ({
        into: (one: string, words: Int32Array) => words.set(wordsOf(digest(one, key))),
      })),
    } as unknown as KeyRing,
    shape: (one) => one.startsWith('lk_'),
    memory,
    fence,
    lease,
    readFacts: async (digests) => {
      database.reads += 1
      const { answers } = database
      const found = answers.length > 1 ? answers.shift()! : answers[0]!
      database.meanwhile()
      return new Map(found ? [[digests.at(-1)!.toString('latin1'), found]] : [])
    },
    confirm: async () => sure.yes,
    monotonic,
    sabotage: new Set(),
  })
  const remembered = () => facts.slotOf(secret) >= 0
  return { facts, lease, fence, memory, database, sure, pass, remembered }
}

t.test('what was read is remembered, and forgotten with every change that touches it', async (t) => {
  const { facts, database, remembered } = replica(t)
  const touching: (() => void)[] = [
    () => facts.forget([itself]),
    () => facts.forget([another, { kind: 'subject', id: known.subject }]),
    () => facts.forget([{ kind: 'scopes' }]),
    () => facts.forgetAll(),
  ]
  for (const [n, forget] of touching.entries()) {
    t.same(await facts.read(secret), known)
    t.ok(remembered())
    t.same(facts.at(facts.slotOf(secret)), known)
    facts.forget([another, { kind: 'subject', id: 'user_43' }, { kind: 'services' }, { kind: 'catalog' }])
    t.ok(remembered(), 'others touch it not')
    t.equal(database.reads, n + 1)
    forget()
    t.notOk(remembered())
  }
})

t.test('without the lease nothing is said, not from memory and not from a read', async (t) => {
  const { facts, lease, database, remembered } = replica(t)
  await facts.read(secret)
  lease.held = false
  t.notOk(remembered())
  await t.rejects(facts.read(secret)!, { code: 'unavailable' })
  facts.forgetAll()
  await t.rejects(facts.read(secret)!, { code: 'unavailable' })
  t.equal(database.reads, 1, 'nor is anything read in vain')
})

t.test('what was read while the lease ran out is not said, whatever it is', async (t) => {
  for (const answer of [known, null]) {
    const { facts, lease, database } = replica(t)
    database.answers = [answer]
    database.meanwhile = () => {
      lease.held = false
    }
    await t.rejects(facts.read(secret)!, { code: 'unavailable' })
    t.equal(database.reads, 1)
  }
})

t.test('a read that each time is overtaken and outlives the lease is given up', async (t) => {
  const { facts, lease, database } = replica(t)
  lease.wait = async () => {
    lease.held = true
    return true
  }
  database.meanwhile = () => {
    lease.held = false
    facts.forget([itself])
  }
  await t.rejects(facts.read(secret)!, { code: 'unavailable' })
  t.equal(database.reads, 3)
})

t.test('a read that a change overtakes is made again, and what it saw is not remembered', async (t) => {
  const { facts, database } = replica(t)
  const revoked = { ...known, state: 'revoked' as const }
  database.answers = [known, revoked]
  database.meanwhile = () => {
    if (database.reads === 1) facts.forget([itself])
  }
  t.same(await facts.read(secret), revoked)
  t.equal(database.reads, 2)
  t.same(facts.at(facts.slotOf(secret)), revoked)
})

t.test('a read that is overtaken each time is said in the end, and remembered by nobody', async (t) => {
  const { facts, database, remembered } = replica(t)
  database.meanwhile = () => facts.forget([itself])
  t.same(await facts.read(secret), known)
  t.equal(database.reads, 3)
  t.notOk(remembered())
})

t.test('what a warm-up has read is remembered, unless a change has overtaken it', async (t) => {
  const { facts, fence, remembered } = replica(t)
  const key = wordsOf(digest(secret, 'current'))
  const mark = fence.mark()
  facts.forget([another])
  facts.remember(key, known, mark)
  t.ok(remembered())
  facts.forget([itself])
  facts.remember(key, known, mark)
  t.notOk(remembered())
})

t.test('what is no secret of ours costs the database nothing', async (t) => {
  const { facts, lease, database } = replica(t)
  for (const strange of [
    '',
    'x'.repeat(40),
    'lk_pat_short',
    `lk_${'x'.repeat(98)}`,
    'lk_pat_0123456789ab\ud800ef',
  ])
    t.equal(facts.read(strange), null, JSON.stringify(strange))
  lease.held = false
  t.equal(facts.read('x'.repeat(40)), null, 'and is known to be none, lease or not')
  t.equal(database.reads, 0)
})

t.test('a secret that is known by a former key is kept by the current one', async (t) => {
  const { facts, memory } = replica(t, ['current', 'former'])
  t.same(await facts.read(secret), known)
  t.ok(memory.find(wordsOf(digest(secret, 'current'))) >= 0)
  memory.clear()
  memory.set(wordsOf(digest(secret, 'former')), known)
  t.same(facts.at(facts.slotOf(secret)), known, 'and found by either')
})

t.test('that a secret is unknown is remembered, but not beyond any change', async (t) => {
  const { facts, database } = replica(t)
  database.answers = [null]
  t.equal(await facts.read(secret), null)
  t.equal(await facts.read(secret), null)
  t.equal(database.reads, 1, 'the database is asked once')
  facts.forget([another])
  t.equal(await facts.read(secret), null)
  t.equal(database.reads, 2, 'again after a change of whatever')
  facts.forgetAll()
  t.equal(await facts.read(secret), null)
  t.equal(database.reads, 3, 'and after everything was forgotten')
})

t.test('that a secret is unknown is remembered for five seconds', async (t) => {
  const { facts, database, pass } = replica(t)
  database.answers = [null, known]
  await facts.read(secret)
  pass(5_000)
  t.equal(await facts.read(secret), null)
  pass(1)
  t.same(await facts.read(secret), known)
})

t.test('unknown secrets are remembered up to a number, however many are tried', async (t) => {
  const { facts, database } = replica(t)
  database.answers = [null]
  const nth = (n: number) => facts.read(`lk_pat_${String(n).padStart(20, '0')}`)
  for (let n = 0; n <= 10_000; n++) await nth(n)
  t.equal(database.reads, 10_001)
  await nth(10_000)
  t.equal(database.reads, 10_001)
  await nth(0)
  t.equal(database.reads, 10_002, 'the first of them is forgotten')
})

t.test('a secret is not called unknown by a server that may not be the one that counts', async (t) => {
  const { facts, database, sure } = replica(t)
  database.answers = [null]
  sure.yes = false
  await t.rejects(facts.read(secret)!, { code: 'unavailable' })
  sure.yes = true
  database.answers = [known]
  t.same(await facts.read(secret), known, 'nor is it remembered as that')
})

t.test('a secret that has come to be while it was looked for is looked for again', async (t) => {
  const { facts, database } = replica(t)
  database.answers = [null, known]
  database.meanwhile = () => {
    if (database.reads === 1) facts.forget([another])
  }
  t.same(await facts.read(secret), known)
})
