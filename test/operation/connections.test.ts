// A revoke and a check find a connection when the server has none to give any more: theirs are open from the start, idle or
// not, and are opened again when they end.
import { sql } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { listen } from '../../src/db/listen.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { startPostgres } from '../helpers/postgres-server.ts'

/** Three for changes, two for checks. */
const reserved = 5

const options = { timeout: 20_000 }

t.test(
  'reserved connections are open before they are needed, and after they were lost',
  options,
  async (t) => {
    const { url, drop } = await freshPostgresUrl()
    t.teardown(drop)
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    t.teardown(() => client.end())
    const sessions = async () => {
      const { rows } = await client.query<{ pid: number }>(
        `select pid from pg_stat_activity where datname = current_database() and application_name = 'latchkey'`,
      )
      return rows.map(({ pid }) => pid)
    }

    const store = await openPostgres(url)
    t.teardown(store.close)
    const first = await sessions()
    t.ok(first.length >= reserved, 'nothing was asked of it yet')

    await client.query('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [first])
    let later: number[] = []
    while (later.length < reserved) later = (await sessions()).filter((pid) => !first.includes(pid))
    t.equal(later.length, reserved, 'nobody has asked for them meanwhile')
  },
)

t.test('changes find their connections at once when all were lost together', options, async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  const store = await openPostgres(url)
  t.teardown(store.close)
  const lose = () =>
    client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'latchkey'`,
    )
  const ask = () =>
    sql`select 1`.execute(store.changes).then(
      () => null,
      (error: Error) => error.message,
    )
  for (let round = 0; round < 10; round++) {
    for (let wave = 0; wave < 5; wave++) await lose()
    // One that is lost fails whoever uses it; nobody may wait in vain.
    const errors = await Promise.all([ask(), ask(), ask(), ask()])
    t.notOk(
      errors.find((message) => message?.includes('timeout')),
      'nobody waited in vain',
    )
  }
})

t.test('a server that takes sessions, and no statement, is tried again with growing pauses', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const ups: number[] = []
  await new Promise<void>((resolve) => {
    const listener = listen(url, 'somebody', {
      onUp() {
        ups.push(performance.now())
        if (ups.length < 6) listener.restart()
        else resolve(listener.stop())
      },
      onDown() {},
      onMessage() {},
    })
  })
  // 50, 100, 200 and 400 ms at the least; timers may be a little early.
  t.ok(ups.at(-1)! - ups[0]! > 740, `${Math.round(ups.at(-1)! - ups[0]!)} ms`)
})

t.test('failover is safe only where commits wait for a standby', async (t) => {
  const settings = { synchronous_standby_names: 'nobody', synchronous_commit: 'local' }
  const server = await startPostgres({ settings })
  t.teardown(server.remove)
  for (const [commits, failover] of [
    ['local', 'best effort'],
    ['on', 'safe'],
  ] as const) {
    const store = await openPostgres(`${server.url}?options=-c%20synchronous_commit%3D${commits}`)
    t.equal(store.failover, failover, commits)
    await store.close()
  }
})
