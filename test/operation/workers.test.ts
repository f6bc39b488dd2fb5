// LATCHKEY_WORKERS: several replicas on one port, in one command. One that dies is started anew, however long that takes.
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { freePort, type LatchkeyProcess } from '../helpers/process.ts'
import { command, provisionAt, refusal, selfAt, started } from '../helpers/shipped.ts'

async function settings(t: Test) {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  return { DATABASE_URL: url, LATCHKEY_SECRET: 'the secret of the workers', LATCHKEY_WORKERS: '2' }
}

function childrenOf({ pid }: LatchkeyProcess): number[] {
  const parentOf = (one: string) => {
    try {
      return Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${one}/stat`, 'utf8'))?.[1])
    } catch {
      return 0
    }
  }
  return readdirSync('/proc')
    .filter((one) => /^\d+$/.test(one) && parentOf(one) === pid)
    .map(Number)
}

const count = (text: string, what: string) => text.split(what).length - 1

async function until(condition: () => boolean, what: () => string): Promise<void> {
  for (const deadline = performance.now() + 30_000; !condition(); await sleep(20))
    if (performance.now() > deadline) throw new Error(what())
}

t.test('workers', { skip: process.platform !== 'linux' && 'there is no /proc here' }, async (t) => {
  t.test('one that dies while the database is away is started again, and takes no other along', async (t) => {
    const env = await settings(t)
    const latchkey = await started(t, env)
    const listening = () => count(latchkey.output(), '"msg":"listening"')
    await until(() => listening() === 2, latchkey.output)
    const admin = (await command(['bootstrap'], env)).stdout.trim()
    const { token } = await provisionAt(latchkey, admin, 'through it all')

    const { pathname } = new URL(env.DATABASE_URL)
    const server = new URL(env.DATABASE_URL)
    server.pathname = '/postgres'
    const client = new pg.Client(server.href)
    await client.connect()
    t.teardown(() => client.end())
    const admitting = (yes: boolean) =>
      client.query(`alter database ${pathname.slice(1)} with allow_connections ${yes}`)
    await admitting(false)
    process.kill(childrenOf(latchkey)[0]!, 'SIGKILL')
    await until(() => count(latchkey.output(), '"msg":"a worker ended"') >= 2, latchkey.output)
    t.equal((await selfAt(latchkey, token)).status, 200, 'the other goes on')
    await admitting(true)
    await until(() => listening() === 3, latchkey.output)
    t.equal(childrenOf(latchkey).length, 2)
    t.equal(await latchkey.stop(), 0)
  })

  t.test('if one cannot start at all, the command ends with 1 and says so', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    t.teardown(() => taken.close())
    const { port } = taken.address() as AddressInfo
    const cases: [what: string, Record<string, string>][] = [
      ['the management port of one is taken', { LATCHKEY_MANAGEMENT_PORT: String(port - 1) }],
      [
        'their common port is taken, and the management ports are not',
        { LATCHKEY_PORT: String(port), LATCHKEY_MANAGEMENT_PORT: String(await freePort()) },
      ],
    ]
    for (const [what, more] of cases) {
      const env = { ...(await settings(t)), ...more }
      const latchkey = await started(t, env).catch((error: Error) => error.message)
      if (typeof latchkey !== 'string')
        await until(() => latchkey.output().includes('so all are stopped'), latchkey.output)
      // SIGCONT does nothing: it ends by itself.
      else t.match(latchkey, 'ended with 1', what)
      if (typeof latchkey !== 'string') t.equal(await latchkey.stop('SIGCONT'), 1, what)
      t.match(typeof latchkey === 'string' ? latchkey : latchkey.output(), 'EADDRINUSE', what)
    }
  })

  // What a worker is told stands beside what the environment says of it.
  t.test('their ports may lie side by side, and all that concerns them may be set by files', async (t) => {
    const { LATCHKEY_WORKERS, ...env } = await settings(t)
    const folder = await mkdtemp(join(tmpdir(), 'lk-workers-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const file = async (name: string, content: number | string) => {
      await writeFile(join(folder, name), String(content))
      return { [name]: join(folder, name) }
    }
    const first = await freePort()
    const latchkey = await started(t, {
      ...env,
      LATCHKEY_WORKER: 'canary-81',
      ...(await file('LATCHKEY_WORKERS_FILE', LATCHKEY_WORKERS)),
      ...(await file('LATCHKEY_MANAGEMENT_PORT_FILE', first)),
      LATCHKEY_PORT: '',
      ...(await file('LATCHKEY_PORT_FILE', first + 2)),
    })
    await until(() => count(latchkey.output(), '"msg":"listening"') === 2, latchkey.output)
    for (const port of [first, first + 1, first + 2])
      t.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 200)
    t.equal(await latchkey.stop(), 0)
    t.equal(count(latchkey.output(), 'LATCHKEY_WORKER is no setting'), 1, 'what is mistyped is told once')
    t.notMatch(latchkey.output(), 'canary-81')
  })

  t.test('a database that cannot be reached is told at once', async (t) => {
    const env = { ...(await settings(t)), DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' }
    t.match(await refusal(t, env), /ended with 1\.[\s\S]*ECONNREFUSED/)
  })
})
