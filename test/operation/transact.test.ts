// Transactions whose statements leave before the answer to the one before: in order, and all or nothing as ever.
import { sql } from 'kysely'
import t from 'tap'
import type { Trx } from '../../src/db/tables.ts'
import { transactOn } from '../../src/db/transact.ts'
import { createChange } from '../../src/verify/change.ts'
import { engines, freshStore } from '../helpers/latchkey.ts'
import { playedDatabase } from '../helpers/played-database.ts'

for (const engine of engines) {
  t.test(engine, async (t) => {
    const { db, changes, close } = await freshStore(t, engine, undefined)
    t.teardown(close)
    const transact = transactOn(changes)
    const insert = (trx: Trx, id: string) =>
      trx
        .insertInto('subject')
        .values({ id, disabled_at: null, scope_cap: null, created_at: new Date() })
        .execute()
    const there = async (...ids: string[]) => {
      const rows = await db.selectFrom('subject').select('id').where('id', 'in', ids).orderBy('id').execute()
      return rows.map(({ id }) => id)
    }
    const fails = (trx: Trx) => sql`select 1 / ${0}::int`.execute(trx)

    t.test(
      'statements are done in the order in which they are asked for, built or written out',
      async (t) => {
        const seen = await transact(async (trx) => {
          const count = () =>
            sql<{ n: number }>`select count(*)::int as n from subject where id like 'in order %'`
          const asked = [count().execute(trx), insert(trx, 'in order 1'), count().execute(trx)]
          const more = [insert(trx, 'in order 2'), count().execute(trx)]
          const answers = await Promise.all([...asked, ...more])
          return answers.flatMap((answer) => ('rows' in answer ? [(answer.rows[0] as { n: number }).n] : []))
        })
        t.same(seen, [0, 1, 2])
        t.same(await there('in order 1', 'in order 2'), ['in order 1', 'in order 2'])
      },
    )

    t.test('if one of several fails, none is kept, also of those that were asked for after it', async (t) => {
      const failed = transact((trx) => Promise.all([insert(trx, 'before'), fails(trx), insert(trx, 'after')]))
      await t.rejects(failed, { code: '22012' }, 'and it is the first failure that is told')
      t.same(await there('before', 'after'), [])
    })

    t.test('if the work fails, what it has asked for and not waited for is not kept', async (t) => {
      const failed = transact(async (trx) => {
        insert(trx, 'not waited for').catch(() => {})
        throw new Error('refused')
      })
      await t.rejects(failed, { message: 'refused' })
      t.same(await there('not waited for'), [])
    })

    t.test('if the last statement fails, nothing is committed', async (t) => {
      const failed = transact((trx) => insert(trx, 'without its last'), fails)
      await t.rejects(failed, { code: '22012' })
      t.same(await there('without its last'), [])
    })

    t.test('what is over takes no more statements, and the connection serves the next', async (t) => {
      let kept: Trx | undefined
      await transact(async (trx) => {
        kept = trx
      })
      await t.rejects(insert(kept!, 'too late'), { message: 'The transaction is over' })
      for (let i = 0; i < 4; i++) await transact((trx) => insert(trx, `next ${i}`))
      t.same(await there('too late', 'next 0', 'next 3'), ['next 0', 'next 3'])
    })
  })
}

t.test('what fails first is what is told, be it that the transaction cannot begin', async (t) => {
  const cases: [fails: string[], told: string][] = [
    [['begin'], 'begin'],
    [['begin', 'rollback'], 'begin'],
    [['select 1', 'rollback'], 'select 1'],
    [['begin', 'select 1', 'commit', 'rollback'], 'select 1'],
    [['commit', 'rollback'], 'commit'],
  ]
  for (const [fails, told] of cases) {
    const asked: string[] = []
    const db = playedDatabase(async ({ sql }) => {
      asked.push(sql)
      if (fails.includes(sql)) throw new Error(sql)
      return []
    })
    // Whatever else has failed is nobody's unhandled rejection: that would end the process, and this test.
    const failed = transactOn(db)((trx) => sql`select 1`.execute(trx))
    await t.rejects(failed, { message: told }, `${fails}`)
    t.equal(asked.at(-1), 'rollback')
  }
})

t.test(
  'a change is tried again when its announcement is refused, and not when it may have been committed',
  async (t) => {
    const { db, close } = await freshStore(t, 'postgres', undefined)
    t.teardown(close)
    const cases = [
      { how: 'refused', fail: (trx: Trx) => sql`select 1 / ${0}::int`.execute(trx), works: 2 },
      { how: 'lost', fail: () => Promise.reject(new Error('Connection terminated unexpectedly')), works: 1 },
    ]
    for (const { how, fail, works } of cases) {
      let worked = 0
      const change = createChange({
        db,
        forget: () => {},
        replicas: {
          admit: async () => {},
          announce: async (trx, _what, silent) => {
            if (!silent) await fail(trx)
            return 'silent'
          },
          withdraw: () => {},
          settled: async () => {},
        },
      })
      const changed = change(async (_trx, invalidate) => {
        worked += 1
        invalidate({ kind: 'scopes' })
      })
      if (how === 'refused') await changed
      else await t.rejects(changed, { message: 'Connection terminated unexpectedly' })
      t.equal(worked, works, how)
    }
  },
)
