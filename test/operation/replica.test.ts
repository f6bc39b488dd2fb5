// One replica whose listening session a test has in its hand: it does not start without a heartbeat, says that it is not ready when
// they stay away, and believes of services' credentials only what is known since it listens, from the server that counts.
import { sql } from 'kysely'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import type { ListenerEvents } from '../../src/db/listen.ts'
import type { Store } from '../../src/db/open.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import { serverIdentity } from '../../src/db/preparing-client.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { start } from '../../src/start.ts'
import { leaseMs } from '../../src/verify/lease.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { basic } from '../helpers/latchkey.ts'
import { freshPglite } from '../helpers/pglite-image.ts'
import { takeTime, turn } from '../helpers/time.ts'

const config = readConfig({
  LATCHKEY_PORT: '0',
  LATCHKEY_SECRET: 'a secret of the tests',
  LATCHKEY_DRAIN_SECONDS: '0',
})
const logger = createLogger('silent')

/** Heartbeats come round on it as long as it `echoes`, and say that they come from `server`. */
function sessionOn(store: Store, server: string) {
  const session = { server, echoes: true, events: null as ListenerEvents | null }
  const listen = (events: ListenerEvents) => {
    session.events = events
    // As of a session that needs a moment to be there.
    setImmediate(events.onUp)
    return {
      async query(_text: string, [, message]: unknown[]) {
        if (session.echoes) setImmediate(events.onMessage, String(message))
        return [{ silent: 0, now: Date.now(), server: session.server }] as never
      },
      restart() {},
      async stop() {},
    }
  }
  return { session, store: { ...store, engine: 'postgres' as const, listen } }
}

t.test('a replica on whose session no heartbeat comes round does not start', async (t) => {
  const pglite = await freshPglite()
  const { session, store } = sessionOn(pglite, 'one')
  session.echoes = false
  const { pass } = takeTime(t)
  let isOver = false
  const starting = t.rejects(start(config, { logger, store }), { message: /No heartbeat came back/ })
  void starting.finally(() => {
    isOver = true
  })
  while (!isOver) {
    await turn()
    if (session.events) pass(100)
  }
  await starting
})

t.test('a replica', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const postgres = await openPostgres(url)
  const { rows } = await sql<{ one: string }>`select ${sql.raw(serverIdentity)} as one`.execute(postgres.db)
  const { session, store } = sessionOn(postgres, rows[0]!.one)
  const latchkey = await start(config, { logger, store })
  t.teardown(latchkey.stop)
  const headers = {
    authorization: `Bearer ${await latchkey.makeAdminToken()}`,
    'content-type': 'application/json',
  }
  const registered = await fetch(`${latchkey.url}/api/v1/services`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ id: 'posts', name: 'Posts' }),
  })
  const { clientSecret } = (await registered.json()) as { clientSecret: string }
  const introspect = async () => {
    const body = new URLSearchParams({ token: 'none' })
    const answer = await fetch(`${latchkey.url}/oauth2/introspect`, {
      method: 'POST',
      headers: basic('posts', clientSecret),
      body,
    })
    return answer.status
  }

  t.test('reads credentials from the server that counts, or not at all', async (t) => {
    const { server } = session
    session.server = 'another'
    session.events!.onDown(null)
    session.events!.onUp()
    await turn()
    t.equal(await introspect(), 503)
    session.server = server
    session.events!.onDown(null)
    session.events!.onUp()
    await turn()
    t.equal(await introspect(), 200)
  })

  t.test('is not ready without a lease, and is again with the next heartbeat', async (t) => {
    const readiness = async () => {
      const answer = await fetch(`${latchkey.url}/readyz`)
      return [answer.status, ((await answer.json()) as { status: string }).status]
    }
    t.same(await readiness(), [200, 'ok'])
    session.echoes = false
    session.events!.onDown(null)
    const { now } = performance
    performance.now = () => now.call(performance) + leaseMs
    t.teardown(() => {
      performance.now = now
    })
    t.match(await readiness(), [503, /^no lease/])
    session.echoes = true
    session.events!.onUp()
    await turn()
    t.same(await readiness(), [200, 'ok'])
  })

  t.test('refuses credentials that were removed while nobody listened', async (t) => {
    t.equal(await introspect(), 200)
    session.events!.onDown(null)
    await store.db.deleteFrom('service_secret').execute()
    t.equal(await introspect(), 200, 'nobody has told, and the lease is not over')
    session.events!.onUp()
    t.equal(await introspect(), 401)
  })
})
