// A revoke and a check find a connection when the server has none to give any more: theirs are open from the start, idle or
// not, and are opened again when they end. A server on which a change could be lost or a revoke missed is refused.
import type { Socket } from 'node:net'
import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { listen } from '../../src/db/listen.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import { between, byMessage } from '../helpers/between.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { startPostgres } from '../helpers/postgres-server.ts'
import { watchedDatabase } from '../helpers/sessions.ts'
import { takeTime, turn } from '../helpers/time.ts'

/** Three for changes, two for checks. */
const reserved = 5

const options = { timeout: 20_000 }

t.test(
  'reserved connections are open before they are needed, and after they were lost',
  options,
  async (t) => {
    const { url, client, sessions, end } = await watchedDatabase(t, 'latchkey')

    const store = await openPostgres(url)
    t.teardown(store.close)
    const first = await sessions()
    t.ok(first.length >= reserved, 'nothing was asked of it yet')
    const { rows: within } = await client.query(
      `select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`,
    )
    t.equal(within.length, 0, 'and none is left in a transaction')

    await end(first)
    let later: number[] = []
    while (later.length < reserved) later = (await sessions()).filter((pid) => !first.includes(pid))
    t.equal(later.length, reserved, 'nobody has asked for them meanwhile')

    for (const lost of later) {
      await end([lost])
      let now: number[] = []
      while (now.length < reserved) now = (await sessions()).filter((pid) => pid !== lost)
      t.equal(now.length, reserved, 'one by one')
    }
  },
)

t.test(
  'reserved connections that cannot be opened are tried again, until the store is closed',
  options,
  async (t) => {
    const { url, drop } = await freshPostgresUrl()
    t.teardown(drop)
    let isAway = false
    const through = new Set<Socket>()
    let opened = 0
    const address = await between(t, url, (client, server) => {
      if (isAway) client.destroy()
      opened += 1
      through.add(client)
      client.pipe(server).pipe(client)
    })
    const store = await openPostgres(address)
    const { pass, longest } = takeTime(t)
    isAway = true
    for (const client of through) client.destroy()
    const before = opened
    while (opened < before + reserved) {
      await turn()
      pass(0)
    }
    isAway = false
    const failed = opened
    while (opened < failed + reserved) {
      await turn()
      pass(100)
    }
    t.ok(opened >= failed + reserved, 'nobody has asked for them meanwhile')

    await store.close()
    // What is left of connections that end goes with them, when the server says so; what is due once more finds the store closed.
    let turns = 0
    do {
      pass(100)
      await turn()
      turns += 1
    } while (turns < 10_000 && longest() > 0)
    t.equal(longest(), 0, 'then nothing is tried any more')
  },
)

t.test(
  'reserved connections are not given up for their age, and none is left unused for long',
  options,
  async (t) => {
    const { url, drop } = await freshPostgresUrl()
    t.teardown(drop)
    /** When each connection was last written to. */
    const used = new Map<Socket, number>()
    let opened = 0
    const { pass, now, timers } = takeTime(t)
    const address = await between(t, url, (client, server) => {
      opened += 1
      used.set(client, now())
      client.on('data', () => used.set(client, now()))
      client.on('close', () => used.delete(client))
      client.pipe(server).pipe(client)
    })
    const store = await openPostgres(address)
    while (used.size > reserved) await turn()
    // Whatever each was told at its beginning is over then.
    const each = [1, 2, 3].map(() => sql`select 1`.execute(store.changes))
    await Promise.all([...each, ...[1, 2].map(() => store.read('one', 'select 1', []))])
    const [before, idle] = [opened, timers()]
    for (let times = 0; times < 15; times++) {
      pass(20_000)
      // Each question has a timer of its own until it is answered.
      while (Math.min(...used.values()) < now() || timers() > idle) await turn()
    }
    t.equal(opened, before, 'a server that has none to give any more would not replace them')
    t.equal(used.size, reserved)
    await store.close()
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
  const none = await freshPostgresUrl()
  t.teardown(none.drop)
  const alone = await openPostgres(none.url)
  t.equal(alone.failover, 'best effort', 'there is no standby')
  await alone.close()
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

t.test('a server on which a change could be lost or a revoke missed is refused, and left', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  const { rows } = await client.query('show server_version_num')
  const version: string = rows[0].server_version_num
  // Its version, and then whether it is a standby, in the one row of the answer.
  const row = (version: string, standby: 't' | 'f') => `\0\0\0\x06${version}\0\0\0\x01${standby}`
  const saying = (answer: string) =>
    between(t, url, (client, server) => {
      client.pipe(server)
      server.on('data', (bytes) =>
        client.write(bytes.toString('latin1').replace(row(version, 'f'), answer), 'latin1'),
      )
    })

  await t.rejects(openPostgres(await saying(row('140021', 'f'))), {
    message: /is PostgreSQL 140021;.* 15 or newer/,
  })
  await t.rejects(openPostgres(await saying(row(version, 't'))), { message: /is a standby/ })
  await t.rejects(openPostgres(`${url}?options=-c%20synchronous_commit%3Doff`), {
    message: /synchronous_commit=off/,
  })
  const left = `select from pg_stat_activity where datname = current_database() and application_name = 'latchkey'`
  const refused = performance.now()
  while ((await client.query(left)).rowCount !== 0);
  t.ok(performance.now() - refused < 5_000, 'at once, not when the pool has had nothing to do for long')
  await (await openPostgres(await saying(row(version, 'f')))).close()
})

/**
 * A pooler in transaction mode: each statement, or transaction, goes to a session that is free.
 * @param take which of these @param most sessions that it keeps, however many clients sign on
 */
function pooler(t: Test, url: string, take: 'last' | 'first', most: number): Promise<string> {
  type Session = { readonly socket: Socket; hear: (type: string, message: Buffer) => void }
  const free: Session[] = []
  const waiting: (() => void)[] = []
  let kept = 0
  return between(t, url, (client, socket) => {
    const asked: Buffer[] = []
    let isSigningOn = true
    let session: Session | null = null
    const ask = () => {
      if (session?.hear === hear || asked.length === 0) return
      session ??= (take === 'last' ? free.pop() : free.shift()) ?? null
      if (session === null) return void waiting.push(ask)
      session.hear = hear
      session.socket.write(asked.shift()!)
    }
    const hear = (type: string, message: Buffer) => {
      client.write(message)
      if (type !== 'Z') return
      session!.hear = () => {}
      if (message.toString('latin1', 5) === 'I') {
        free.push(session!)
        session = null
        for (const again of waiting.splice(0)) again()
      }
      ask()
    }
    const own: Session = {
      socket,
      // Each signs on with the server for itself.
      hear(type, message) {
        client.write(message)
        if (type !== 'Z') return
        isSigningOn = false
        own.hear = () => {}
        kept += 1
        if (kept > most) socket.destroy()
        else free.push(own)
        ask()
      },
    }
    socket.on(
      'data',
      byMessage((type, message) => own.hear(type, message)),
    )
    client.once('data', (startup) => {
      socket.write(startup)
      client.on(
        'data',
        byMessage((type, message) => {
          if (isSigningOn) socket.write(message)
          // The session outlives whoever has borrowed it.
          else if (type === 'X') client.end()
          else asked.push(message)
          ask()
        }),
      )
    })
  })
}

t.test('a pooler that lends one session to many is refused, however it chooses', options, async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  for (const [take, most] of [
    ['last', 100],
    ['first', 100],
    ['first', 2],
    ['last', 1],
  ] as const)
    await t.rejects(
      openPostgres(await pooler(t, url, take, most)),
      { message: /a pooler that lends one session to many/ },
      `the ${take} of ${most}`,
    )
})

t.test('what is not sound is not returned, and its connection not used again', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const { read, close } = await openPostgres(url)
  t.teardown(close)
  const seen: number[] = []
  const pid = (isSound: boolean) =>
    read<{ pid: number }>('whose', 'select pg_backend_pid() as pid', [], ([row]) => {
      seen.push(row!.pid)
      return isSound
    })
  for (let n = 0; n < 4; n++) await t.rejects(pid(false), { code: 'ECONNRESET' })
  t.equal(new Set(seen).size, 4)
  const later = [await pid(true), await pid(true), await pid(true)].map(([row]) => row!.pid)
  t.notOk(later.some((one) => seen.slice(0, 4).includes(one)))
  await t.rejects(read('fails', 'select 1 / (random() * 0)', []), { code: '22012' })
  t.equal((await pid(true)).length, 1)
})
