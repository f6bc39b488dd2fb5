// The session that listens is opened again whenever it ends, for ever and not in haste; what it tells is of that one session. How
// pauses grow on a real server is in connections.test.ts.
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { listen } from '../../src/db/listen.ts'
import { between, byMessage } from '../helpers/between.ts'
import { watchedDatabase } from '../helpers/sessions.ts'
import { takeTime, turn } from '../helpers/time.ts'

const options = { timeout: 20_000 }

/** A listener, what it has told, and waiting for more of it. */
function open(t: Test, url: string) {
  const told: string[] = []
  let more = () => {}
  const tell = (what: string) => {
    told.push(what)
    more()
  }
  const listener = listen(url, 'somebody', {
    onUp: () => tell('up'),
    onDown: () => tell('down'),
    onMessage: (payload) => tell(payload),
  })
  t.teardown(() => listener.stop())
  const until = async (count: number) => {
    while (told.length < count) await new Promise<void>((resolve) => (more = resolve))
    return told
  }
  return { ...listener, told, until }
}

async function database(t: Test) {
  const { url, client, sessions, end } = await watchedDatabase(t, 'latchkey listener')
  const notify = (payload: string) => client.query(`select pg_notify('somebody', '${payload}')`)
  return { url, sessions, end, notify }
}

t.test('a session that ends, or is given up, is told of and followed by another', options, async (t) => {
  const { url, sessions, end, notify } = await database(t)
  const listener = open(t, url)
  await listener.until(1)
  const first = await sessions()
  await notify('one')
  await listener.until(2)
  await end(first)
  await listener.until(4)
  await notify('two')
  await listener.until(5)
  listener.restart()
  await t.rejects(listener.query('select 1', []), { code: 'ECONNRESET' }, 'there is none')
  t.same(await listener.until(7), ['up', 'one', 'down', 'up', 'two', 'down', 'up'])
  t.same(await listener.query('select 1 as n', []), [{ n: 1 }])
  // The server may not have heard yet that the former is over.
  let now = await sessions()
  while (now.length > 1) now = await sessions()
  t.equal(now.length, 1)
  t.not(now[0], first[0])
})

t.test(
  'a listener that is stopped tells nothing more and has no session, nor gets one',
  options,
  async (t) => {
    const { url, sessions } = await database(t)
    const early = open(t, url)
    await early.stop()
    const between = open(t, url)
    await between.until(1)
    between.restart()
    await between.stop()
    const late = open(t, url)
    await late.until(1)
    await late.stop()
    const another = open(t, url)
    for (let count = 1; count < 6; count += 2) {
      await another.until(count)
      another.restart()
    }
    await another.until(7)
    while ((await sessions()).length > 1);
    t.same([early.told, between.told, late.told], [[], ['up', 'down'], ['up']])
  },
)

t.test('what comes before it listens is not told, as what came before that is lost', options, async (t) => {
  const { url, notify } = await database(t)
  const early = Buffer.from('A\0\0\0\x17\0\0\0\x01somebody\0early\0', 'latin1')
  const through = await between(t, url, (client, server) => {
    client.pipe(server)
    server.on(
      'data',
      byMessage((type, message) => {
        if (type === 'C' && message.includes('LISTEN')) client.write(early)
        client.write(message)
      }),
    )
  })
  const listener = open(t, through)
  await listener.until(1)
  await notify('in time')
  t.same(await listener.until(2), ['up', 'in time'])
})

/** A server that does nothing but take connections. */
async function nobody(t: Test, each: (socket: Socket) => void) {
  const sockets: Socket[] = []
  let more = () => {}
  const server = createServer((socket) => {
    socket.on('error', () => {})
    sockets.push(socket)
    each(socket)
    more()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as { port: number }
  const came = async (count: number) => {
    while (sockets.length < count) await new Promise<void>((resolve) => (more = resolve))
  }
  return { url: `postgres://nobody@127.0.0.1:${port}/nothing`, sockets, came }
}

t.test(
  'a server that hangs up is tried each second at least, and none is said to have been there',
  options,
  async (t) => {
    const { url, sockets, came } = await nobody(t, (socket) => socket.destroy())
    const { pass, longest } = takeTime(t)
    const listener = open(t, url)
    let most = 0
    for (let count = 1; count <= 15; count++) {
      await came(count)
      const before = sockets.length
      while (sockets.length === before) {
        await turn()
        most = Math.max(most, longest())
        pass(250)
      }
    }
    t.ok(most <= 1_000, `${most} ms`)
    t.same(listener.told, [])
  },
)

t.test('a server that does not answer is given up after half a second', options, async (t) => {
  const { url, sockets, came } = await nobody(t, () => {})
  const { pass } = takeTime(t)
  open(t, url)
  await came(1)
  pass(499)
  await turn()
  t.equal(sockets[0]!.closed, false)
  pass(1)
  await once(sockets[0]!.resume(), 'close')
  // It is tried again when its pause is over.
  for (let turns = 0; turns < 10_000 && sockets.length === 1; turns++) {
    await turn()
    pass(100)
  }
  t.ok(sockets.length > 1)
})

t.test('a statement that is not answered fails after 800 ms', options, async (t) => {
  const { url } = await database(t)
  let isMute = false
  const through = await between(t, url, (client, server) => {
    client.pipe(server)
    server.on('data', (bytes) => isMute || client.write(bytes))
  })
  const { pass } = takeTime(t)
  const listener = open(t, through)
  await listener.until(1)
  isMute = true
  const asked = t.rejects(listener.query('select 1', []), { message: /timeout/ })
  await turn()
  pass(800)
  await asked
})

t.test('a session that is never told that it listens is given up', options, async (t) => {
  const { url } = await database(t)
  let first: Socket | null = null
  let isMute = false
  const through = await between(t, url, (client, server) => {
    first ??= client
    client.pipe(server)
    server.on(
      'data',
      byMessage((type, message) => {
        if (client === first && type === 'C') isMute = true
        if (client !== first || !isMute) client.write(message)
      }),
    )
  })
  const { pass } = takeTime(t)
  const listener = open(t, through)
  while (!isMute) await turn()
  pass(800)
  await turn()
  pass(0)
  t.same(await listener.until(1), ['up'])
})

t.test('after a statement that worked, a session that ends is followed at once', options, async (t) => {
  const { url, sessions } = await database(t)
  const { pass, longest } = takeTime(t)
  const listener = open(t, url)
  for (let count = 1; count < 10; count += 2) {
    await listener.until(count)
    await listener.query('select 1', [])
    listener.restart()
    pass(0)
  }
  await listener.until(11)
  while ((await sessions()).length > 1);
  t.equal((await sessions()).length, 1)
  t.equal(longest(), 0, 'by one, and no other is on its way')

  listener.restart()
  await listener.stop()
  t.equal(longest(), 0, 'nor when it is stopped')
})
