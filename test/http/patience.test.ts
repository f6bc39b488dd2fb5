// A stop: whoever has asked is answered, and whoever has not, or does not take the answer, does not hold it up.
import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { Lane, LaneAnswer } from '../../src/http/lane.ts'
import { patienceMs } from '../../src/http/patience.ts'
import { bareServer } from '../helpers/bare-server.ts'

const lines = (...all: string[]) => [...all, 'Host: lk', '', ''].join('\r\n')
const long = 'x'.repeat(20_000_000)

t.test('a stop answers what was received, however long it takes, and waits for no idle client', async (t) => {
  const waiting: (() => void)[] = []
  const later = (body: string) =>
    new Promise<LaneAnswer>((resolve) => waiting.push(() => resolve({ status: 200, headers: [], body })))
  const lane: Lane = {
    takes: ({ url = '' }) => url.startsWith('/lane'),
    route: '/lane',
    contentType: null,
    answer: ({ url }) =>
      url === '/lane/long' ? { status: 200, headers: [], body: long } : later('by the front'),
  }
  const app = bareServer([lane])
  app.post('/late', () => later('by the router').then(({ body }) => body))
  app.get('/long', async () => long)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const client = (bytes: string) => {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(bytes)
    t.teardown(() => socket.destroy())
    return socket
  }

  client('')
  client('GET /livez HTTP/1.1\r\nHost:')
  client(lines('POST /late HTTP/1.1', 'Content-Type: application/json', 'Content-Length: 2'))
  client(lines('POST /lane HTTP/1.1', 'Content-Length: 2'))
  for (const path of ['/long', '/lane/long']) client(lines(`GET ${path} HTTP/1.1`)).pause()
  const json = ['Content-Type: application/json', 'Content-Length: 2'] as const
  const answerTo = async (bytes: string) => String((await once(client(bytes), 'data'))[0])
  const answers = Promise.all([
    answerTo(lines('GET /lane HTTP/1.1')),
    answerTo(`${lines('POST /late HTTP/1.1', ...json)}{}`),
  ])
  const finishing = client(lines('POST /late HTTP/1.1', ...json))
  const finished = once(finishing, 'data')
  while (waiting.length < 2) await sleep(10)
  // What has not been read by now would count as idle.
  await sleep(200)

  let isClosed = false
  const closed = app.close().then(() => {
    isClosed = true
  })
  // Whoever is nearly done may finish.
  await sleep(500)
  finishing.write('{}')
  while (waiting.length < 3) await sleep(10)
  await sleep(patienceMs + 1_500)
  t.equal(isClosed, false)
  for (const answer of waiting) answer()
  const [ofFront, ofRouter] = await answers
  t.match(ofFront, /^HTTP\/1\.1 200 .*by the front$/s)
  t.match(ofRouter, /^HTTP\/1\.1 200 .*by the router$/s)
  t.match(String((await finished)[0]), /^HTTP\/1\.1 200 /)
  await Promise.race([closed, sleep(2 * patienceMs)])
  t.equal(isClosed, true)
})
