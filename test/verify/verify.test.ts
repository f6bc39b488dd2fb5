// The one way from a secret to a verdict: each use counts where its facts were found, and only a good one ends what it replaces.
import t from 'tap'
import type { Facts } from '../../src/policy/facts.ts'
import { createVerify } from '../../src/verify/verify.ts'

const known: Facts = {
  tokenId: 'tok_1',
  type: 'personal',
  subject: 'user_42',
  team: null,
  audience: [],
  scopes: ['posts:read'],
  ranges: [],
  createdAt: 0,
  expireAt: 1_000,
  endsAt: null,
  endsVersion: 3,
  state: 'active',
}
const question = { asker: { kind: 'holder' }, clientIp: null, requiredScopes: [], team: null } as const

function stage(slot: number, read: Facts | null) {
  const at = { now: 999 }
  const noted: unknown[] = []
  const firstUses: string[] = []
  const verify = createVerify({
    facts: {
      slotOf: () => slot,
      at: () => known,
      read: (secret) => (secret === 'none of ours' ? null : Promise.resolve(read)),
    },
    note: (verdict, asked, when, agent, slot) =>
      noted.push([verdict.active || verdict.code, asked, when, agent, slot]),
    noteFirstUse: ({ tokenId }) => firstUses.push(tokenId),
    now: () => at.now,
  })
  return { at, noted, firstUses, verify }
}

t.test('what memory has is judged at once, and counted there', async (t) => {
  const { verify, noted, firstUses } = stage(7, null)
  t.same(verify('one', question, 'curl/8'), { active: true, facts: known })
  t.same(noted, [[true, question, 999, 'curl/8', 7]])
  t.same(firstUses, ['tok_1'])
})

t.test('what was read is not counted in memory, where another may lie', async (t) => {
  const { verify, noted, firstUses } = stage(-1, known)
  t.same(await verify('one', question), { active: true, facts: known })
  t.same(noted, [[true, question, 999, undefined, -1]])
  t.same(firstUses, ['tok_1'])
})

t.test('a token that is refused ends nothing, and its refusal is noted', async (t) => {
  for (const slot of [7, -1]) {
    const { at, verify, noted, firstUses } = stage(slot, known)
    at.now = 1_000
    t.match(await verify('one', question), { active: false, code: 'expired' })
    t.match(noted, [['expired', question, 1_000, undefined, slot]])
    t.same(firstUses, [])
  }
})

t.test(
  'what is unknown is not found, is noted nowhere, and waits for nothing if it is none of ours',
  async (t) => {
    const { verify, noted } = stage(-1, null)
    t.match(verify('none of ours', question), { active: false, code: 'not_found', facts: null })
    t.match(await verify('one', question), { active: false, code: 'not_found', facts: null })
    t.same(noted, [])
  },
)
