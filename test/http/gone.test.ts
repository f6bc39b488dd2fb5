// A client that goes away: what will never be answered is not in flight, and no error.
import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import t from 'tap'
import { createMetrics } from '../../src/observe/metrics.ts'
import { bareServer } from '../helpers/bare-server.ts'

const later = ['GET /later HTTP/1.1', 'Host: lk', '', ''].join('\r\n')

t.test('a client that goes away leaves none of what it has asked for in flight', async (t) => {
  const metrics = createMetrics('test')
  const waiting: (() => void)[] = []
  const app = bareServer([], metrics)
  app.get('/later', () => new Promise<string>((resolve) => waiting.push(() => resolve('at last'))))
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const inFlight = async () => (await metrics.active.get()).values[0]!.value
  const client = async (requests: number) => {
    const accepted = once(app.server, 'connection')
    const before = waiting.length
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(later.repeat(requests))
    const [server] = (await accepted) as [Socket]
    while (waiting.length < before + requests) await new Promise(setImmediate)
    return { socket, closed: new Promise((resolve) => server.once('close', resolve)) }
  }

  const away = await client(3)
  t.equal(await inFlight(), 3)
  away.socket.resetAndDestroy()
  await away.closed
  t.equal(await inFlight(), 0)
  for (const answer of waiting.splice(0)) answer()

  const patient = await client(2)
  for (const answer of waiting) answer()
  let text = ''
  for await (const chunk of patient.socket) {
    text += chunk
    if (text.split('at last').length === 3) break
  }
  t.equal(await inFlight(), 0, 'each is counted down once')
})

t.test('a client that gives up what it has begun to send is no error in the log', async (t) => {
  const log: string[] = []
  const app = bareServer([], undefined, log)
  let isBegun = () => {}
  const begun = new Promise<void>((resolve) => {
    isBegun = resolve
  })
  const failed = new Promise<void>((resolve) => {
    app.addHook('onError', async () => resolve())
  })
  app.addHook('preParsing', async () => isBegun())
  app.post('/', async () => 'never')
  app.get('/broken', async () => {
    throw new Error('our own')
  })
  await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  socket.write(
    ['POST / HTTP/1.1', 'Host: lk', 'Content-Type: application/json', 'Content-Length: 9', '', '{'].join(
      '\r\n',
    ),
  )
  await begun
  socket.resetAndDestroy()
  await failed
  await fetch(`http://127.0.0.1:${port}/broken`)
  const errors = log.map((line) => JSON.parse(line)).filter(({ level }) => level >= 50)
  t.match(errors, [{ err: { message: 'our own' } }])
  t.equal(errors.length, 1)
})
