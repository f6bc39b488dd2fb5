// The parts of @latchkey/sdk that decide without asking anybody: checksum, addresses, events, lease, fence, memory.
import { once } from 'node:events'
import { connect, isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { createEventReader, type ServerEvent } from '../../packages/sdk/src/event-stream.ts'
import { createFence } from '../../packages/sdk/src/fence.ts'
import { createVerifier } from '../../packages/sdk/src/index.ts'
import { createLease } from '../../packages/sdk/src/lease.ts'
import { createMemory } from '../../packages/sdk/src/memory.ts'
import { mayCallFrom, readAddress } from '../../packages/sdk/src/network.ts'
import { secretShape } from '../../packages/sdk/src/secret-shape.ts'
import type { Token } from '../../packages/sdk/src/verdict.ts'
import { formatRange, parseAddress, parseRange, withinAny } from '../../src/policy/network.ts'
import { secretShape as latchkeysShape, mintSecret } from '../../src/token/format.ts'

const token = (more: Partial<Token>): Token => ({
  id: 'tok_1',
  type: 'personal',
  subject: 'user_1',
  team: null,
  audience: [],
  scopes: [],
  ipRestriction: null,
  createdAt: '2026-01-01T00:00:00Z',
  expireAt: null,
  ...more,
})

t.test(
  'every secret that Latchkey mints has the right shape, and no change of one character has',
  async () => {
    const shape = secretShape(['lk', 'gpx'])
    const minted = fc
      .tuple(fc.constantFrom('lk', 'gpx'), fc.constantFrom('personal', 'service', 'federated'))
      .map(([prefix, type]) => mintSecret(prefix, type))
    const change = fc.record({
      secret: minted,
      at: fc.nat(1_000),
      to: fc.constantFrom(...'09AZaz_-. '),
    })
    fc.assert(
      fc.property(change, ({ secret, at, to }) => {
        const index = at % secret.length
        const changed = secret.slice(0, index) + to + secret.slice(index + 1)
        return shape(secret) && shape(changed) === (changed === secret)
      }),
      { numRuns: 2_000 },
    )
  },
)

t.test('what a secret looks like is judged as Latchkey judges it', async (t) => {
  const [ours, theirs] = [secretShape(['lk']), latchkeysShape(['lk'])]
  const good = mintSecret('lk', 'personal')
  const table = [
    good,
    `${good}0`,
    good.slice(1),
    good.toUpperCase(),
    `${good}\n`,
    ` ${good}`,
    '',
    'lk_pat_',
    good + good,
  ]
  const alike = (text: string) => ours(text) === theirs(text)
  t.ok(table.every(alike))
  t.equal(table.filter(ours).length, 1)
  fc.assert(fc.property(fc.string(), alike))
})

t.test('a string that cannot be a token causes no network call at all', async (t) => {
  const calls: unknown[] = []
  const called = async (...call: unknown[]) => {
    calls.push(call)
    return new Response('{}')
  }
  // Nobody listens at port 9: had the stream been opened, trouble would have been told.
  const verifier = createVerifier({
    url: 'http://127.0.0.1:9',
    clientId: 'posts',
    clientSecret: 'secret-of-posts',
    fetch: called as typeof fetch,
    onTrouble: (message) => calls.push(message),
  })
  t.teardown(verifier.close)
  const good = mintSecret('lk', 'personal')
  for (const secret of [
    undefined,
    '',
    'x',
    good.replace('lk', 'gh'),
    `${good.slice(0, -1)}-`,
    'é'.repeat(50),
  ]) {
    t.match(await verifier.verify(secret), { active: false, status: 401 })
  }
  // A stream that had been opened would have been refused before this is.
  await t.rejects(once(connect(9, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
  t.strictSame(calls, [])
})

t.test('options that cannot work are refused when they are given, without repeating a secret', async (t) => {
  const right = { url: 'http://localhost', clientId: 'posts', clientSecret: 'hush-hush-hush' }
  const wrong = [
    { url: 'nowhere' },
    { url: 'ftp://x' },
    { url: 'http://a:hush@b' },
    { clientId: '' },
    { clientSecret: '' },
  ]
  for (const one of [
    ...wrong,
    { prefixes: [] },
    { prefixes: ['a|b'] },
    { maxRemembered: -1 },
    { rememberSeconds: NaN },
  ]) {
    const error = t.throws(() => createVerifier({ ...right, ...one }), TypeError) as Error
    t.notMatch(error.message, /hush/)
  }
})

t.test('addresses are compared with ranges as Latchkey compares them', async (t) => {
  const address = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.ipV4().map((four) => `::ffff:${four}`),
    fc.constantFrom('10.0.0.1', '10.0.0.2', '::1', '::ffff:a00:1', 'fe80::1%eth0', '10.0.0.01', '', 'x'),
  )
  const range = fc
    .oneof(
      fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
      fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
      fc.tuple(fc.constant('10.0.0.0'), fc.integer({ min: 8, max: 32 })),
    )
    .map(([base, bits]) => formatRange(parseRange(`${base}/${bits}`)!))
  const ranges = fc.array(range, { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(ranges, address, (list, text) => {
      const parsed = parseAddress(text)
      const theirs = parsed !== null && withinAny(list, parsed)
      return mayCallFrom(token({ ipRestriction: list.join(', ') }), readAddress(text)) === theirs
    }),
    { numRuns: 3_000 },
  )
  t.equal(isIP(readAddress('::ffff:10.0.0.1')!), 4)
  for (const restriction of ['', '10.0.0.0/33', '10.0.0.0/8, nonsense', '10.0.0.0/x', '::/129']) {
    t.notOk(
      mayCallFrom(token({ ipRestriction: restriction }), '10.0.0.1'),
      `${restriction}: nowhere is allowed`,
    )
  }
})

t.test('events are the same in whatever pieces they arrive', async () => {
  const text =
    ': hello\n\nid: r.1\nevent: forget\ndata: {"tokens":["tok_1"]}\n\nevent: lease\r\ndata: {}\r\n\r\n'
  const wanted = [
    { id: 'r.1', event: 'forget', data: '{"tokens":["tok_1"]}' },
    { id: null, event: 'lease', data: '{}' },
  ]
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9 })), (sizes) => {
      const heard: ServerEvent[] = []
      const read = createEventReader((event) => heard.push(event))
      let at = 0
      for (const size of sizes) {
        read(text.slice(at, at + size))
        at += size
      }
      read(text.slice(at))
      return JSON.stringify(heard) === JSON.stringify(wanted)
    }),
  )
})

t.test('a lease is over when the machine has slept, until another connection', async (t) => {
  const clocks = { monotonic: 1_000, clock: 5_000_000 }
  const pass = (ms: number, sleptMs = 0) => {
    clocks.monotonic += ms
    clocks.clock += ms + sleptMs
  }
  const lease = createLease(
    () => clocks.monotonic,
    () => clocks.clock,
  )
  for (const step of [0, 900, -900]) {
    lease.opening()
    lease.beat(0, 2_000)
    pass(100, step)
    t.ok(lease.holds(), `a clock that is put right by ${step} ms`)
    pass(3_000)
  }
  lease.opening()
  lease.beat(0, 2_000)
  pass(100, 1_000)
  t.notOk(lease.holds())
  lease.beat(500, 2_000)
  t.notOk(lease.holds(), 'what was on its way meanwhile')
  lease.opening()
  t.notOk(lease.holds(), 'what was left of it')
  lease.beat(0, 2_000)
  t.ok(lease.holds())
})

t.test('a lease counts from when its beat was sent, whatever the sender’s clock says', async (t) => {
  const clock = { now: 1_000 }
  const lease = createLease(
    () => clock.now,
    () => clock.now,
  )
  t.notOk(lease.holds())
  lease.opening()
  clock.now = 1_400
  lease.beat(777_000, 2_000)
  t.ok(lease.holds(), 'sent some time after 1,000')
  clock.now = 2_999
  t.ok(lease.holds())
  clock.now = 3_000
  t.notOk(lease.holds())
  clock.now = 4_500
  lease.beat(777_500, 2_000)
  t.notOk(lease.holds(), 'sent at 1,500 already, and held up')
  lease.beat(781_000, 2_000)
  clock.now = 6_499
  t.ok(lease.holds(), 'even if the sender’s clock is fast, it counts from when it came')
  clock.now = 6_500
  t.notOk(lease.holds())
  lease.opening()
  lease.beat(5, 2_000)
  t.ok(lease.holds(), 'another sender has another clock')
  lease.drop()
  t.notOk(lease.holds())
})

t.test('only what was asked for a lease after anything that concerns it may be remembered', async (t) => {
  const clock = { now: 10_000 }
  const fence = createFence(
    () => clock.now,
    () => 2_000,
  )
  const mine = token({ id: 'tok_mine', subject: 'user_mine' })
  t.ok(fence.admits(mine, 10_000))
  fence.raise({ tokens: ['tok_mine'], subjects: ['user_other'] })
  for (const askedAt of [9_000, 10_000, 12_000]) t.notOk(fence.admits(mine, askedAt), `asked at ${askedAt}`)
  t.ok(fence.admits(mine, 12_001))
  t.ok(fence.admits(token({ id: 'tok_2' }), 9_000), 'another token')
  t.notOk(fence.admits(token({ subject: 'user_other' }), 12_000), 'another token of that subject')
  t.notOk(fence.admits(null, 12_000), 'a refusal, which anything may have mended')
  clock.now = 20_000
  fence.raiseAll()
  t.notOk(fence.admits(token({ id: 'tok_2' }), 22_000))
  t.ok(fence.admits(token({ id: 'tok_2' }), 22_001))
  clock.now = 30_000
  fence.raise({ tokens: Array.from({ length: 5_000 }, (_, index) => `tok_many${index}`), subjects: [] })
  t.notOk(fence.admits(token({ id: 'tok_many0' }), 30_000), 'too many to list are all')
})

t.test('memory holds no more than it may, and drops what was used longest ago', async (t) => {
  const memory = createMemory({ goodMs: 30_000, refusedMs: 5_000, most: 2 }, () => 0)
  const known = (id: string) => ({ token: token({ id }) })
  memory.set('a', known('tok_a'))
  memory.set('b', known('tok_b'))
  memory.get('a')
  memory.set('c', known('tok_c'))
  t.strictSame(
    ['a', 'b', 'c'].map((key) => memory.get(key)?.token?.id),
    ['tok_a', undefined, 'tok_c'],
  )
  memory.forget({ tokens: ['tok_a'], subjects: [] })
  t.equal(memory.get('a'), undefined)
  memory.forget({ tokens: [], subjects: ['user_1'] })
  t.equal(memory.get('c'), undefined)
})
