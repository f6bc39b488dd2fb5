// The stream that client libraries hear revokes on, by itself: what it does when it has to send a listener away. That it tells
// everything in time is shown in test/sdk.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import type { Invalidation } from '../../src/db/change.ts'
import { revocationStream } from '../../src/introspection/revocation-stream.ts'
import { createFeed, type Feed } from '../../src/verify/feed.ts'
import { type Lease, soleLease } from '../../src/verify/lease.ts'
import { takeTime, turn } from '../helpers/time.ts'

type Served = {
  readonly identified?: Promise<void>
  readonly principal?: object
  readonly lease?: Lease
}

const asPosts = { kind: 'service', service: { id: 'posts', checksIp: false } }
const asToken = {
  kind: 'token',
  facts: { tokenId: 'tok_mine', subject: 'user_mine', expireAt: null, endsAt: null },
}

async function serve(
  t: Test,
  { identified = Promise.resolve(), principal = asPosts, lease = soleLease }: Served = {},
) {
  const clock = { now: 1_000 }
  const feed = createFeed('rep_a')
  let listening = 0
  const counted: Feed = {
    ...feed,
    subscribe(since, hear) {
      listening += 1
      const leave = feed.subscribe(since, hear)
      return () => {
        listening -= 1
        leave()
      }
    },
  }
  const app = Fastify({ forceCloseConnections: true })
  app.decorateRequest('principal', null as never)
  app.addHook('onRequest', async (request) => {
    await identified
    Object.assign(request, { principal })
  })
  revocationStream(app as never, {
    feed: counted,
    lease,
    monotonic: () => performance.now(),
    now: () => clock.now,
  })
  const stopping = new Promise<void>((resolve) => {
    app.addHook('preClose', async () => resolve())
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const listen = async (): Promise<Socket> => {
    const socket = connect((app.server.address() as { port: number }).port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.write('GET /api/v1/revocations HTTP/1.1\r\nHost: latchkey\r\nConnection: close\r\n\r\n')
    await once(socket, 'readable')
    return socket
  }
  return { app, feed, listen, stopping, clock, listening: () => listening }
}

/** What a listener has heard so far, and waiting until that is so. */
function hearing(listener: Socket) {
  let heard = ''
  listener.on('data', (bytes) => {
    heard += bytes
  })
  const until = async (what: string) => {
    while (!heard.includes(what)) await once(listener, 'data')
    return heard
  }
  return { until }
}

const services = (feed: Feed) => feed.publish([{ kind: 'services' }])
const token = (feed: Feed) => feed.publish([{ kind: 'token', id: 'tok_a' }])

t.test('whoever is sent away is told nothing after the end, and the process lives on', async (t) => {
  const { feed, listen } = await serve(t)
  for (const [name, more] of [
    ['a token', token],
    ['services again', services],
    ['everything', (feed: Feed) => feed.publishReset()],
  ] as const) {
    const listener = await listen()
    let heard = ''
    listener.on('data', (bytes) => {
      heard += bytes
    })
    const ended = once(listener, 'end')
    services(feed)
    more(feed)
    await ended
    t.match(heard, /event: forget\ndata: {"tokens":\[\],"subjects":\[\]}\n\n\r\n0\r\n\r\n$/, name)
  }
})

t.test('nor is one that does not read, and so cannot take the end', async (t) => {
  const { feed, listen } = await serve(t)
  const listener = await listen()
  listener.pause()
  // More than a socket takes by itself, and less than what a listener is sent away for.
  for (let i = 0; i < 4_000; i++) feed.publish([{ kind: 'subject', id: `user_${i}${'x'.repeat(1_000)}` }])
  services(feed)
  token(feed)
  const another = await listen()
  let heard = ''
  another.on('data', (bytes) => {
    heard += bytes
  })
  token(feed)
  while (!heard.includes('tok_a')) await once(another, 'data')
  t.pass('others still hear')
})

t.test('one whose credentials are still looked at when the server stops does not hold it up', async (t) => {
  let identify = () => {}
  const { app, listen, stopping } = await serve(t, {
    identified: new Promise((resolve) => (identify = resolve)),
  })
  const asked = once(app.server, 'request')
  const answer = listen()
  await asked
  const closed = app.close()
  await stopping
  identify()
  t.match(String((await answer).read()), /^HTTP\/1\.1 503 /)
  await closed
})

t.test('a listener whose own token is over hears nothing more', { timeout: 10_000 }, async (t) => {
  for (const [name, facts] of [
    ['expired', { expireAt: 2_000, endsAt: null }],
    ['rotated', { expireAt: null, endsAt: 2_000 }],
  ] as const) {
    const principal = { kind: 'token', facts: { tokenId: 'tok_own', subject: 'user_1', ...facts } }
    const { feed, listen, clock } = await serve(t, { principal })
    for (const [what, happens] of [
      ['with what is to be forgotten', () => token(feed)],
      ['with the next beat', () => {}],
    ] as const) {
      const listener = await listen()
      let heard = ''
      listener.on('data', (bytes) => {
        heard += bytes
      })
      feed.publish([{ kind: 'token', id: 'tok_before' }])
      const ended = once(listener, 'end')
      clock.now = 2_000
      happens()
      await ended
      t.match(heard, 'tok_before', `${name}, ${what}`)
      t.notMatch(heard, 'tok_a')
      clock.now = 1_000
    }
  }
})

t.test('a replica without a lease gives none, and goes on to when it has one', async (t) => {
  const { pass } = takeTime(t)
  const lease = { ...soleLease, held: true, holds: () => lease.held }
  const { feed, listen } = await serve(t, { lease })
  const { until } = hearing(await listen())
  lease.held = false
  pass(2_000)
  token(feed)
  t.notMatch(await until('tok_a'), /event: lease/)
  lease.held = true
  pass(500)
  t.match(await until('event: lease'), /event: lease\ndata: {"leaseMs":2000,"at":\d+}\n\n/)
})

t.test('whoever may listen no longer is sent away, and nobody else', async (t) => {
  const ends: [principal: object, what: Invalidation | null][] = [
    [asToken, { kind: 'token', id: 'tok_mine' }],
    [asToken, { kind: 'subject', id: 'user_mine' }],
    [asToken, { kind: 'services' }],
    [asToken, { kind: 'scopes' }],
    [asToken, null],
    [asPosts, { kind: 'services' }],
    [asPosts, null],
  ]
  for (const [principal, what] of ends) {
    const { feed, listen } = await serve(t, { principal })
    const listener = await listen()
    const ended = once(listener.resume(), 'end')
    if (what) feed.publish([{ kind: 'token', id: 'tok_b' }, what])
    else feed.publishReset()
    await ended
    t.pass(JSON.stringify(what))
  }
  const { feed, listen } = await serve(t, { principal: asToken })
  const { until } = hearing(await listen())
  feed.publish([{ kind: 'token', id: 'user_mine' }])
  feed.publish([{ kind: 'subject', id: 'tok_mine' }])
  feed.publish([{ kind: 'token', id: 'tok_last' }])
  await until('tok_last')
})

t.test(
  'nothing is kept of a listener that is gone, not even of one that went before it was let in',
  async (t) => {
    const { feed, listen, listening } = await serve(t)
    const listener = await listen()
    t.equal(listening(), 1)
    listener.destroy()
    while (listening() > 0) await turn()
    token(feed)

    let identify = () => {}
    const slow = await serve(t, { identified: new Promise((resolve) => (identify = resolve)) })
    const asked = once(slow.app.server, 'request')
    void slow.listen().catch(() => {})
    const [{ socket }] = (await asked) as [{ socket: Socket }]
    socket.destroy()
    await once(socket, 'close')
    identify()
    await turn()
    await turn()
    t.equal(slow.listening(), 0)
  },
)

t.test('a listener that does not read is sent away when too much waits for it', async (t) => {
  const { feed, listen, listening } = await serve(t)
  const listener = await listen()
  listener.pause()
  const large = 'x'.repeat(100_000)
  // More than any socket takes by itself.
  for (let n = 0; n < 1_000 && listening() > 0; n++) {
    feed.publish([{ kind: 'subject', id: large }])
    await turn()
  }
  t.equal(listening(), 0)
})

t.test('no more listen than a thousand', async (t) => {
  const { app, listening } = await serve(t)
  const request = { method: 'GET', url: '/api/v1/revocations' } as const
  for (let n = 0; n < 1_000; n++) void app.inject(request).catch(() => {})
  while (listening() < 1_000) await turn()
  t.equal((await app.inject(request)).statusCode, 503)
})
