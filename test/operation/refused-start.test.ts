// What an operator reads when Latchkey cannot have its database or its port: the setting, the reason, what to do; in one line.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { listening } from '../../src/listening.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { start } from '../../src/start.ts'
import { freshStore } from '../helpers/latchkey.ts'
import { freePort } from '../helpers/process.ts'
import { command, refusal } from '../helpers/shipped.ts'

const password = 'canary-Pw41'
const database = (authority: string) => ({
  DATABASE_URL: `postgres://u:${password}@${authority}/d`,
  LATCHKEY_SECRET: 'a secret of the tests',
})

/** Its port. */
async function served(t: Test, server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

/** Speaks the little of PostgreSQL's protocol that it takes to refuse everybody. */
function refusing(sqlState: string, message: string): Server {
  const fields = `SFATAL\0VFATAL\0C${sqlState}\0M${message}\0\0`
  const head = Buffer.from('E\0\0\0\0')
  head.writeInt32BE(4 + fields.length, 1)
  return createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(Buffer.concat([head, Buffer.from(fields)])))
  })
}

t.test('of a database that cannot be had, DATABASE_URL is named, and its password is not', async (t) => {
  const at = async (server: Server) => `127.0.0.1:${await served(t, server)}`
  const cases: [authority: string, told: RegExp][] = [
    ['127.0.0.1:1', /: connect ECONNREFUSED 127\.0\.0\.1:1\. Start PostgreSQL there, or correct the host/],
    ['no-such-host.invalid', /: getaddrinfo \w+ no-such-host\.invalid\. Correct the host, or/],
    [
      await at(refusing('28P01', 'password authentication failed for user "u"')),
      /: password authentication failed for user "u"\. Correct the user and the password /,
    ],
    [
      await at(refusing('3D000', 'database "d" does not exist')),
      /: database "d" does not exist\. Correct the name of the database, or create it\./,
    ],
    [
      await at(createServer((socket) => socket.destroy())),
      /: [^.]+\. Correct it, or see that PostgreSQL runs/,
    ],
  ]
  const tries = cases.map(async ([authority, told]) => {
    const [served, migrated] = await Promise.all([
      refusal(t, database(authority)),
      command(['migrate'], database(authority)),
    ])
    const line = served.split('It wrote:\n')[1]!
    t.match(line, /^Latchkey cannot start: DATABASE_URL cannot be connected to: [^\n]+\n$/)
    t.match(migrated, { code: 1, stdout: '', stderr: /^latchkey: DATABASE_URL cannot be connected to: / })
    for (const text of [line, migrated.stderr]) {
      t.match(text, told)
      t.notMatch(text, password)
    }
  })
  await Promise.all(tries)
})

t.test('of a port that cannot be had, its setting is named', async (t) => {
  const taken = String(await served(t, createServer()))
  const cases: [env: Record<string, string>, told: RegExp][] = [
    [
      { LATCHKEY_PORT: taken },
      /LATCHKEY_PORT cannot .* EADDRINUSE.*:\d+\. End .* or set LATCHKEY_PORT to another/,
    ],
    [
      { LATCHKEY_MANAGEMENT_PORT: taken },
      /LATCHKEY_MANAGEMENT_PORT cannot .* EADDRINUSE.*:\d+\. End .* or set LATCHKEY_MANAGEMENT_PORT to another/,
    ],
    [
      { LATCHKEY_HOST: '192.0.2.1', LATCHKEY_PORT: String(await freePort()) },
      /LATCHKEY_PORT cannot .* EADDRNOTAVAIL.*192\.0\.2\.1:\d+\. Set LATCHKEY_HOST to an address of this machine/,
    ],
    [{ LATCHKEY_HOST: '192.0.2.1' }, /EADDRNOTAVAIL.*\. Set LATCHKEY_HOST to an address/],
  ]
  for (const [env, told] of cases) {
    const settings = { LATCHKEY_PORT: '0', LATCHKEY_SECRET: 'a secret of the tests', ...env }
    const options = { logger: createLogger('silent'), store: await freshStore(t, 'pglite', undefined) }
    await t.rejects(start(readConfig(settings), options), { message: told })
  }
  // Which port that is, differs from system to system, and nobody is refused one when the tests run as root.
  const denied = Object.assign(new Error('listen EACCES: permission denied 0.0.0.0:80'), { code: 'EACCES' })
  await t.rejects(
    listening('LATCHKEY_PORT', () => Promise.reject(denied)),
    { message: /^LATCHKEY_PORT cannot .*0\.0\.0\.0:80\. Set LATCHKEY_PORT to a port from 1024 on/ },
  )
})
