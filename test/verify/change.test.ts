// Whatever becomes of a change, what it may have made untrue is forgotten; it is acknowledged when no replica can answer by it, and
// tried again only when it was surely not made. How replicas agree on that is in replicas.test.ts.
import type { CompiledQuery } from 'kysely'
import pg from 'pg'
import t from 'tap'
import type { Invalidation } from '../../src/db/change.ts'
import { Problem } from '../../src/http/problem.ts'
import { createChange } from '../../src/verify/change.ts'
import { FormerServer } from '../../src/verify/replicas.ts'
import { playedDatabase } from '../helpers/played-database.ts'
import { turn } from '../helpers/time.ts'

const token = { kind: 'token', id: 'tok_1' } as const satisfies Invalidation
const refusal = (code: string) => Object.assign(new pg.DatabaseError('no', 2, 'error'), { code })

/** @param fails at which statement of which try, with what */
function stage(fails: (what: string, tries: number) => Error | null = () => null) {
  /** What happens, in order. */
  const log: string[] = []
  let tries = 0
  let settle = () => {}
  const happens = (what: string) => {
    log.push(what)
    const error = fails(what, tries)
    if (error) throw error
  }
  const answer = async ({ sql }: CompiledQuery) => {
    if (sql === 'begin') tries += 1
    happens(sql)
    return []
  }
  const change = createChange({
    db: playedDatabase(answer),
    forget: (what) => log.push(`forget ${what.map(({ kind }) => kind)}`),
    replicas: {
      admit: async () => happens('admit'),
      announce: async (_trx, what, silent) => {
        happens(silent ? 'count' : 'announce')
        return silent ? 'silent' : { id: `${tries}: ${what.length}` }
      },
      withdraw: (announced) => log.push(`withdraw ${announced === 'silent' ? announced : announced.id}`),
      settled: () => {
        log.push('settle')
        return new Promise<void>((resolve) => {
          settle = resolve
        })
      },
    },
  })
  const revoke = (acknowledge?: 'committed') =>
    change(async (_trx, invalidate) => {
      invalidate(token)
      happens('work')
      return 'done'
    }, acknowledge)
  return { change, revoke, log, settle: () => settle() }
}

t.test(
  'a change is announced with its commit, forgotten, and acknowledged when all have forgotten',
  async (t) => {
    const { revoke, log, settle } = stage()
    let acknowledged = false
    const revoked = revoke().then((value) => {
      acknowledged = true
      return value
    })
    await turn()
    await turn()
    t.same(log, ['begin', 'admit', 'work', 'announce', 'commit', 'forget token', 'settle'])
    t.notOk(acknowledged)
    settle()
    t.equal(await revoked, 'done')
  },
)

t.test('who does not want to wait is told when it is committed', async (t) => {
  const { revoke, log } = stage()
  t.equal(await revoke('committed'), 'done')
  t.equal(log.at(-1), 'settle')
})

t.test('a change that makes nothing untrue is announced to nobody and waits for nobody', async (t) => {
  const { change, log } = stage()
  t.equal(await change(async () => 'added'), 'added')
  t.same(log, ['begin', 'admit', 'commit', 'forget '])
})

t.test('that something is not there is said when the removal that took it is over everywhere', async (t) => {
  const gone = new Problem('not-found', 'There is no such credential.')
  const { revoke, log, settle } = stage((what, tries) => (what === 'work' && tries === 1 ? gone : null))
  const removed = revoke()
  let said = false
  removed.catch(() => {
    said = true
  })
  await turn()
  await turn()
  t.same(log.slice(log.indexOf('forget token') + 1), [
    'begin',
    'admit',
    'announce',
    'commit',
    'forget catalog',
    'settle',
  ])
  t.notOk(said)
  settle()
  await t.rejects(removed, gone)

  const impatient = stage((what) => (what === 'work' ? gone : null))
  await t.rejects(impatient.revoke('committed'), gone)
  t.notOk(
    impatient.log.includes('announce'),
    'who does not wait for the removal does not wait for this either',
  )
  const lost = stage((what, tries) =>
    what === 'work' && tries === 1 ? gone : what === 'commit' ? refusal('57P01') : null,
  )
  await t.rejects(lost.revoke(), { code: '57P01' }, 'unknown, as long as the others may not have heard')
})

t.test(
  'a change of which it is not known whether it was made is forgotten, and not made twice',
  async (t) => {
    const lost = Object.assign(new Error('Connection terminated'), { code: 'ECONNRESET' })
    for (const at of ['commit', 'announce', 'work']) {
      const { revoke, log } = stage((what) => (what === at ? lost : null))
      await t.rejects(revoke(), lost)
      t.equal(log.filter((what) => what === 'work').length, 1, at)
      t.equal(log.at(-1), 'forget token', at)
      t.equal(log.includes('withdraw 1: 1'), at === 'commit', 'nobody waits for its announcement any more')
    }
  },
)

t.test('a change that was surely not made is tried again, four times in all', async (t) => {
  for (const code of ['40001', '40P01', '0A000']) {
    const { revoke, log } = stage((what) => (what === 'commit' ? refusal(code) : null))
    await t.rejects(revoke(), { code })
    t.equal(log.filter((what) => what === 'work').length, 4, code)
  }
  const once = stage((what, tries) => (what === 'work' && tries === 1 ? refusal('40001') : null))
  t.equal(await once.revoke('committed'), 'done')
  const other = stage((what) => (what === 'work' ? refusal('23505') : null))
  await t.rejects(other.revoke(), { code: '23505' })
  t.equal(other.log.filter((what) => what === 'work').length, 1)
})

t.test('a change on a former primary is made on another connection', async (t) => {
  const { revoke, log } = stage((what, tries) => (what === 'admit' && tries < 3 ? new FormerServer() : null))
  t.equal(await revoke('committed'), 'done')
  t.equal(log.filter((what) => what === 'work').length, 1, 'nothing is done there')
})

t.test('a change that cannot be announced is counted instead, and that only once', async (t) => {
  for (const [at, code] of [
    ['announce', 'P0001'],
    ['commit', '54000'],
  ] as const) {
    const { revoke, log } = stage((what, tries) => (what === at && tries === 1 ? refusal(code) : null))
    t.equal(await revoke('committed'), 'done')
    t.equal(log.filter((what) => what === 'count').length, 1, at)
  }
  const { revoke, log } = stage((what) => (/announce|count/.test(what) ? refusal('P0001') : null))
  await t.rejects(revoke(), { code: 'P0001' })
  t.equal(log.filter((what) => what === 'work').length, 2)
})
