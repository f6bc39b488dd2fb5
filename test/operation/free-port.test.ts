// A port that Latchkey chooses itself is its own from then on: it takes a second to come up, and others choose as well.
import { once } from 'node:events'
import { createServer } from 'node:net'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { holdPort } from '../../src/free-port.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { start } from '../../src/start.ts'
import { freshStore } from '../helpers/latchkey.ts'

const host = '127.0.0.1'

t.test('a port that is held is nobody else’s, and is free when it is released, once or twice', async (t) => {
  const { port, release } = await holdPort(host)
  const listen = async () => {
    const server = createServer().listen(port, host)
    await once(server, 'listening')
    await once(server.close(), 'close')
  }
  await t.rejects(listen(), { code: 'EADDRINUSE' })
  await release()
  await release()
  await t.resolves(listen())
})

t.test('a port that is chosen is none of those that are reserved', async (t) => {
  const isFree = (port: number) => port % 20 === 0
  const reserved = Array.from({ length: 32_768 - 25_000 }, (_, index) => 25_000 + index)
  const { port, release } = await holdPort(
    host,
    reserved.filter((one) => !isFree(one)),
  )
  await release()
  t.ok(isFree(port))
})

/** What Node says officially has servers in it that were closed before. */
const handles = process as unknown as { _getActiveHandles(): { listening?: boolean }[] }

t.test('the port that Latchkey chooses is held while it comes up, and listened on then', async (t) => {
  const servers = () => handles._getActiveHandles().filter((handle) => handle.listening).length
  const before = servers()
  const during: number[] = []
  const store = await freshStore(t, 'pglite', undefined)
  const watched = Object.defineProperty({ ...store }, 'engine', {
    get() {
      during.push(servers() - before)
      return store.engine
    },
  })
  const settings = {
    LATCHKEY_PORT: '0',
    LATCHKEY_SECRET: 'a secret of the tests',
    LATCHKEY_DRAIN_SECONDS: '0',
  }
  const running = await start(readConfig(settings), { store: watched, logger: createLogger('silent') })
  t.equal(Math.max(...during), 1)
  t.equal((await fetch(`${running.url}/livez`)).status, 200)
  await running.stop()
})
