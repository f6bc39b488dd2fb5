// The fault tests are only as good as their tools: that the proxy does to a connection what its modes say, and that the
// checker calls wrong what is wrong and nothing else. The service itself is not here. Nothing waits for time to pass;
// where a mode is about time, only its lower bound is asserted.
import { execFileSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import net from 'node:net'
import fc from 'fast-check'
import pg from 'pg'
import t, { type Test } from 'tap'
import { bound95, type CheckOptions, check, type FinalState, type FinalToken, report } from './checker.ts'
import { type Action, type Answer, createHistory, type Entry, type Invocation } from './history.ts'
import {
  blackhole,
  type Connection,
  cutAfter,
  delay,
  dropDown,
  dropUp,
  type ProxyOptions,
  pass,
  refuse,
  reset,
  spotListeners,
  startProxy,
  throttle,
} from './proxy.ts'

// --- The proxy ---

interface Peer {
  socket: net.Socket
  received: string
  ended: boolean
  closed: boolean
  error: string | undefined
  /** Resolves when the condition holds; looked at after each event. */
  until(condition: (peer: Peer) => boolean): Promise<void>
}

function watch(socket: net.Socket): Peer {
  const changes = new EventEmitter()
  const peer: Peer = {
    socket,
    received: '',
    ended: false,
    closed: false,
    error: undefined,
    async until(condition) {
      while (!condition(peer)) await once(changes, 'change')
    },
  }
  const on = (event: string, note: (value: never) => void) =>
    socket.on(event, (value: unknown) => {
      note(value as never)
      changes.emit('change')
    })
  on('data', (bytes: Buffer) => {
    peer.received += bytes.toString('latin1')
  })
  on('end', () => {
    peer.ended = true
  })
  on('error', (error: NodeJS.ErrnoException) => {
    peer.error = error.code
  })
  on('close', () => {
    peer.closed = true
  })
  return peer
}

/** An echo server behind a proxy; each client comes with the server's side of its connection. */
async function stage(t: Test, options: Partial<ProxyOptions> = {}) {
  const arrivals = new EventEmitter()
  const taps = new EventEmitter()
  const accepted: Peer[] = []
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    const peer = watch(socket)
    socket.on('data', (bytes) => socket.write(bytes))
    socket.on('end', () => socket.end())
    accepted.push(peer)
    arrivals.emit('peer')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  const proxy = await startProxy({
    host: '127.0.0.1',
    port,
    ...options,
    onClientData: (connection, bytes) => {
      options.onClientData?.(connection, bytes)
      taps.emit('up', connection)
    },
    onServerData: (connection) => taps.emit('down', connection),
  })
  const clients: Peer[] = []
  t.teardown(async () => {
    await proxy.stop()
    for (const { socket } of [...clients, ...accepted]) socket.destroy()
    server.close()
  })

  async function connect(): Promise<Peer> {
    const client = watch(
      net.connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true, noDelay: true }),
    )
    clients.push(client)
    await once(client.socket, 'connect')
    return client
  }
  async function pair(): Promise<{ client: Peer; far: Peer; is: (connection: Connection) => boolean }> {
    const before = accepted.length
    const client = await connect()
    while (accepted.length === before) await once(arrivals, 'peer')
    const id = Math.max(...proxy.connections().map((connection) => connection.id))
    return { client, far: accepted[before]!, is: (connection) => connection.id === id }
  }
  /** Once a byte went there and back elsewhere, a byte sent before it here would have arrived too. */
  async function fence(peer: Peer): Promise<void> {
    const wanted = peer.received.length + 1
    peer.socket.write('.')
    await peer.until(({ received }) => received.length >= wanted)
  }
  return { proxy, taps, accepted, connect, pair, fence, port }
}

t.test('pass: bytes and FINs go through, connections have ids of their own', async (t) => {
  const { proxy, pair } = await stage(t)
  const one = await pair()
  const two = await pair()
  one.client.socket.write('hello')
  await one.client.until(({ received }) => received === 'hello')
  t.equal(new Set(proxy.connections().map(({ id }) => id)).size, 2)
  t.same(proxy.connections().find(one.is)?.sentBytes, { up: 5, down: 5 })
  one.client.socket.end()
  await one.client.until(({ closed }) => closed)
  t.ok(one.far.ended)
  t.notOk(two.client.ended)
  t.equal(
    proxy.through('postgres://u:p@db.example:5432/app?x=1'),
    `postgres://u:p@127.0.0.1:${proxy.port}/app?x=1`,
  )
})

t.test(
  'blackhole: nothing passes either way, not even a FIN; healing delivers all of it, in order',
  async (t) => {
    const { proxy, taps, pair, fence } = await stage(t)
    const cut = await pair()
    const whole = await pair()
    await proxy.mode(blackhole, cut.is)
    const tapped = once(taps, 'up')
    cut.client.socket.write('from client ')
    await tapped
    const answered = once(taps, 'down')
    cut.far.socket.write('from server ')
    await answered
    cut.client.socket.end()
    await fence(whole.client)
    t.equal(cut.far.received, '')
    t.equal(cut.client.received, '')
    t.notOk(cut.far.ended)
    t.notOk(cut.client.ended || cut.client.closed)
    t.same(proxy.connections().find(cut.is)?.heldBytes, { up: 12, down: 12 })

    await proxy.mode(pass)
    await cut.client.until(({ closed }) => closed)
    t.equal(cut.far.received, 'from client ')
    t.equal(cut.client.received, 'from server from client ')
    t.ok(cut.far.ended && cut.client.ended)
    t.equal(cut.client.error, undefined)
  },
)

t.test('reset: a connection whose FIN is just on its way is closed, too', async (t) => {
  const { proxy, pair, fence } = await stage(t)
  const ending = await pair()
  const whole = await pair()
  await proxy.mode(blackhole, ending.is)
  ending.client.socket.end()
  await fence(whole.client)
  const passed = proxy.mode(pass)
  await Promise.all([passed, proxy.mode(reset)])
  await ending.far.until(({ ended, closed }) => ended || closed)
  await ending.client.until(({ closed }) => closed)
  t.same(proxy.connections(), [])
})

t.test('blackhole: a RST does not pass before the healing, then it does', async (t) => {
  const { proxy, pair, fence } = await stage(t)
  const cut = await pair()
  const whole = await pair()
  await proxy.mode(blackhole, cut.is)
  cut.client.socket.resetAndDestroy()
  await fence(whole.client)
  t.notOk(cut.far.closed)
  await proxy.mode(pass)
  await cut.far.until(({ closed }) => closed)
  t.equal(cut.far.error, 'ECONNRESET')
})

t.test(
  'blackhole: who connects now is accepted and hears nothing; the server sees them after healing',
  async (t) => {
    const { proxy, taps, accepted, connect, pair, fence } = await stage(t)
    const before = await pair()
    await proxy.mode(blackhole)
    await proxy.mode(pass, before.is)
    const tapped = once(taps, 'up')
    const client = await connect()
    client.socket.write('late')
    await tapped
    await fence(before.client)
    t.equal(accepted.length, 1)
    await proxy.mode(pass)
    await client.until(({ received }) => received === 'late')
  },
)

t.test('blackhole: what is held is bounded, the sender feels it, and nothing is lost', async (t) => {
  const limit = 64 * 1024
  const { proxy, taps, pair, fence } = await stage(t, { holdLimitBytes: limit })
  const cut = await pair()
  const whole = await pair()
  await proxy.mode(blackhole, cut.is)
  const tapped = once(taps, 'up')
  const big = Array.from({ length: 1_000_000 }, (_, n) => String(n).padStart(8, '0')).join('')
  cut.client.socket.write(big)
  await tapped
  for (let n = 0; n < 50; n++) await fence(whole.client)
  const held = proxy.connections().find(cut.is)?.heldBytes.up ?? 0
  t.ok(held >= limit && held <= 2 * limit, `${held} held`)
  t.ok(cut.client.socket.writableNeedDrain)
  await proxy.mode(pass)
  await cut.client.until(({ received }) => received.length === big.length)
  t.ok(cut.client.received === big)
})

t.test('pass: a reader who stops is felt by the writer, as without a proxy', async (t) => {
  const { proxy, taps, pair, fence } = await stage(t)
  const slow = await pair()
  const other = await pair()
  slow.client.socket.pause()
  const tapped = once(taps, 'down')
  const megabytes = 64
  for (let n = 0; n < megabytes; n++) slow.far.socket.write(Buffer.alloc(1024 * 1024, 'x'))
  await tapped
  for (let n = 0; n < 200; n++) await fence(other.client)
  const { sentBytes, heldBytes } = proxy.connections().find(slow.is)!
  t.ok(sentBytes.down + heldBytes.down < (megabytes / 2) * 1024 * 1024)
  t.ok(heldBytes.down >= 1024 * 1024 && heldBytes.down <= 2 * 1024 * 1024)
  slow.client.socket.destroy()
  await slow.far.until(({ closed }) => closed)
})

t.test('the latest choice wins, and a mode for all forgets every choice', async (t) => {
  const { proxy, pair } = await stage(t)
  const one = await pair()
  const modeNow = () => proxy.connections().find(one.is)?.mode
  const everyone = () => true
  await proxy.mode(blackhole, one.is)
  await proxy.mode(dropUp, everyone)
  t.equal(modeNow(), dropUp)
  await proxy.mode(dropDown, one.is)
  t.equal(modeNow(), dropDown)
  await proxy.mode(pass)
  t.equal(modeNow(), pass)
})

t.test('drop upstream only: the server is heard and does not hear', async (t) => {
  const { proxy, taps, pair } = await stage(t)
  const one = await pair()
  await proxy.mode(dropUp)
  const tapped = once(taps, 'up')
  one.client.socket.write('question')
  await tapped
  one.far.socket.write('news')
  await one.client.until(({ received }) => received === 'news')
  t.equal(one.far.received, '')
  await proxy.mode(pass)
  await one.client.until(({ received }) => received === 'newsquestion')
})

t.test('drop downstream only: the server hears and is not heard', async (t) => {
  const { proxy, taps, pair } = await stage(t)
  const one = await pair()
  await proxy.mode(dropDown)
  const answered = once(taps, 'down')
  one.client.socket.write('question')
  await answered
  t.equal(one.far.received, 'question')
  t.equal(one.client.received, '')
  await proxy.mode(pass)
  await one.client.until(({ received }) => received === 'question')
})

t.test('reset: RST to both ends, of the chosen connections only', async (t) => {
  const { proxy, pair, fence } = await stage(t)
  const gone = await pair()
  const spared = await pair()
  await proxy.mode(reset, gone.is)
  await gone.client.until(({ closed }) => closed)
  await gone.far.until(({ closed }) => closed)
  t.equal(gone.client.error, 'ECONNRESET')
  t.equal(gone.far.error, 'ECONNRESET')
  await fence(spared.client)
  t.equal(proxy.connections().length, 1)
})

t.test('reset: new connections too, until it passes again', async (t) => {
  const { proxy, pair, fence, accepted } = await stage(t)
  await proxy.mode(reset)
  const client = watch(net.connect(proxy.port, proxy.host))
  await client.until(({ closed }) => closed)
  t.equal(client.error, 'ECONNRESET')
  t.equal(accepted.length, 0)
  await proxy.mode(pass)
  await fence((await pair()).client)
})

t.test('refuse: nobody new gets in, who is in stays, and the port comes back the same', async (t) => {
  const { proxy, pair, fence } = await stage(t)
  const inside = await pair()
  const { port } = proxy
  await proxy.mode(refuse)
  const client = watch(net.connect(port, proxy.host))
  await client.until(({ closed }) => closed)
  t.equal(client.error, 'ECONNREFUSED')
  await fence(inside.client)
  await proxy.mode(pass)
  await fence((await pair()).client)
  t.equal(proxy.port, port)
  await Promise.all([proxy.mode(refuse), proxy.mode(pass)])
  await fence((await pair()).client)
  await t.rejects(proxy.mode(refuse, inside.is), TypeError)
})

t.test('delay: each way takes at least so long, jitter never reorders', async (t) => {
  const { proxy, pair } = await stage(t)
  const one = await pair()
  await proxy.mode(delay(15, 10))
  const startedAt = performance.now()
  const words = Array.from({ length: 40 }, (_, n) => `${n};`)
  for (const word of words) await new Promise((sent) => one.client.socket.write(word, sent))
  await one.client.until(({ received }) => received.length > 0)
  t.ok(performance.now() - startedAt >= 30)
  await one.client.until(({ received }) => received.length === words.join('').length)
  t.equal(one.client.received, words.join(''))
})

t.test('delay: what still waits is let go by the next mode', { timeout: 20_000 }, async (t) => {
  const { proxy, taps, pair } = await stage(t)
  const one = await pair()
  await proxy.mode(delay(3_600_000))
  const tapped = once(taps, 'up')
  one.client.socket.write('patience')
  await tapped
  await proxy.mode(pass)
  await one.client.until(({ received }) => received === 'patience')
})

t.test('throttle: so many bytes take at least so long', async (t) => {
  const { proxy, pair } = await stage(t)
  const one = await pair()
  await proxy.mode(throttle(20_000))
  const startedAt = performance.now()
  one.client.socket.write('x'.repeat(3_000))
  await one.client.until(({ received }) => received.length === 3_000)
  // The first slice, a twentieth of a second's worth, is free.
  t.ok(performance.now() - startedAt >= 95)
})

t.test('cut: so many bytes, then the end, in the middle of a message', async (t) => {
  const { proxy, pair } = await stage(t)
  const answer = await pair()
  await proxy.mode(cutAfter(4), answer.is)
  answer.client.socket.write('123456')
  await answer.client.until(({ ended }) => ended)
  t.equal(answer.client.received, '1234')
  t.equal(answer.far.received, '123456')

  const question = await pair()
  await proxy.mode(cutAfter(3, 'up'), question.is)
  question.client.socket.write('123456')
  await question.far.until(({ ended }) => ended)
  t.equal(question.far.received, '123')

  const nothing = await pair()
  await proxy.mode(cutAfter(0), nothing.is)
  nothing.client.socket.write('123456')
  await nothing.client.until(({ ended }) => ended)
  t.equal(nothing.client.received, '')
})

t.test('flapping loses nothing and keeps the order', async (t) => {
  const { proxy, taps, pair } = await stage(t)
  const one = await pair()
  const modes = [blackhole, pass, dropUp, delay(2, 2), dropDown, throttle(1e6)]
  let sent = ''
  for (let n = 0; n < 120; n++) {
    void proxy.mode(modes[n % modes.length]!)
    const tapped = once(taps, 'up')
    one.client.socket.write(`${n};`)
    sent += `${n};`
    await tapped
  }
  await proxy.mode(pass)
  await one.client.until(({ received }) => received.length === sent.length)
  t.equal(one.client.received, sent)
})

t.test('a server that is not there looks like one: the client is reset', async (t) => {
  const { proxy, pair, port } = await stage(t)
  await pair()
  const orphan = await startProxy({ host: '127.0.0.1', port: proxy.port })
  t.teardown(() => orphan.stop())
  await proxy.mode(refuse)
  const client = watch(net.connect(orphan.port, orphan.host))
  await client.until(({ closed }) => closed)
  t.equal(client.error, 'ECONNRESET')
  t.equal(orphan.connections().length, 0)
  t.not(port, orphan.port)
})

t.test('stop: the port closes and every connection ends', async (t) => {
  const { proxy, pair } = await stage(t)
  const one = await pair()
  await proxy.stop()
  await one.client.until(({ ended }) => ended)
  await one.far.until(({ ended }) => ended)
  t.same(proxy.connections(), [])
})

/** Enough of a PostgreSQL server for the real client to talk to: says yes to everything. */
async function startYesServer(t: Test): Promise<{ port: number; heard: string[] }> {
  const message = (type: string, body: string) => {
    const bytes = Buffer.from(`${type}\0\0\0\0${body}`, 'latin1')
    bytes.writeUInt32BE(bytes.length - 1, 1)
    return bytes
  }
  const ready = message('Z', 'I')
  const heard: string[] = []
  const server = net.createServer((socket) => {
    let started = false
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      const text = bytes.toString('latin1')
      if (!started) socket.write(Buffer.concat([message('R', '\0\0\0\0'), ready]))
      else if (text.startsWith('X')) socket.end()
      else {
        heard.push(text)
        const parsed = text.startsWith('P') ? [message('1', ''), message('2', ''), message('n', '')] : []
        socket.write(Buffer.concat([...parsed, message('C', 'YES\0'), ready]))
      }
      started = true
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { port: (server.address() as net.AddressInfo).port, heard }
}

t.test('only who listens is cut off; a successor too, before its LISTEN arrives', async (t) => {
  const { port, heard } = await startYesServer(t)
  const spotter = spotListeners()
  const taps = new EventEmitter()
  const proxy = await startProxy({
    host: '127.0.0.1',
    port,
    onClientData(connection, bytes) {
      spotter.onClientData(connection, bytes)
      taps.emit('up', bytes.toString('latin1'))
    },
  })
  t.teardown(() => proxy.stop())
  async function client() {
    const one = new pg.Client({ connectionString: proxy.through('postgres://u:p@127.0.0.1:1/db') })
    one.on('error', () => {})
    await one.connect()
    return one
  }
  const asker = await client()
  const listener = await client()
  const other = await client()
  await listener.query('listen inv')
  await asker.query('SELECT $1::text', ['listen carefully'])
  await asker.query('UNLISTEN *')
  await asker.query({ name: 'glisten', text: 'SELECT 1' })
  t.equal(proxy.connections().filter(spotter.isListener).length, 1)
  await other.query({ name: 'extended', text: 'LISTEN inv' })
  t.equal(proxy.connections().filter(spotter.isListener).length, 2)

  await proxy.mode(blackhole, spotter.isListener)
  const lost = listener.query('SELECT 2')
  await once(taps, 'up')
  await asker.query('SELECT 3')
  t.notOk(heard.some((text) => text.includes('SELECT 2')))
  const successor = await client()
  const late = successor.query('LISTEN inv')
  await once(taps, 'up')
  await asker.query('SELECT 4')
  t.equal(proxy.connections().filter(spotter.isListener).length, 3)
  t.equal(heard.filter((text) => /^Q.{4}listen inv/is.test(text)).length, 1)

  await proxy.mode(pass)
  await Promise.all([lost, late])
  t.equal(heard.filter((text) => /^Q.{4}listen inv/is.test(text)).length, 2)
  await Promise.all([asker, listener, other, successor].map((one) => one.end()))
})

t.test('LISTEN is spotted wherever TCP splits it, simple or extended, and after an SSLRequest', async (t) => {
  const int = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(value)
    return bytes
  }
  const typed = (type: string, body: string) =>
    Buffer.concat([Buffer.from(type), int(body.length + 4), Buffer.from(body)])
  const startup = Buffer.concat([int(8), int(80877103), int(8 + 7), int(3 << 16), Buffer.from('user\0x\0')])
  const says = (stream: Buffer, at: number): boolean => {
    const spotter = spotListeners()
    const connection = {} as Connection
    spotter.onClientData(connection, stream.subarray(0, at))
    spotter.onClientData(connection, stream.subarray(at))
    return spotter.isListener(connection)
  }
  const simple = Buffer.concat([startup, typed('Q', 'SET x = 1\0'), typed('Q', '/* why */ LiStEn inv\0')])
  const extended = Buffer.concat([startup, typed('P', 'stmt\0listen inv\0\0\0'), typed('S', '')])
  const bound = Buffer.concat([startup, typed('P', 'listen \0SELECT $1\0\0\0'), typed('B', '\0\0listen x\0')])
  for (let at = 0; at <= simple.length; at++) if (!says(simple, at)) t.fail(`simple, split at ${at}`)
  for (let at = 0; at <= extended.length; at++) if (!says(extended, at)) t.fail(`extended, split at ${at}`)
  for (let at = 0; at <= bound.length; at++) if (says(bound, at)) t.fail(`bound, split at ${at}`)
  t.notOk(says(Buffer.from('GET /listen HTTP/1.1\r\nlisten \r\n\r\n'), 5))
})

// --- The recorder ---

t.test('times of another process can be compared with ours', async (t) => {
  const before = process.hrtime.bigint()
  const there = BigInt(execFileSync(process.execPath, ['-p', 'String(process.hrtime.bigint())']).toString())
  t.ok(before < there && there < process.hrtime.bigint())
})

t.test('a history survives the trip through JSON lines, and half a line from a killed process', async (t) => {
  let lines = ''
  const there = createHistory({
    sink: (line) => {
      lines += line
    },
  })
  there.invoke({ proc: 'p', replica: 'a', f: 'provision', token: 'x', lifetimeMs: 5 }).ok()
  there.invoke({ proc: 'p', replica: 'a', f: 'revoke', token: 'x' }).unknown(new Error('timeout'))
  there.invoke({ proc: 'p', replica: 'b', f: 'introspect', token: 'x' }).fail('503')
  const last = there.invoke({ proc: 'p', replica: 'b', f: 'introspect', token: 'x' })
  const killedHere = lines
  last.ok({ active: true, scopes: ['a'] })

  const here = createHistory()
  t.equal(here.append(lines), 4)
  t.strictSame(here.entries(), there.entries())
  t.throws(() => here.append(lines), /appended before/)
  t.throws(() => last.unknown(), /already finished/)
  const replayed = createHistory()
  replayed.append(there.toJsonLines())
  t.strictSame(replayed.entries(), there.entries())

  const torn = createHistory()
  t.equal(torn.append(`${killedHere}{"id":"x","outc`), 4)
  t.equal(torn.entries()[3]?.outcome, 'unknown')
  t.equal(torn.entries()[3]?.returnedAt, null)
  t.throws(() => createHistory().append('{"id":"x","outcome":"ok","returnedAt":"1"}\n'), /never invoked/)
})

// --- The checker, on histories made by hand ---

type Made = [
  f: Action,
  token: string,
  from: number,
  to: number | null,
  answer?: Answer | 'fail',
  more?: Partial<Invocation>,
]

/** Times in milliseconds. */
function made(...operations: Made[]): Entry[] {
  return operations.map(([f, token, from, to, answer = {}, more = {}], n) => ({
    id: String(n),
    proc: 'p',
    replica: 'r',
    f,
    ...(token === '' ? {} : { token }),
    ...more,
    invokedAt: BigInt(from) * 1_000_000n,
    returnedAt: to === null ? null : BigInt(to) * 1_000_000n,
    outcome: to === null ? 'unknown' : answer === 'fail' ? 'fail' : 'ok',
    ...(answer === 'fail' || to === null ? {} : { result: answer }),
  }))
}

const yes = { active: true }
const no = { active: false }
const born: Made = ['provision', 'x', 1, 2]
const row = (token: string, more: Partial<FinalToken> = {}): FinalToken => ({
  token,
  revoked: false,
  ...more,
})

const found = (history: Entry[], options?: CheckOptions): string =>
  check(history, options)
    .violations.map(({ invariant, token }) => `${invariant} ${token}`)
    .join(', ')

const answersAt = (...history: Made[]) => ({
  yes: found(made(born, ...history, ['introspect', 'x', 100, 110, yes])),
  no: found(made(born, ...history, ['introspect', 'x', 100, 110, no])),
})
const mustBeNo = { yes: 'I1 x', no: '' }
const mustBeYes = { yes: '', no: 'I2 x' }
const either = { yes: '', no: '' }

t.test('what an answer may say, by what was done to the token', async (t) => {
  t.same(answersAt(), mustBeYes)
  t.same(answersAt(['revoke', 'x', 5, 99]), mustBeNo)
  t.same(answersAt(['revoke', 'x', 5, 100]), either, 'a revoke acknowledged in the same instant')
  t.same(answersAt(['revoke', 'x', 5, 105]), either, 'a revoke under way')
  t.same(answersAt(['revoke', 'x', 109, 120]), either)
  t.same(answersAt(['revoke', 'x', 111, 120]), mustBeYes, 'a revoke later')
  t.same(answersAt(['revoke', 'x', 5, null]), either, 'an indeterminate revoke')
  t.same(answersAt(['revoke', 'x', 111, null]), mustBeYes)
  t.same(answersAt(['revoke', 'x', 5, 6, 'fail']), mustBeYes, 'a refused revoke')
  t.same(answersAt(['rotate', 'x', 5, 6, { successor: 'y' }]), mustBeNo)
  t.same(answersAt(['rotate', 'x', 5, null]), either)
  t.same(answersAt(['disable', 'x', 5, 6]), mustBeNo)
  t.same(answersAt(['disable', 'x', 5, 6], ['enable', 'x', 7, 8]), mustBeYes)
  t.same(answersAt(['disable', 'x', 5, 6], ['enable', 'x', 7, null]), either, 'an indeterminate enable')
  t.same(answersAt(['disable', 'x', 5, 6], ['enable', 'x', 7, 105]), either)
  t.same(answersAt(['disable', 'x', 5, 6], ['enable', 'x', 6, 8]), either, 'both orders are possible')
  t.same(answersAt(['disable', 'x', 5, null], ['enable', 'x', 7, 8]), either, 'the disable may come late')
  t.same(answersAt(['enable', 'x', 5, 6], ['disable', 'x', 7, 8]), mustBeNo)
  t.same(answersAt(['enable', 'x', 5, 6], ['disable', 'x', 6, 8]), either)
  t.same(
    answersAt(['enable', 'x', 5, 90], ['enable', 'x', 10, 20], ['disable', 'x', 30, 40]),
    either,
    'the first enable may be the last to work',
  )
  t.same(answersAt(['provision', 'x', 50, 105]), mustBeYes, 'a retry of the provision takes nothing back')
  t.equal(found(made(['provision', 'x', 1, 7], ['introspect', 'x', 7, 8, no])), '', 'asked too early')
  t.equal(found(made(['provision', 'x', 1, 6], ['introspect', 'x', 7, 8, no])), 'I2 x')
  t.equal(found(made(['provision', 'x', 1, null], ['introspect', 'x', 7, 8, no])), '')
  t.same(answersAt(['disable', 'x', 5, 6], ['enable', 'x', 7, 8], ['disable', 'x', 9, 10]), mustBeNo)
  t.same(
    answersAt(['revoke', 'x', 5, 6], ['enable', 'x', 7, 8]),
    mustBeNo,
    'enabling does not raise the dead',
  )
})

t.test('expiry and grace leave room for what the clocks cannot say', async (t) => {
  const expiring = (lifetimeMs: number, answer: Answer) =>
    found(made(['provision', 'x', 1, 3, {}, { lifetimeMs }], ['introspect', 'x', 5000, 5010, answer]))
  t.equal(expiring(6000, no), 'I2 x')
  t.equal(expiring(5009, no), '')
  t.equal(expiring(5009, yes), '')
  t.equal(expiring(3998, yes), '', 'a second of tolerance')
  t.equal(expiring(3900, yes), 'I1 x')
  t.equal(
    found(
      made(
        ['provision', 'x', 1, 3, {}, { lifetimeMs: 3000 }],
        ['rotate', 'x', 5, 6, { successor: 'y' }],
        ['introspect', 'y', 5000, 5010, yes],
      ),
    ),
    'I1 y',
    'a successor does not live longer',
  )
  const grace = (graceMs: number, answer: Answer) =>
    found(
      made(
        born,
        ['rotate', 'x', 5, 7, { successor: 'y' }, { graceMs }],
        ['introspect', 'x', 5000, 5010, answer],
      ),
    )
  t.equal(grace(6000, no), 'I2 x')
  t.equal(grace(5000, no), '')
  t.equal(grace(3900, yes), 'I1 x')
})

t.test('subjects: disabled, enabled, and revoked with all that exists', async (t) => {
  const owned: Made = ['provision', 'x', 1, 2, {}, { subject: 's' }]
  const answers = (...history: Made[]) => ({
    yes: found(made(owned, ...history, ['introspect', 'x', 100, 110, yes])),
    no: found(made(owned, ...history, ['introspect', 'x', 100, 110, no])),
  })
  const all = (f: Action, from: number, to: number | null, subject = 's'): Made => [
    f,
    '',
    from,
    to,
    {},
    { subject },
  ]
  t.same(answers(all('disable', 5, 6)), mustBeNo)
  t.same(answers(all('disable', 5, 6, 'other')), mustBeYes)
  t.same(answers(all('disable', 5, 6), all('enable', 7, 8)), mustBeYes)
  t.same(answers(all('disable', 5, 6), ['disable', 'x', 6, 7], all('enable', 7, 8)), mustBeNo)
  t.same(answers(all('revoke', 5, 6)), mustBeNo)
  t.same(answers(all('revoke', 5, null)), either)
  t.same(answers(all('revoke', 1, 6)), either, 'the token came while it went on')
  t.same(answers(all('revoke', 0, 0)), mustBeYes, 'the token came later')
  t.same(
    found(
      made(owned, ['rotate', 'x', 3, 4, { successor: 'y' }], all('disable', 5, 6), [
        'introspect',
        'y',
        7,
        8,
        yes,
      ]),
    ),
    'I1 y',
    'a successor belongs to the same subject',
  )
})

t.test('narrowing: the scope must not come back, the token must stay', async (t) => {
  const narrowed: Made[] = [born, ['narrow', 'x', 5, 6, {}, { scopes: ['a'] }]]
  const wide = { active: true, scopes: ['a', 'b'] }
  const narrow = { active: true, scopes: ['b'] }
  t.equal(found(made(...narrowed, ['introspect', 'x', 7, 8, wide])), 'I1 x')
  t.equal(found(made(...narrowed, ['introspect', 'x', 6, 8, wide])), '')
  t.equal(found(made(...narrowed, ['introspect', 'x', 7, 8, narrow])), '')
  t.equal(found(made(...narrowed, ['introspect', 'x', 7, 8, no])), 'I2 x')
  t.equal(
    found(made(...narrowed, ['rotate', 'x', 7, 8, { successor: 'y' }], ['introspect', 'y', 9, 10, wide])),
    'I1 y',
  )
})

t.test('an error is no answer: counted, never a violation', async (t) => {
  const verdict = check(
    made(
      born,
      ['introspect', 'x', 5, 6, 'fail'],
      ['introspect', 'x', 7, null],
      ['introspect', 'x', 8, 9, yes],
    ),
  )
  t.match(verdict, { tried: 4, acknowledged: 2, failed: 1, indeterminate: 1, violations: [] })
  t.same(verdict.judged, { I1: 0, I2: 1, I3: 0, I4: 0 })
  t.equal(verdict.bound95, 1, 'no revoke was judged, so nothing is known')
  t.equal(bound95(300), 0.01)
  t.throws(() => check(made(born, ['introspect', 'x', 5, 6])), /neither active nor inactive/)
})

t.test('rotation: one successor, told and stored the same', async (t) => {
  const rotated: Made = ['rotate', 'x', 5, 6, { successor: 'y' }]
  const final = (...tokens: FinalToken[]): CheckOptions => ({ final: { tokens } })
  const heir = row('y', { predecessor: 'x' })
  t.equal(found(made(born, rotated)), '')
  t.equal(found(made(born, rotated, ['rotate', 'x', 7, 8, { successor: 'y' }])), '', 'a retry told again')
  t.equal(found(made(born, rotated, ['rotate', 'x', 5, 8, { successor: 'z' }])), 'I4 x')
  t.equal(found(made(born, rotated), final(row('x'), heir)), '')
  t.equal(found(made(born, rotated), final(row('x', { revoked: true }), heir)), '')
  t.equal(found(made(born, rotated), final(row('x'), heir, row('z', { predecessor: 'x' }))), 'I4 x')
  t.match(found(made(born, rotated), final(row('x'))), /I4 x/)
  t.equal(found(made(born, ['rotate', 'x', 5, null]), final(row('x'))), '')
  t.equal(found(made(born, ['rotate', 'x', 5, null]), final(row('x'), heir)), '')
  t.equal(
    found(made(born, ['rotate', 'x', 5, null]), final(row('x'), heir, row('z', { predecessor: 'x' }))),
    'I4 x',
  )
  t.equal(found(made(born), final(row('x'), heir)), 'I4 x', 'nobody asked')
  t.equal(
    found(made(born, ['revoke', 'x', 3, 4], rotated)),
    'I1 x',
    'a revoked token must not beget a live one',
  )
  t.equal(
    found(made(born, rotated, ['revoke', 'x', 5, 9], ['introspect', 'y', 10, 11, no])),
    '',
    'a revoke that raced the rotation may have met the successor',
  )
})

t.test('the final state keeps what was acknowledged, and invents nothing', async (t) => {
  const ends = (history: Made[], ...tokens: FinalToken[]) =>
    found(made(born, ...history), { final: { tokens } })
  t.equal(ends([], row('x')), '')
  t.equal(ends([]), 'I3 x', 'lost')
  t.equal(ends([], row('x'), row('x')), 'I3 x', 'twice')
  t.equal(ends([], row('x', { revoked: true })), 'I3 x', 'nobody asked')
  t.equal(ends([['revoke', 'x', 5, 6]], row('x')), 'I3 x')
  t.equal(ends([['revoke', 'x', 5, 6]], row('x', { revoked: true })), '')
  t.equal(
    ends(
      [
        ['revoke', 'x', 5, 9],
        ['rotate', 'x', 5, null],
      ],
      row('x'),
    ),
    'I3 x',
    'a rotation that may have been does not excuse a lost revoke',
  )
  for (const revoked of [true, false]) t.equal(ends([['revoke', 'x', 5, null]], row('x', { revoked })), '')
  t.equal(ends([['disable', 'x', 5, 6]], row('x', { disabled: false })), 'I3 x')
  t.equal(
    ends(
      [
        ['disable', 'x', 5, 6],
        ['enable', 'x', 7, 8],
      ],
      row('x', { disabled: true }),
    ),
    'I3 x',
  )
  t.equal(ends([['narrow', 'x', 5, 6, {}, { scopes: ['a'] }]], row('x', { scopes: ['a', 'b'] })), 'I3 x')
  t.equal(
    found(made(['provision', 'x', 1, null]), { final: { tokens: [] } }),
    '',
    'an indeterminate provision',
  )
  t.equal(
    found(made(['provision', 'x', 1, null], ['provision', 'x', 5, 6]), {
      final: { tokens: [row('x'), row('x')] },
    }),
    'I3 x',
    'a retry must not provision twice',
  )
  t.equal(
    found(made(['provision', 'x', 1, 2, {}, { lifetimeMs: 1 }]), { final: { tokens: [] } }),
    '',
    'what has expired may have been cleaned away',
  )
  const subjects = (disabled: boolean) =>
    found(made(['disable', '', 5, 6, {}, { subject: 's' }]), {
      final: { tokens: [], subjects: [{ subject: 's', disabled }] },
    })
  t.equal(subjects(true), '')
  t.equal(subjects(false), 'I3 s')
})

t.test('a report is a dozen lines that a tired person can read', async (t) => {
  const lines: string[] = []
  const print = (line: string) => lines.push(line)
  report('quiet night', check(made(born, ['introspect', 'x', 5, 6, yes])), print)
  t.match(lines[0], /quiet night: held/)
  t.match(lines.join('\n'), /I1 no resurrection: 0 of 0, says nothing/)
  lines.length = 0
  const stale = Array.from({ length: 20 }, (_, n): Made => ['introspect', 'x', 10 + n, 11 + n, yes])
  report('bad night', check(made(born, ['revoke', 'x', 5, 6], ...stale)), print)
  t.match(lines[0], /bad night: 20 VIOLATIONS/)
  t.match(lines.at(-1), /15 more/)
  t.ok(lines.length <= 13)
})

// --- The checker, on histories made by chance ---

interface Command {
  f: Action
  token: number
  whole: boolean
  scope: string
  /** lost: no answer came, though it may have been done; error: a definite no. */
  fate: 'answered' | 'lost, done' | 'lost, not done' | 'error'
  early: number
  late: number
}

const SCOPES = ['a', 'b']

const commands = (fates: Command['fate'][], spread: number): fc.Arbitrary<Command[]> =>
  fc.array(
    fc.record({
      f: fc.constantFrom<Action[]>(
        'provision',
        'provision',
        'introspect',
        'introspect',
        'introspect',
        'introspect',
        'revoke',
        'rotate',
        'disable',
        'enable',
        'narrow',
      ),
      token: fc.nat(5),
      whole: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
      scope: fc.constantFrom(...SCOPES),
      fate: fc.constantFrom(...fates),
      early: fc.nat(spread),
      late: fc.nat(spread),
    }),
    { minLength: 10, maxLength: 80, size: 'max' },
  )

interface Fact {
  subject: string
  revoked: boolean
  disabled: boolean
  rotated: boolean
  predecessor: string | null
  scopes: string[]
  /** When its secret was told, if it was. */
  known: bigint | null
}

/** A service that does nothing wrong, serving the commands one after the other at one instant each. */
function serve(program: Command[]): { entries: Entry[]; final: FinalState } {
  const facts = new Map<string, Fact>()
  const disabledSubjects = new Map([
    ['s0', false],
    ['s1', false],
  ])
  const entries: Entry[] = []

  program.forEach((command, n) => {
    const names = [...facts.keys()]
    const isNew = command.f === 'provision'
    const name = isNew ? `t${n}` : names[command.token % Math.max(1, names.length)]
    if (name === undefined) return
    const fact = facts.get(name)
    const known = fact?.known ?? null
    const whole = command.whole && ['revoke', 'disable', 'enable'].includes(command.f)
    if (!isNew && !whole && known === null) return
    const at = BigInt(n + 1) * 1000n
    const asked = at - BigInt(command.early)
    const entry: Entry = {
      id: String(n),
      proc: 'p',
      replica: `r${command.late % 3}`,
      f: command.f,
      invokedAt: !whole && known !== null && asked <= known ? known + 1n : asked < 1n ? 1n : asked,
      returnedAt: at + BigInt(command.late) + 1n,
      outcome: 'ok',
    }
    // Whoever only learnt the secret after this instant could not have asked at it.
    if (entry.invokedAt > at) return
    const subject = isNew ? `s${command.token % 2}` : (fact?.subject ?? 's0')
    if (whole || isNew) entry.subject = subject
    if (!whole) entry.token = name
    if (command.f === 'narrow') entry.scopes = [command.scope]
    entries.push(entry)

    if (command.fate === 'error' || command.fate === 'lost, not done') {
      entry.outcome = command.fate === 'error' ? 'fail' : 'unknown'
      if (entry.outcome === 'unknown') entry.returnedAt = null
      return
    }
    const told = command.fate === 'answered' ? (entry.returnedAt ?? 0n) : null
    const answer = act(command, name, subject, whole, told)
    if (told === null) {
      entry.outcome = 'unknown'
      entry.returnedAt = null
    } else if (answer === null) entry.outcome = 'fail'
    else entry.result = answer
  })

  function act(
    { f, scope }: Command,
    name: string,
    subject: string,
    whole: boolean,
    told: bigint | null,
  ): Answer | null {
    if (f === 'provision') {
      facts.set(name, newFact(subject, null, SCOPES, told))
      return {}
    }
    if (whole && f === 'revoke') {
      for (const fact of facts.values()) if (fact.subject === subject) fact.revoked = true
      return {}
    }
    if (whole) {
      disabledSubjects.set(subject, f === 'disable')
      return {}
    }
    const fact = facts.get(name)!
    const dead = fact.revoked || fact.rotated
    const active = !dead && !fact.disabled && !disabledSubjects.get(subject)
    if (f === 'introspect') return active ? { active, scopes: [...fact.scopes] } : { active }
    if (dead || (f === 'rotate' && !active)) return null
    if (f === 'revoke') fact.revoked = true
    else if (f === 'narrow') fact.scopes = fact.scopes.filter((one) => one !== scope)
    else if (f === 'rotate') {
      fact.rotated = true
      facts.set(`${name}'`, newFact(subject, name, fact.scopes, told))
      return { successor: `${name}'` }
    } else fact.disabled = f === 'disable'
    return {}
  }

  const tokens = [...facts].map(
    ([token, { revoked, disabled, predecessor, scopes }]): FinalToken => ({
      token,
      revoked,
      disabled,
      predecessor,
      scopes,
    }),
  )
  const subjects = [...disabledSubjects].map(([subject, disabled]) => ({ subject, disabled }))
  return { entries, final: { tokens, subjects } }
}

const newFact = (
  subject: string,
  predecessor: string | null,
  scopes: string[],
  known: bigint | null,
): Fact => ({
  subject,
  predecessor,
  scopes: [...scopes],
  known,
  revoked: false,
  disabled: false,
  rotated: false,
})

const runs = { numRuns: 1500 }

t.test('a correct sequential history never yields a violation', async () => {
  fc.assert(
    fc.property(commands(['answered', 'answered', 'error'], 400), (program) => {
      const { entries, final } = serve(program)
      return check(entries, { final }).violations.length === 0
    }),
    runs,
  )
})

t.test('nor does a correct one whose operations overlap and whose answers get lost', async () => {
  let judged = 0
  fc.assert(
    fc.property(
      commands(['answered', 'answered', 'answered', 'error', 'lost, done', 'lost, not done'], 3000),
      fc.boolean(),
      (program, shuffled) => {
        const { entries, final } = serve(program)
        if (shuffled) entries.reverse()
        const verdict = check(entries, { final })
        judged += verdict.judged.I1 + verdict.judged.I2
        return verdict.violations.length === 0
      },
    ),
    runs,
  )
  t.ok(judged > 1000, `${judged} answers were judged`)
})

/** Every way we know to spoil a sequential history, as thunks that do it. */
function waysToSpoil({ entries, final }: { entries: Entry[]; final: FinalState }): (() => void)[] {
  const tokens = final.tokens as FinalToken[]
  const rotated = new Set(tokens.map(({ predecessor }) => predecessor))
  const narrowed = entries.filter(({ f, outcome }) => f === 'narrow' && outcome === 'ok')
  return [
    ...entries
      .filter(({ f, outcome }) => f === 'introspect' && outcome === 'ok')
      .map((entry) => () => {
        entry.result = { active: !entry.result?.active }
      }),
    ...tokens.flatMap((token, at) => [
      () => tokens.splice(at, 1),
      () => tokens.push({ ...token }),
      () => {
        token.disabled = !token.disabled
      },
      ...(rotated.has(token.token) ? [] : [() => Object.assign(token, { revoked: !token.revoked })]),
      ...(token.predecessor
        ? [
            () => Object.assign(token, { predecessor: null }),
            () => tokens.push({ ...token, token: `${token.token}?` }),
          ]
        : []),
    ]),
    ...narrowed.map(({ token, scopes = [] }) => () => {
      const stored = tokens.find((one) => one.token === token)!
      stored.scopes = [...(stored.scopes ?? []), ...scopes]
    }),
    ...(final.subjects ?? [])
      .filter(({ subject }) => entries.some((one) => one.subject === subject && one.outcome === 'ok'))
      .map((subject) => () => {
        subject.disabled = !subject.disabled
      }),
  ]
}

t.test('a spoilt sequential history always does', async () => {
  const seen = { I1: 0, I2: 0, I3: 0, I4: 0 }
  fc.assert(
    fc.property(commands(['answered', 'answered', 'error'], 400), fc.nat(), (program, pick) => {
      const served = serve(program)
      const ways = waysToSpoil(served)
      const touched = new Set(served.entries.filter(({ outcome }) => outcome === 'ok').map(({ f }) => f))
      fc.pre(touched.has('provision') && ways.length > 0)
      ways[pick % ways.length]!()
      const { violations } = check(served.entries, { final: served.final })
      for (const { invariant } of violations) seen[invariant]++
      return violations.length > 0
    }),
    runs,
  )
  t.ok(Math.min(...Object.values(seen)) > 0, `each invariant was broken: ${JSON.stringify(seen)}`)
})

t.test('on one switch, the verdict is that of trying every order; on two, never harder', async (t) => {
  const span = fc
    .tuple(fc.nat(30), fc.integer({ min: 1, max: 20 }))
    .map(([from, long]) => [from, from + long])
  const changesOf = (...actions: Action[]) =>
    fc.array(fc.tuple(fc.constantFrom(...actions), span, fc.boolean()), { maxLength: 5, size: 'max' })
  const seen = { right: 0, wrong: 0 }
  fc.assert(
    fc.property(
      fc.oneof(changesOf('disable', 'enable'), changesOf('revoke'), changesOf('disable', 'enable', 'revoke')),
      span,
      fc.boolean(),
      (changes, [from = 0, to = 0], active) => {
        const history = made(
          ['provision', 'x', 1, 2],
          ...changes.map(([f, [from = 0, to = 0], lost]): Made => [f, 'x', from + 3, lost ? null : to + 3]),
          ['introspect', 'x', from + 3, to + 3, { active }],
        )
        const right = isExplained(history.slice(1, -1), history.at(-1)!, active)
        seen[right ? 'right' : 'wrong']++
        const held = check(history).violations.length === 0
        const switches = new Set(changes.map(([f]) => f === 'revoke'))
        return held === right || (held && switches.size === 2)
      },
    ),
    { numRuns: 3000 },
  )
  t.ok(Math.min(...Object.values(seen)) > 100, JSON.stringify(seen))
})

/** Is there an order of the changes, each within its span, the lost ones perhaps not at all, that gives this answer? */
function isExplained(changes: Entry[], answer: Entry, active: boolean): boolean {
  const precedes = (a: Entry, b: Entry) => a.returnedAt !== null && a.returnedAt < b.invokedAt
  const state = { revoked: false, disabled: false }
  const goOn = (left: Entry[], now: typeof state): boolean => {
    const mayAnswer = left.every((one) => !precedes(one, answer))
    if (mayAnswer && active === !(now.revoked || now.disabled)) return true
    return left.some((one) => {
      if (precedes(answer, one) || left.some((other) => precedes(other, one))) return false
      const after = {
        revoked: now.revoked || one.f === 'revoke',
        disabled: one.f === 'revoke' ? now.disabled : one.f === 'disable',
      }
      return goOn(
        left.filter((other) => other !== one),
        after,
      )
    })
  }
  return goOn(changes, state)
}

t.test('two hundred thousand operations are no matter', async (t) => {
  const entries: Entry[] = []
  const add = (f: Action, n: number, at: number, result: Answer = {}) =>
    entries.push({
      id: `${n}`,
      proc: 'p',
      replica: 'r',
      f,
      token: `t${n}`,
      invokedAt: BigInt(at),
      returnedAt: BigInt(at + 1),
      outcome: 'ok',
      result,
    })
  for (let n = 0; n < 20_000; n++) {
    add('provision', n, n * 20)
    for (let k = 1; k < 5; k++) add('introspect', n, n * 20 + k * 2, yes)
    add('revoke', n, n * 20 + 10)
    for (let k = 6; k < 10; k++) add('introspect', n, n * 20 + k * 2, no)
  }
  const startedAt = performance.now()
  const verdict = check(entries)
  t.comment(`${entries.length} operations in ${Math.round(performance.now() - startedAt)} ms`)
  t.same(verdict.judged, { I1: 80_000, I2: 80_000, I3: 0, I4: 0 })
  t.same(verdict.violations, [])
})
