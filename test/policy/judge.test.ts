// The one decision: whatever says no is heard, and no restriction ever opens a door.
import fc from 'fast-check'
import t from 'tap'
import type { Facts } from '../../src/policy/facts.ts'
import { type Asker, judge, type Question } from '../../src/policy/judge.ts'
import { parseAddress } from '../../src/policy/network.ts'
import { closure } from '../../src/policy/scopes.ts'

const now = Date.parse('2026-11-22T12:00:00Z')
const ip = (text: string) => parseAddress(text)!
const posts: Asker = { kind: 'service', id: 'posts', checksIp: false }
const good: Facts = {
  tokenId: 'tok_1',
  type: 'personal',
  subject: 'user_42',
  team: 'team_a',
  audience: ['posts'],
  scopes: ['posts:read', 'posts:write'],
  ranges: ['203.0.113.0/24', '2001:db8::/32'],
  createdAt: now - 1_000,
  expireAt: now + 1_000,
  endsAt: now + 500,
  endsVersion: null,
  state: 'active',
}
const asked: Question = {
  asker: posts,
  clientIp: ip('203.0.113.7'),
  requiredScopes: ['posts:read'],
  team: 'team_a',
}

type Case = { facts: Facts; question: Question }
/** Each one alone makes the good token inactive. */
const causes: Record<string, (one: Case) => Case> = {
  revoked: ({ facts, question }) => ({ facts: { ...facts, state: 'revoked' }, question }),
  disabled: ({ facts, question }) => ({ facts: { ...facts, state: 'disabled' }, question }),
  'subject disabled': ({ facts, question }) => ({ facts: { ...facts, state: 'subject_disabled' }, question }),
  expired: ({ facts, question }) => ({ facts: { ...facts, expireAt: now }, question }),
  'secret replaced': ({ facts, question }) => ({ facts: { ...facts, endsAt: now }, question }),
  'secret ended': ({ facts, question }) => ({ facts: { ...facts, state: 'rotated' }, question }),
  'other audience': ({ facts, question }) => ({ facts: { ...facts, audience: ['billing'] }, question }),
  'asker unknown': ({ facts, question }) => ({
    facts,
    question: { ...question, asker: { kind: 'unregistered' } },
  }),
  'other team': ({ facts, question }) => ({ facts, question: { ...question, team: 'team_b' } }),
  'other address': ({ facts, question }) => ({
    facts,
    question: { ...question, clientIp: ip('198.51.100.1') },
  }),
  'other range': ({ facts, question }) => ({ facts: { ...facts, ranges: ['192.0.2.0/24'] }, question }),
  'address untold': ({ facts, question }) => ({ facts, question: { ...question, clientIp: null } }),
  'scope missing': ({ facts, question }) => ({ facts: { ...facts, scopes: [] }, question }),
  'scope unheld': ({ facts, question }) => ({
    facts,
    question: { ...question, requiredScopes: ['posts:erase'] },
  }),
}

t.test('a token that nothing speaks against is active', async (t) => {
  t.same(judge(good, asked, now), { active: true, facts: good })
})

t.test('a token is inactive if any cause says so, alone or with any other', async (t) => {
  // CVE-2026-8922: one not-before hid another. Every pair, in both orders.
  for (const [one, first] of Object.entries(causes)) {
    for (const [other, second] of Object.entries(causes)) {
      const { facts, question } = second(first({ facts: good, question: asked }))
      t.equal(judge(facts, question, now).active, false, `${one} + ${other}`)
    }
  }
})

t.test('the cause that is named is the one that holds', async (t) => {
  const named: Record<string, string> = {
    revoked: 'revoked',
    disabled: 'disabled',
    'subject disabled': 'subject_disabled',
    expired: 'expired',
    'secret replaced': 'rotated',
    'secret ended': 'rotated',
    'other audience': 'wrong_audience',
    'asker unknown': 'wrong_audience',
    'other team': 'wrong_team',
    'other address': 'ip_not_allowed',
    'other range': 'ip_not_allowed',
    'address untold': 'ip_not_allowed',
    'scope missing': 'missing_scope',
    'scope unheld': 'missing_scope',
  }
  t.same(Object.keys(named), Object.keys(causes))
  for (const [cause, change] of Object.entries(causes)) {
    const { facts, question } = change({ facts: good, question: asked })
    t.match(judge(facts, question, now), { active: false, code: named[cause] }, cause)
  }
})

t.test('only what is missing is called missing, and in the order in which it was asked for', async (t) => {
  const requiredScopes = ['posts:z', 'posts:read', 'posts:a']
  t.match(judge(good, { ...asked, requiredScopes }, now), { missingScopes: ['posts:z', 'posts:a'] })
  for (const near of ['posts:*', '*', 'posts', 'posts:rea', 'posts:read ', 'POSTS:READ', 'posts:readx', ''])
    t.equal(judge(good, { ...asked, requiredScopes: [near] }, now).active, false, JSON.stringify(near))
})

t.test('a token lives to its last millisecond and not one longer', async (t) => {
  for (const field of ['expireAt', 'endsAt'] as const) {
    const facts = { ...good, expireAt: null, endsAt: null, [field]: now }
    t.same(
      [-1, 0, 1].map((ms) => judge(facts, asked, now + ms).active),
      [true, false, false],
      field,
    )
  }
  t.equal(judge({ ...good, expireAt: null, endsAt: null }, asked, Number.MAX_SAFE_INTEGER).active, true)
})

t.test('who asks, about which audience: the truth table', async (t) => {
  const askers: Asker[] = [posts, { ...posts, id: 'billing' }, { kind: 'unregistered' }, { kind: 'holder' }]
  const table: [string[], boolean[]][] = [
    [[], [true, true, true, true]],
    [['posts'], [true, false, false, true]],
    [['billing'], [false, true, false, true]],
    [
      ['posts', 'billing'],
      [true, true, false, true],
    ],
    [
      ['posts2', 'post', 'POSTS'],
      [false, false, false, true],
    ],
  ]
  for (const [audience, expected] of table) {
    const verdicts = askers.map((asker) => judge({ ...good, audience }, { ...asked, asker }, now).active)
    t.same(verdicts, expected, audience.join(' ') || 'any')
  }
})

t.test('which team, asked by whom: the truth table', async (t) => {
  const table: [string | null, string | null, boolean][] = [
    [null, null, true],
    [null, 'team_a', true],
    ['team_a', null, true],
    ['team_a', 'team_a', true],
    ['team_a', 'team_b', false],
    ['team_a', 'TEAM_A', false],
    ['team_a', '', false],
  ]
  for (const [team, wanted, expected] of table)
    t.equal(
      judge({ ...good, team }, { ...asked, team: wanted }, now).active,
      expected,
      `${team} for ${wanted}`,
    )
})

t.test(
  'without an address only a service that checks addresses itself may hear that the token is active',
  async (t) => {
    const askers: Asker[] = [
      posts,
      { ...posts, checksIp: true },
      { kind: 'unregistered' },
      { kind: 'holder' },
    ]
    const facts = { ...good, audience: [] }
    const active = (ranges: string[], address: string | null) =>
      askers.map(
        (asker) =>
          judge({ ...facts, ranges }, { ...asked, asker, clientIp: address ? ip(address) : null }, now)
            .active,
      )
    t.same(active(['203.0.113.0/24'], null), [false, true, false, false])
    t.same(active(['203.0.113.0/24'], '203.0.113.255'), [true, true, true, true])
    t.same(
      active(['203.0.113.0/24'], '203.0.114.0'),
      [false, false, false, false],
      'one that was told is judged',
    )
    t.same(active([], null), [true, true, true, true])
  },
)

// Small worlds, so that chance finds the collisions.
const scope = fc.constantFrom('a:x', 'a:y', 'b:x')
const team = fc.constantFrom(null, 'team_a', 'team_b')
const range = fc.constantFrom('203.0.113.0/24', '203.0.113.128/25', '0.0.0.0/0', '::/0', '2001:db8::/32')
const service = fc.constantFrom('posts', 'billing')
const time = fc.option(fc.integer({ min: now - 2, max: now + 2 }))
const anyFacts: fc.Arbitrary<Facts> = fc.record({
  tokenId: fc.constant('tok_1'),
  type: fc.constantFrom('personal', 'service', 'federated'),
  subject: fc.constant('user_42'),
  team,
  audience: fc.uniqueArray(service),
  scopes: fc.uniqueArray(scope),
  ranges: fc.uniqueArray(range),
  createdAt: fc.constant(now - 1_000),
  expireAt: time,
  endsAt: time,
  endsVersion: fc.constant(null),
  state: fc.constantFrom('active', 'active', 'active', 'disabled', 'revoked', 'subject_disabled', 'rotated'),
})
const anyQuestion: fc.Arbitrary<Question> = fc.record({
  asker: fc.oneof(
    fc.record({ kind: fc.constant('service' as const), id: service, checksIp: fc.boolean() }),
    fc.constantFrom<Asker>({ kind: 'unregistered' }, { kind: 'holder' }),
  ),
  clientIp: fc.constantFrom(
    null,
    ip('203.0.113.7'),
    ip('203.0.113.200'),
    ip('198.51.100.1'),
    ip('2001:db8::1'),
  ),
  requiredScopes: fc.uniqueArray(scope),
  team,
})
const restriction: fc.Arbitrary<(facts: Facts) => Facts> = fc.oneof(
  scope.map((gone) => (facts: Facts) => ({ ...facts, scopes: facts.scopes.filter((one) => one !== gone) })),
  fc.integer({ min: now - 2, max: now + 2 }).map((end) => (facts: Facts) => ({
    ...facts,
    expireAt: Math.min(end, facts.expireAt ?? end),
  })),
  fc.integer({ min: now - 2, max: now + 2 }).map((end) => (facts: Facts) => ({
    ...facts,
    endsAt: Math.min(end, facts.endsAt ?? end),
  })),
  fc
    .constantFrom('disabled' as const, 'revoked' as const, 'subject_disabled' as const)
    .map((state) => (facts: Facts) => ({ ...facts, state: facts.state === 'active' ? state : facts.state })),
  fc.constant((facts: Facts) => ({
    ...facts,
    ranges: facts.ranges.length === 0 ? ['203.0.113.0/24'] : facts.ranges.slice(0, 1),
  })),
  fc.constant((facts: Facts) => ({
    ...facts,
    audience: facts.audience.length === 0 ? ['posts'] : facts.audience.slice(0, 1),
  })),
  fc.constant((facts: Facts) => ({ ...facts, team: facts.team ?? 'team_a' })),
)

t.test('adding a restriction never makes an inactive token active', async () => {
  fc.assert(
    fc.property(
      anyFacts,
      anyQuestion,
      fc.array(restriction, { minLength: 1, maxLength: 3 }),
      (facts, question, added) => {
        const narrower = added.reduce((so, restrict) => restrict(so), facts)
        return judge(facts, question, now).active || !judge(narrower, question, now).active
      },
    ),
    { numRuns: 20_000 },
  )
})

t.test('asking for more never makes an inactive token active, and time never does', async () => {
  fc.assert(
    fc.property(anyFacts, anyQuestion, scope, fc.nat(5), (facts, question, more, ms) => {
      const harder = { ...question, requiredScopes: [...question.requiredScopes, more] }
      const before = judge(facts, question, now).active
      return before || !(judge(facts, harder, now).active || judge(facts, question, now + ms).active)
    }),
    { numRuns: 20_000 },
  )
})

t.test('what a scope reaches is all it implies, however far and around, and nothing else', async () => {
  const names = 'abcdefg'.split('')
  const edges = fc.array(fc.tuple(fc.constantFrom(...names), fc.constantFrom(...names)), { maxLength: 16 })
  fc.assert(
    fc.property(edges, (pairs) => {
      const implies = new Map(
        names.map((name) => [name, pairs.flatMap(([from, to]) => (from === name ? [to] : []))]),
      )
      // Warshall, as the oracle.
      const reaches = names.map((from) => names.map((to) => from === to || implies.get(from)!.includes(to)))
      for (const [middle] of names.entries())
        for (const row of reaches)
          if (row[middle]) for (const [to] of names.entries()) row[to] ||= reaches[middle]![to]!
      return names.every(
        (from, index) =>
          closure(from, implies).join('') === names.filter((_, to) => reaches[index]![to]).join(''),
      )
    }),
    { numRuns: 2_000 },
  )
})
