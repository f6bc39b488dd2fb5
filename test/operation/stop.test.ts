// How a Latchkey goes down when something fails on the way: the rest is still done, and what failed first is told. How a
// process that is sent a signal ends is in process.test.ts.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { sql } from 'kysely'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { start } from '../../src/start.ts'
import { freshPglite } from '../helpers/pglite-image.ts'

const settings = {
  LATCHKEY_PORT: '0',
  LATCHKEY_SECRET: 'a secret of the tests',
  LATCHKEY_DRAIN_SECONDS: '0',
}
const logger = createLogger('silent')

t.test('a step of the stop that fails spares none after it', async (t) => {
  const pglite = await freshPglite()
  const closed: { uses: number }[] = []
  const store = {
    ...pglite,
    engine: 'postgres' as const,
    async close() {
      const { rows } = await sql<{ uses: number }>`
        select coalesce(sum(use_count), 0)::int as uses from token_usage`.execute(pglite.db)
      closed.push(rows[0]!)
      await pglite.close()
      throw new Error('the store')
    },
  }
  const running = await start(readConfig(settings), { logger, store })
  const token = await running.makeAdminToken()
  const self = `${running.url}/api/v1/tokens/self`
  t.equal((await fetch(self, { headers: { authorization: `Bearer ${token}` } })).status, 200)

  const close = running.app.close.bind(running.app) as () => Promise<void>
  Object.assign(running.app, {
    async close() {
      await close()
      throw new Error('the server')
    },
  })
  await t.rejects(running.stop(), { message: 'the server' }, 'the first failure is told')
  t.same(closed, [{ uses: 1 }], 'last use was written, and then the store closed, once')
  await running.stop()
  t.equal(closed.length, 1, 'nothing is done twice')
})

t.test('a start that fails undoes what was done, and says why, whatever else fails by that', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const pglite = await freshPglite()
  let closed = 0
  const store = {
    ...pglite,
    engine: 'postgres' as const,
    async close() {
      closed += 1
      await pglite.close()
      throw new Error('the store')
    },
  }
  const config = readConfig({
    ...settings,
    LATCHKEY_HOST: '127.0.0.1',
    LATCHKEY_PORT: String((taken.address() as AddressInfo).port),
  })
  await t.rejects(start(config, { logger, store }), { message: /^LATCHKEY_PORT cannot be listened on/ })
  t.equal(closed, 1)
})
