// What memory knows about tokens must be exactly what it was told, no less forgotten than asked for, and never more
// than its bound. Sequences of operations are compared with a plain Map; the parts it is made of, with theirs.

import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { newId } from '../../src/db/ids.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { Interned } from '../../src/verify/memory/interned.ts'
import { SlotIndex } from '../../src/verify/memory/slot-index.ts'
import { createFactStore, type FactStore, type Key } from '../../src/verify/memory/store.ts'
import { unpackTokenId } from '../../src/verify/memory/token-id.ts'

const wordsOf = (bytes: Buffer): Key =>
  Int32Array.from({ length: 8 }, (_, word) => bytes.readInt32LE(word * 4))
const keyOf = (secret: string): Key => wordsOf(createHash('sha256').update(secret).digest())

// Few values, so that sequences meet: keys alike but for one byte (the first 28 the same, or the last 28), which
// share their hash and their tag.
const bytes = (fill: number, at: number, other: number) =>
  wordsOf(Buffer.from(Array.from({ length: 32 }, (_, i) => (i === at ? other : fill))))
const keys = [0, 1, 2, 3, 4].flatMap((n) => [
  bytes(0xff, 31, n),
  bytes(0x00, 28 + (n % 4), n + 1),
  bytes(0x41, 0, n),
])
const tokenIds = Array.from({ length: 6 }, (_, i) => `tok_01k${'0'.repeat(22)}${i}`)
// At and over the room in a record, and what is no Latin-1.
const subjects = [
  '',
  'user_42',
  'user_43',
  'Zoë',
  'é'.repeat(48),
  'é'.repeat(49),
  '山田',
  '\ud800',
  '\ud801',
  'x'.repeat(20_000),
]
const isElsewhere = (subject: string) => subject.length > 48 || /[^\x00-\xff]/.test(subject)
const lists = fc.constantFrom<string[][]>(
  [],
  ['a'],
  ['a', 'b'],
  ['ab'],
  ['a:read', 'b:read'],
  ['a|', '1:b'],
  ['a:b'],
)
const time = fc.oneof(fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 2), fc.nat(2 ** 31 - 1))
const ending = fc.option(time, { nil: null })

const fields = {
  tokenId: fc.constantFrom(...tokenIds),
  type: fc.constantFrom('personal', 'service', 'federated'),
  subject: fc.constantFrom(...subjects),
  team: fc.constantFrom(null, '', 'team_a', 'a|0:'),
  audience: lists,
  scopes: lists,
  ranges: lists,
  createdAt: time,
  expireAt: ending,
  endsAt: ending,
  endsVersion: fc.option(fc.integer({ min: 1, max: 2 ** 31 - 1 }), { nil: null }),
  state: fc.constantFrom('active', 'disabled', 'revoked', 'subject_disabled', 'rotated'),
} satisfies { [Field in keyof Facts]: fc.Arbitrary<Facts[Field]> }
// Plain objects, as the store's are, for the sake of strict comparison.
const facts: fc.Arbitrary<Facts> = fc.record(fields, { noNullPrototype: true })

type Step =
  | { readonly do: 'set'; readonly key: Key; readonly facts: Facts }
  | { readonly do: 'find' | 'delete'; readonly key: Key }
  | { readonly do: 'deleteToken'; readonly tokenId: string }
  | { readonly do: 'deleteSubject'; readonly subject: string }
  | { readonly do: 'clear' }

const key = fc.constantFrom(...keys)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('set'), key, facts }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('find', 'delete'), key }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('deleteToken'), tokenId: fc.constantFrom(...tokenIds) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('deleteSubject'), subject: fc.constantFrom(...subjects) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear') }) },
)

type Model = Map<Key, Facts>

const forget = (model: Model, condition: (known: Facts) => boolean): number => {
  const gone = [...model].filter(([, known]) => condition(known))
  for (const [one] of gone) model.delete(one)
  return gone.length
}

/** Does the step on both, and says what each answered. */
function take(store: FactStore, model: Model, one: Step): [unknown, unknown] {
  switch (one.do) {
    case 'set':
      return [store.set(one.key, one.facts), void model.set(one.key, one.facts)]
    case 'find':
      return [store.find(one.key) >= 0, model.has(one.key)]
    case 'delete':
      return [store.delete(one.key), model.delete(one.key)]
    case 'deleteToken':
      return [store.deleteToken(one.tokenId), forget(model, (known) => known.tokenId === one.tokenId)]
    case 'deleteSubject':
      return [store.deleteSubject(one.subject), forget(model, (known) => known.subject === one.subject)]
    case 'clear':
      return [store.clear(), model.clear()]
  }
}

const found = (store: FactStore, one: Key): Facts | undefined => {
  const slot = store.find(one)
  return slot < 0 ? undefined : store.read(slot)
}

const distinct = (model: Model, part: (known: Facts) => unknown) =>
  new Set([...model.values()].map((known) => JSON.stringify(part(known)))).size

/** Holds exactly what the model holds, and refers to nothing else: a count that leaks shows here. */
function assertSame(store: FactStore, model: Model): void {
  for (const one of keys) {
    const [actual, expected] = [found(store, one), model.get(one)]
    if (!isDeepStrictEqual(actual, expected)) {
      throw new Error(`knows ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`)
    }
  }
  const shared = {
    grants: distinct(model, (known) => [known.audience, known.scopes]),
    origins: distinct(model, (known) => [known.team, known.ranges]),
  }
  if (store.size !== model.size) throw new Error(`size ${store.size}, expected ${model.size}`)
  const elsewhere = new Set([...model.values()].map(({ subject }) => subject).filter(isElsewhere)).size
  if (store.subjectsElsewhere !== elsewhere)
    throw new Error(`${store.subjectsElsewhere} subjects elsewhere, expected ${elsewhere}`)
  if (!isDeepStrictEqual(store.shared, shared)) {
    throw new Error(`shares ${JSON.stringify(store.shared)}, expected ${JSON.stringify(shared)}`)
  }
}

t.test('after any sequence of operations the store holds what a Map would hold, fact for fact', async () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const store = createFactStore({ capacity: 1000 })
      const model: Model = new Map()
      for (const one of steps) {
        const [actual, expected] = take(store, model, one)
        if (actual !== expected) throw new Error(`${one.do} answered ${actual}, expected ${expected}`)
        assertSame(store, model)
      }
    }),
    { numRuns: 400 },
  )
})

t.test('at its bound the store forgets the others, never invents, and keeps what was just set', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.array(step, { maxLength: 80, size: 'max' }),
      (capacity, steps) => {
        const store = createFactStore({ capacity })
        const model: Model = new Map()
        for (const one of steps) {
          take(store, model, one)
          // An eviction is the store's choice: the model follows, and everything else must agree.
          for (const known of keys) if (store.find(known) < 0) model.delete(known)
          assertSame(store, model)
          if (store.size > capacity) throw new Error(`${store.size} at a capacity of ${capacity}`)
          if (one.do === 'set' && store.find(one.key) < 0) throw new Error('what was just set is not there')
        }
      },
    ),
    { numRuns: 400 },
  )
})

const some = (i: number, more: Partial<Facts> = {}): Facts => ({
  tokenId: newId('tok', 1_780_000_000_000 + i),
  type: 'personal',
  subject: `user_${i >> 1}`,
  team: i % 3 === 0 ? null : `team_${i % 7}`,
  audience: [],
  scopes: ['posts:read', `posts:x${i % 11}`],
  ranges: i % 5 === 0 ? ['203.0.113.0/24'] : [],
  createdAt: 1_780_000_000_000 + i,
  expireAt: i % 2 === 0 ? null : 1_790_000_000_000 + i,
  endsAt: i % 13 === 0 ? 1_785_000_000_000 + i : null,
  endsVersion: i % 17 === 0 ? i : null,
  state: 'active',
  ...more,
})
const secretKey = (i: number) => keyOf(`lk_pat_${i}`)

t.test('a token in use is not evicted before one that nobody asked for', async (t) => {
  const store = createFactStore({ capacity: 100 })
  for (let i = 0; i < 100; i++) store.set(secretKey(i), some(i))
  for (let i = 0; i < 100; i += 2) store.find(secretKey(i))
  for (let i = 100; i < 150; i++) store.set(secretKey(i), some(i))
  for (let i = 0; i < 150; i++) t.equal(store.find(secretKey(i)) >= 0, i >= 100 || i % 2 === 0, `token ${i}`)
})

t.test('a use is remembered with its record, even when another deletion moves it', async (t) => {
  const store = createFactStore({ capacity: 4 })
  for (let i = 0; i < 4; i++) store.set(secretKey(i), some(i))
  store.find(secretKey(3))
  store.delete(secretKey(0))
  for (let i = 4; i < 7; i++) store.set(secretKey(i), some(i))
  t.ok(store.find(secretKey(3)) >= 0)
})

t.test('a record does not inherit the use of one whose place it takes', async (t) => {
  const store = createFactStore({ capacity: 4 })
  for (let i = 0; i < 4; i++) store.set(secretKey(i), some(i))
  store.find(secretKey(0))
  store.delete(secretKey(0))
  for (let i = 4; i < 6; i++) store.set(secretKey(i), some(i))
  t.strictSame(
    [1, 2, 3, 4, 5].map((i) => store.find(secretKey(i)) >= 0),
    [true, true, false, true, true],
  )
})

t.test('growing to many thousands and back loses nothing, and gives memory back', async (t) => {
  const store = createFactStore({ capacity: 1_000_000 })
  const atFirst = store.bytes
  const all = Array.from({ length: 30_000 }, (_, i) => some(i))
  for (const [i, known] of all.entries()) store.set(secretKey(i), known)
  t.ok(all.every((known, i) => isDeepStrictEqual(found(store, secretKey(i)), known)))
  const full = store.bytes
  for (let i = 0; i < all.length; i++) if (i % 100 !== 0) store.delete(secretKey(i))
  t.equal(store.size, 300)
  t.ok(
    all.every((known, i) => isDeepStrictEqual(found(store, secretKey(i)), i % 100 === 0 ? known : undefined)),
  )
  t.ok(store.bytes < full / 3, `${store.bytes} bytes of ${full}`)
  store.clear()
  t.equal(store.bytes, atFirst)
})

t.test('a store for a thousand tokens takes kilobytes, not what a million would take', async (t) => {
  const store = createFactStore({ capacity: 1_000_000 })
  for (let i = 0; i < 1000; i++) store.set(secretKey(i), some(i))
  t.ok(store.bytes < 600_000, `${store.bytes} bytes`)
})

t.test('what nobody refers to any more leaves nothing behind, however many have come and gone', async (t) => {
  const store = createFactStore({ capacity: 500 })
  let most = 0
  for (let i = 0; i < 40_000; i++) {
    store.set(
      secretKey(i),
      some(i, { subject: `subject-${i}`.repeat(1 + (i % 7)), scopes: [`s:${i}`], team: `t${i}` }),
    )
    most = Math.max(most, store.bytes)
  }
  t.strictSame(store.shared, { grants: 500, origins: 500 })
  t.ok(store.subjectsElsewhere > 100 && store.subjectsElsewhere < 500)
  t.ok(most < 800_000, `${most} bytes`)
  for (let i = 0; i < 40_000; i++) store.delete(secretKey(i))
  t.strictSame(store.shared, { grants: 0, origins: 0 })
  t.equal(store.subjectsElsewhere, 0)
})

t.test('revoking a token forgets both of its secrets and no other token', async (t) => {
  const store = createFactStore({ capacity: 100 })
  const known = some(1)
  store.set(secretKey(1), known)
  store.set(secretKey(2), { ...known, endsAt: 1_785_000_000_000 })
  store.set(secretKey(3), some(3))
  t.equal(store.deleteToken(known.tokenId), 2)
  t.strictSame(
    [1, 2, 3].map((i) => store.find(secretKey(i)) >= 0),
    [false, false, true],
  )
  t.equal(store.deleteToken(known.tokenId), 0)
})

t.test('tokens whose ids differ in one place only are revoked one by one', async (t) => {
  // So many, that thousands of looks at a record are made for nothing but eight bits of hash.
  const many = 10_000
  for (let place = 0; place < 4; place++) {
    const store = createFactStore({ capacity: many })
    const tokenId = (i: number) => {
      const [a, b, c, d] = [0, 1, 2, 3].map((word) =>
        word === place ? Math.imul(i, 0x9e3779b1) : 0x0badcafe,
      )
      return unpackTokenId(a!, b!, c!, d!)
    }
    for (let i = 0; i < many; i++) store.set(secretKey(i), some(i, { tokenId: tokenId(i) }))
    for (let i = 0; i < many; i++) {
      if (store.deleteToken(tokenId(i)) !== 1 || store.find(secretKey(i)) >= 0) t.fail(`token ${i}`)
    }
    t.equal(store.size, 0)
  }
})

t.test('a secret whose digest differs in a single bit is another secret', async (t) => {
  const store = createFactStore({ capacity: 10 })
  const digest = keyOf('lk_pat_0')
  store.set(digest, some(1))
  for (let bit = 0; bit < 256; bit++) {
    const other = digest.slice()
    other[bit >> 5]! ^= 1 << (bit & 31)
    if (store.find(other) >= 0) t.fail(`bit ${bit}`)
  }
  t.ok(store.find(digest) >= 0)
})

t.test('disabling a subject forgets all of its tokens, wherever they lie, and no others', async (t) => {
  const store = createFactStore({ capacity: 10_000 })
  for (let i = 0; i < 9000; i++)
    store.set(secretKey(i), some(i, { subject: i % 3 === 0 ? 'ci' : `user_${i}` }))
  t.equal(store.deleteSubject('ci'), 3000)
  for (let i = 0; i < 9000; i++) {
    if (store.find(secretKey(i)) >= 0 === (i % 3 === 0)) t.fail(`token ${i}`)
  }
  t.equal(store.deleteSubject('ci'), 0)
  t.equal(store.deleteSubject('nobody'), 0)
})

t.test(
  'a revoke whose token id cannot be understood is an error, not a token that is not here',
  async (t) => {
    const store = createFactStore({ capacity: 10 })
    const { tokenId } = some(1)
    const wrong = [
      '',
      'tok_',
      tokenId.toUpperCase(),
      tokenId.slice(0, -1),
      `${tokenId}0`,
      `tok_8${tokenId.slice(5)}`,
    ]
    for (const id of [...wrong, `${tokenId.slice(0, -1)}l`, `svc_${tokenId.slice(4)}`, ` ${tokenId}`]) {
      t.throws(() => store.deleteToken(id), RangeError, JSON.stringify(id))
      t.throws(() => store.set(secretKey(1), some(1, { tokenId: id })), RangeError)
    }
    t.equal(store.size, 0)
  },
)

t.test('facts that would not read back exactly are refused, and what was known stays', async (t) => {
  const store = createFactStore({ capacity: 10 })
  const known = some(1)
  store.set(secretKey(1), known)
  const refused: Partial<Facts>[] = [
    { createdAt: 1.5 },
    { createdAt: -1 },
    { createdAt: Number.NaN },
    { expireAt: 2 ** 48 - 1 },
    { expireAt: Number.POSITIVE_INFINITY },
    { endsAt: -1 },
  ]
  for (const wrong of refused) t.throws(() => store.set(secretKey(1), { ...known, ...wrong }), RangeError)
  t.throws(() => store.set(new Int32Array(7), known), RangeError)
  t.strictSame(found(store, secretKey(1)), known)
  t.strictSame(store.shared, { grants: 1, origins: 1 })
})

t.test('lists are frozen and shared by equal tokens, and the caller keeps its own', async (t) => {
  const store = createFactStore({ capacity: 10 })
  const scopes = ['a:read', 'b:read']
  store.set(secretKey(1), some(1, { scopes }))
  store.set(secretKey(2), some(2, { scopes: [...scopes] }))
  const [one, two] = [1, 2].map((i) => store.read(store.find(secretKey(i))).scopes)
  t.equal(one, two)
  t.ok(Object.isFrozen(one))
  scopes.push('c:read')
  t.strictSame(one, ['a:read', 'b:read'])
})

t.test('any token id that Latchkey makes reads back as it was', async (t) => {
  const store = createFactStore({ capacity: 10 })
  const digit = fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz')
  const any = fc.tuple(fc.constantFrom(...'01234567'), fc.array(digit, { minLength: 25, maxLength: 25 }))
  const check = (tokenId: string) => {
    store.set(secretKey(1), some(1, { tokenId }))
    return store.read(store.find(secretKey(1))).tokenId === tokenId && store.deleteToken(tokenId) === 1
  }
  fc.assert(fc.property(any, ([first, rest]) => check(`tok_${first}${rest.join('')}`)))
  for (let i = 0; i < 1000; i++) if (!check(newId('tok', Date.UTC(2026, 0, i)))) t.fail(`id ${i}`)
})

t.test('a capacity that cannot be kept is refused', async (t) => {
  for (const capacity of [0, -1, 1.5, Number.NaN, 2 ** 24])
    t.throws(() => createFactStore({ capacity }), RangeError)
  t.throws(() => new SlotIndex(2 ** 24, () => 0), RangeError)
})

t.test(
  'the index finds every slot among colliding hashes, around its end and after any removals',
  async () => {
    const hash = fc.constantFrom(0, 1, 0xff, 0x100, 0xfffffffe, 0xffffffff, -1, 0x7fffffff, 0x80000000)
    fc.assert(
      fc.property(
        fc.constantFrom(64, 4096, 40_000),
        fc.array(fc.tuple(fc.nat(40), hash), { maxLength: 150, size: 'max' }),
        (maxSlots, steps) => {
          const hashes = new Map<number, number>()
          const shards = new SlotIndex(maxSlots, (slot) => hashes.get(slot)!)
          const slotsOf = (one: number) => {
            const slots: number[] = []
            const shard = shards.of(one)
            for (let at = shard.first(one); at >= 0; at = shard.next(at, one)) slots.push(shard.slotAt(at))
            return slots
          }
          for (const [slot, one] of steps) {
            if (hashes.has(slot)) {
              shards.of(hashes.get(slot)!).remove(slot, hashes.get(slot)!)
              hashes.delete(slot)
            } else {
              hashes.set(slot, one)
              shards.of(one).add(slot, one)
            }
            for (const [known, its] of hashes) {
              if (slotsOf(its).filter((each) => each === known).length !== 1) throw new Error(`lost ${known}`)
            }
          }
        },
      ),
    )
  },
)

t.test('an id of a shared value is used again, and never while somebody has it', async (t) => {
  const interned = new Interned<string>()
  const kept = interned.acquire('kept', String, 'kept')
  for (let i = 0; i < 1000; i++) {
    const id = interned.acquire(`${i}`, String, `value ${i}`)
    if (id > 1 || id === kept || interned.value(id) !== `value ${i}`) t.fail(`id ${id}`)
    interned.release(id)
  }
  t.equal(interned.value(kept), 'kept')
  t.equal(interned.size, 1)
})

t.test('two subjects are never one, not even those whose hashes are equal', async (t) => {
  // Of 5,000 subjects, about 190 pairs have the same 16 bits of hash.
  const store = createFactStore({ capacity: 10_000 })
  for (let i = 0; i < 10_000; i++) store.set(secretKey(i), some(i))
  for (let i = 0; i < 10_000; i += 2) {
    if (store.deleteSubject(`user_${i >> 1}`) !== 2) t.fail(`subject ${i >> 1}`)
    if (store.size !== 9_998 - i) t.fail(`${store.size} tokens after subject ${i >> 1}`)
  }
})

t.test('every use that was counted is taken once, whatever becomes of the record meanwhile', async () => {
  const use = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('use'), key }) },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('set'), key, facts }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('delete', 'take', 'clear'), key }) },
  ) as fc.Arbitrary<{ do: 'use' | 'set' | 'delete' | 'take' | 'clear'; key: Key; facts: Facts }>
  fc.assert(
    fc.property(
      fc.array(use, { maxLength: 60, size: 'max' }),
      fc.integer({ min: 1, max: 4 }),
      (steps, most) => {
        const store = createFactStore({ capacity: 8 })
        const counted = new Map<string, number>()
        const taken = new Map<string, number>()
        const add = (map: Map<string, number>, id: string, count: number) =>
          map.set(id, (map.get(id) ?? 0) + count)
        let now = 1_800_000_000_000
        const take = () => {
          const uses = store.takeUses(most, now)
          if (uses.length > most) throw new Error(`${uses.length} are more than ${most}`)
          for (const { tokenId, count, at } of uses) {
            add(taken, tokenId, count)
            if (at > now || at <= now - 60) throw new Error(`${at} is not within the last steps of ${now}`)
          }
          return uses.length
        }
        for (const one of steps) {
          now += 1
          const slot = store.find(one.key)
          if (one.do === 'set') store.set(one.key, one.facts)
          else if (one.do === 'delete') store.delete(one.key)
          else if (one.do === 'clear') store.clear()
          else if (one.do === 'take') take()
          else if (slot >= 0) {
            store.countUse(slot, now, 0)
            add(counted, store.read(slot).tokenId, 1)
          }
        }
        while (take() > 0);
        return isDeepStrictEqual([...taken].sort(), [...counted].sort())
      },
    ),
    { numRuns: 2_000 },
  )
})

t.test('the last circumstances are taken along with the uses, and those before them are told', async (t) => {
  const store = createFactStore({ capacity: 1 })
  const known = fc.sample(facts, 1)[0]!
  store.set(keys[0]!, known)
  const slot = store.find(keys[0]!)
  t.same(
    [7, 7, 9, 0, 7].map((one) => store.countUse(slot, 1, one)),
    [0, 7, 7, 9, 9],
    'none leaves the others where they are',
  )
  const taken = { tokenId: known.tokenId, at: 1 }
  t.same(store.takeUses(1, 1), [{ ...taken, count: 5, circumstances: 7 }])
  t.equal(store.countUse(slot, 1, 7), 0, 'and are new again then')
  store.set(keys[1]!, known)
  t.same(store.takeUses(1, 1), [{ ...taken, count: 1, circumstances: 7 }], 'evicted, they are still told')
})

t.test('a use is told at its time, also when the clock was set back since', async (t) => {
  const store = createFactStore({ capacity: 2 })
  const now = Date.UTC(2026, 10, 1)
  store.set(keys[0]!, fc.sample(facts, 1)[0]!)
  store.countUse(store.find(keys[0]!), now, 0)
  t.match(store.takeUses(1, now - 3), [{ at: now }])
})

t.test('of uses that outlive their records, no more are kept than memory can bear', async (t) => {
  const store = createFactStore({ capacity: 1 })
  const known = some(1)
  for (let i = 0; i < 250_010; i++) {
    store.set(keys[i % 2]!, known)
    store.countUse(store.find(keys[i % 2]!), 1, 0)
  }
  t.equal(store.takeUses(1_000_000, 1).length, 250_001, 'and that of the record which is there')
})

t.test('uses are told when most of their records, and the memory of these, are gone', async (t) => {
  const store = createFactStore({ capacity: 10_000 })
  for (let i = 0; i < 10_000; i++) {
    store.set(secretKey(i), some(i))
    store.countUse(store.find(secretKey(i)), 1, 0)
  }
  for (let i = 1; i < 10_000; i++) store.delete(secretKey(i))
  t.equal(store.takeUses(10_001, 1).length, 10_000)
})
