// A commit that is relied upon waits for the synchronous standby, whatever an operator does meanwhile.
import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { type Listener, listen } from '../../src/db/listen.ts'
import { migrate } from '../../src/db/migrate.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import type { Trx } from '../../src/db/tables.ts'
import { transactOn } from '../../src/db/transact.ts'
import { isOutOfReach } from '../../src/http/server.ts'
import { createChange } from '../../src/verify/change.ts'
import { createLease } from '../../src/verify/lease.ts'
import { watchLease } from '../../src/verify/lease-watch.ts'
import { createReplicas } from '../../src/verify/replicas.ts'
import { startPostgres } from '../helpers/postgres-server.ts'

const options = { timeout: 30_000 }
const unknown = { code: '08007' }

t.test('with a standby that does not answer', options, async (t) => {
  // Which would hide the server's only word about a wait that is cancelled.
  const { url, store, set, operator } = await served(t, 'alter role postgres set client_min_messages = error')
  const monotonic = () => performance.now()
  const replicas = createReplicas({
    listen: store.listen!,
    self: 'rep_1',
    keyId: 'key_1',
    lease: watchLease(createLease(monotonic), monotonic, { lost() {}, back() {} }),
    monotonic,
    onForget: () => {},
    onForgetAll: () => {},
    onTrouble: () => {},
    sabotage: new Set(),
  })
  await replicas.ready()
  // A heartbeat that waits for the standby would keep the commits of all others waiting that notify, for itself.
  await replicas.stop()
  const change = createChange({ db: store.changes, replicas, forget: () => {} })
  const listener = await listening(t, url)
  await set('synchronous_standby_names', 'nobody')
  /** How the work ends when an operator has its statement wait for the standby no longer. */
  async function cancelled(statement: string, work: Promise<unknown>): Promise<unknown> {
    let isOver = false
    const outcome = work.then(
      () => 'acknowledged',
      (error) => error,
    )
    outcome.finally(() => {
      isOver = true
    })
    const cancel = `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and query = $1`
    while (!isOver && (await operator.query(cancel, [statement])).rowCount === 0);
    return outcome
  }

  // Commits wait once the checkpointer has read the settings, too.
  const commit = `select pg_logical_emit_message(true, 'probe', '')`
  const probe = new pg.Client({ connectionString: url })
  await probe.connect()
  t.teardown(() => probe.end())
  let hasWaited = false
  probe.on('notice', () => {
    hasWaited = true
  })
  const probing = async () => {
    await probe.query('set client_min_messages = warning')
    while (!hasWaited) await probe.query(commit)
  }
  t.equal(await cancelled(commit, probing()), 'acknowledged', 'and a warning, is what the server says')

  await t.test('a commit whose wait is cancelled is not acknowledged: its outcome is unknown', async (t) => {
    const insert = (trx: Trx) =>
      trx
        .insertInto('subject')
        .values({ id: 's', disabled_at: null, scope_cap: null, created_at: new Date() })
        .execute()
    const error = await cancelled('commit', transactOn(store.changes)(insert))
    t.match(error, unknown)
    t.ok(isOutOfReach(error as Error), 'so the answer is 503')
    // The warning may come before what it is about can be seen.
    const stored = async () => (await store.db.selectFrom('subject').selectAll().execute()).length
    while ((await stored()) === 0);
    t.equal(await stored(), 1, 'though it is done')
  })

  await t.test('a change that finds its work done already waits none the less', async (t) => {
    const again = change(async (_trx, invalidate) => invalidate({ kind: 'subject', id: 's' }))
    t.match(await cancelled('commit', again), unknown)
  })

  await t.test('a heartbeat whose wait is cancelled has not come back', async (t) => {
    const heartbeat = `select pg_logical_emit_message(true, 'latchkey', $1)`
    t.match(await cancelled(heartbeat, listener.query(heartbeat, ['a heartbeat'])), unknown)
  })
})

t.test('commits wait, whatever turns synchronous_commit off after the start', options, async (t) => {
  const { url, store, set, operator } = await served(t)
  for (const [name, db] of [
    ['changes', store.changes],
    ['new tokens', store.db],
  ] as const) {
    const asked = () =>
      transactOn(db)(async (trx) => {
        const { rows } = await sql<Setting>`select pg_backend_pid() as pid, ${setting} as commits`.execute(
          trx,
        )
        return rows[0]!
      })
    let before: Setting | null = null
    // One that was told to end may be lent for a moment still.
    while (before === null) before = await asked().catch(() => null)
    t.equal(before.commits, 'on')

    await set('synchronous_commit', 'off')
    t.same(await asked(), before, `${name}: the session of before`)

    await operator.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey'`,
    )
    let later: Setting | null = null
    while (later === null || later.pid === before.pid) later = await asked().catch(() => null)
    t.equal(later.commits, 'on', `${name}: a session opened since`)
    await set('synchronous_commit', 'on')
  }
  await set('synchronous_commit', 'off')

  const listener = await listening(t, url)
  const [row] = await listener.query(`select current_setting('synchronous_commit') as commits where $1`, [
    true,
  ])
  t.match(row, { commits: 'on' }, 'the one that heartbeats are sent on')
})

type Setting = { pid: number; commits: string }
const setting = sql`current_setting('synchronous_commit')`

async function listening(t: Test, url: string): Promise<Listener> {
  let listener!: Listener
  await new Promise<void>((onUp) => {
    listener = listen(url, 'latchkey', { onUp, onDown: () => {}, onMessage: () => {} })
  })
  t.teardown(() => listener.stop())
  return listener
}

async function served(t: Test, before = 'select') {
  const server = await startPostgres()
  t.teardown(server.remove)
  const { url } = server
  const operator = new pg.Client({ connectionString: url })
  await operator.connect()
  t.teardown(() => operator.end())
  await operator.query(before)
  const store = await openPostgres(url)
  t.teardown(store.close)
  await migrate(store.db)
  const set = async (name: string, value: string) => {
    await operator.query(`alter system set ${name} = ${value}`)
    await operator.query('select pg_reload_conf()')
    // A session that is idle reads it before its next statement, once the server has told it to.
    const show = async () => (await operator.query(`show ${name}`)).rows[0][name]
    while ((await show()) !== value);
  }
  return { url, store, set, operator }
}
