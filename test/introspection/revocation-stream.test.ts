// The stream that client libraries hear revokes on, by itself: what it does when it has to send a listener away. That it tells
// everything in time is shown in test/sdk.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { revocationStream } from '../../src/introspection/revocation-stream.ts'
import { createFeed, type Feed } from '../../src/verify/feed.ts'
import { soleLease } from '../../src/verify/lease.ts'

const service = { kind: 'service', service: { id: 'posts', checksIp: false } }

async function serve(t: Test, identified: Promise<void> = Promise.resolve(), principal: object = service) {
  const clock = { now: 1_000 }
  const feed = createFeed('rep_a')
  const app = Fastify({ forceCloseConnections: true })
  app.decorateRequest('principal', null as never)
  app.addHook('onRequest', async (request) => {
    await identified
    Object.assign(request, { principal })
  })
  revocationStream(app as never, {
    feed,
    lease: soleLease,
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
  return { app, feed, listen, stopping, clock }
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
  const { app, listen, stopping } = await serve(t, new Promise((resolve) => (identify = resolve)))
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
    const { feed, listen, clock } = await serve(t, Promise.resolve(), principal)
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
