// Connections in front of Node's server: whatever comes over one, and in whatever pieces, is answered as Node and the
// router would answer it, in the order in which it came.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createFront, type FrontHooks } from '../../src/http/front.ts'
import type { Lane, LaneAnswer } from '../../src/http/lane.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { basic, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

const crlf = '\r\n'
const lines = (...all: string[]) => [...all, '', ''].join(crlf)

t.test('the front and the router answer every sequence of requests alike', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const env = { DATABASE_URL: url, LATCHKEY_ISSUER: 'https://tokens.example.com' }
  const fast = await startLatchkey(t, 'postgres', env)
  const slow = await startLatchkey(t, 'postgres', env, { lanes: false })
  const posts = await registerPosts(fast)
  const { token } = await provision(fast)
  const { authorization } = basic(posts.id, posts.secret)
  const form = 'Content-Type: application/x-www-form-urlencoded'

  const introspect = 'POST /oauth2/introspect HTTP/1.1'
  const forwardAuth = 'GET /forward-auth?scope=posts:read HTTP/1.1'
  const exact = (text: string) => [`Content-Length: ${Buffer.byteLength(text)}`]
  const none = () => []
  const usual = [`Authorization: ${authorization}`, form]
  const plain: Request[] = [
    ...[`token=${token}`, `token=${token}&scope=posts:read`, 'a=b&a=c', ''].map((text) => ({
      line: introspect,
      more: usual,
      lengthOf: exact,
      text,
    })),
    ...[[`Authorization: Bearer ${token}`], [], ['Accept: */*']].map((more) => ({
      line: forwardAuth,
      more,
      lengthOf: none,
      text: '',
    })),
  ]

  const oddLines = [
    ...[introspect, forwardAuth].flatMap((line) => [
      line.replace('1.1', '1.0'),
      line.replace(' HTTP', '  HTTP'),
      line.replace('/', '//'),
      line.toLowerCase(),
    ]),
    'HEAD /forward-auth?scope=posts:read HTTP/1.1',
    'BREW /forward-auth HTTP/1.1',
    'DELETE /forward-auth/v1/posts;x HTTP/1.1',
    'PROPFIND /forward-auth?scope=posts:read HTTP/1.1',
    'QUERY /forward-auth?scope=posts:read HTTP/1.1',
    'POST /forward-auth?scope=posts:read HTTP/1.1',
    'GET /forward-auth/% HTTP/1.1',
    'GET /oauth2/introspect HTTP/1.1',
    'GET /livez HTTP/1.1',
    'GET http://lk/forward-auth?scope=posts:read HTTP/1.1',
  ]
  const oddHeaders = [
    ...usual,
    `Authorization: Bearer ${token}`,
    `authorization:Bearer ${token}  `,
    `${form}; charset=utf-8`,
    'Content-Type: application/json',
    'Content-Type: garbage',
    'Accept: */*',
    'Connection: keep-alive',
    'Connection: close',
    // Not "upgrade": Node forgets what is behind a request for one that nobody takes up.
    'Connection: x-forwarded-for',
    'Transfer-Encoding: chunked',
    'Content-Encoding: gzip',
    'Expect: 100-continue',
    'Expect: 200-ok',
    'Trailer: X-Odd',
    'Upgrade: h2c',
    'Host: other',
    'X-Forwarded-For: 203.0.113.9',
    'X-Forwarded-Method: GET',
    'X-Odd : 1',
    'X-Odd: \x01',
    'X-Odd: é',
    'X_Odd: 1',
    ' folded: 1',
    'no colon',
  ]
  const oddTexts = [`token=${token}`, 'token=é', 'é=1&é=2', 'a=b&a=c', '0\r\n\r\n', '']
  const tooLong = (text: string) => [`Content-Length: ${Buffer.byteLength(text) + 3}`]
  const oddLengths: Request['lengthOf'][] = [
    exact,
    tooLong,
    (text) => [`Content-Length: ${Math.max(0, Buffer.byteLength(text) - 1)}`],
    none,
    () => ['Content-Length: 4', 'Content-Length: 5'],
    () => ['Content-Length: 0x4'],
  ]

  const oneStepFrom = (base: Request): Request[] => [
    base,
    ...oddLines.map((line) => ({ ...base, line })),
    ...oddHeaders.map((one) => ({ ...base, more: [...base.more, one] })),
    ...base.more.map((one) => ({ ...base, more: base.more.filter((other) => other !== one) })),
    ...oddTexts.map((text) => ({ ...base, text })),
    ...oddLengths.map((lengthOf) => ({ ...base, lengthOf })),
  ]
  const messageOf = ({ line, more, lengthOf, text }: Request): Message => {
    const length = lengthOf(text)
    // With a length as well, it is refused.
    const isToEnd = more.includes('Transfer-Encoding: chunked') && length.length === 0
    const isWhole = lengthOf !== tooLong && (!isToEnd || text === '0\r\n\r\n')
    const head = lines(line, 'Host: lk', 'X-Request-Id: same', ...more, ...length)
    return { bytes: Buffer.from(head + text), headBytes: Buffer.byteLength(head), isWhole }
  }
  // Has the connection closed, whatever it is taken for: a request, or what is missing of the one before.
  const goodbye = lines('GET /livez HTTP/1.1', 'Host: lk', 'X-Request-Id: last', 'Connection: close')
  const last = { bytes: Buffer.from(goodbye), headBytes: goodbye.length, isWhole: true }

  const ofFront = answeredByFront(t, fast.url)
  async function areAlike(messages: readonly Message[], way: Way): Promise<void> {
    const all = [...messages, last]
    const whole = all.map((one) => ({ ...one, pieces: [one.bytes] }))
    const steps = all.map((one) => ({ ...one, pieces: piecesOf(one, way) }))
    const [front, router] = await Promise.all([
      exchange(fast.url, steps, way.isPatient),
      exchange(slow.url, whole, way.isPatient),
    ])
    ofFront.saw(front)
    if (!isSame(front, router)) throw new Error(JSON.stringify({ front, router }, null, 1))
  }

  const inOnePiece = { isPatient: true, cut: 'nowhere', at: 0 } as const
  for (const request of plain.flatMap(oneStepFrom)) await areAlike([messageOf(request)], inOnePiece)
  const alone = ofFront.count()
  t.ok(alone.front > 60, `alone: ${alone.front} of ${alone.all} answers were the front’s own`)

  const odd = fc.record<Request>({
    line: fc.constantFrom(...oddLines),
    more: fc.array(fc.constantFrom(...oddHeaders), { maxLength: 3 }),
    lengthOf: fc.constantFrom(...oddLengths),
    text: fc.constantFrom(...oddTexts),
  })
  const request = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...plain) },
    { weight: 2, arbitrary: fc.constantFrom(...plain.flatMap(oneStepFrom)) },
    { weight: 1, arbitrary: odd },
  )
  const way = fc.record<Way>({
    isPatient: fc.constantFrom(true, true, true, false),
    cut: fc.constantFrom<Cut>('nowhere', 'before the body', 'anywhere'),
    at: fc.nat({ max: 600 }),
  })
  const oneBuffer = await parts()
  await fc.assert(
    fc.asyncProperty(
      fc.array(request.map(messageOf), { minLength: 1, maxLength: 5 }),
      way,
      fc.boolean(),
      async (messages, way, isUsual) => {
        // As on a version of Node that has no door to reading into one buffer.
        oneBuffer.close(isUsual)
        await areAlike(messages, way)
      },
    ),
    { numRuns: 400 },
  )
  oneBuffer.close(false)
  const { front, all } = ofFront.count()
  t.ok(front - alone.front > 60, `in sequences: ${front - alone.front} of ${all - alone.all}`)
})

type Request = {
  readonly line: string
  readonly more: readonly string[]
  readonly lengthOf: (body: string) => string[]
  readonly text: string
}
type Message = {
  readonly bytes: Buffer
  readonly headBytes: number
  /** It is answered without another byte. */
  readonly isWhole: boolean
}
type Step = Message & { readonly pieces: readonly Buffer[] }
/** How a client writes. */
type Way = { readonly isPatient: boolean; readonly cut: Cut; readonly at: number }
type Cut = 'nowhere' | 'before the body' | 'anywhere'

/** Counts the answers of a server that were not given by Node's. */
function answeredByFront(t: Test, url: string) {
  const { port } = new URL(url)
  let all = 0
  let byNode = 0
  const onRequest = (message: unknown) => {
    if ((message as { socket: Socket }).socket.localPort === Number(port)) byNode += 1
  }
  subscribe('http.server.request.start', onRequest)
  t.teardown(() => unsubscribe('http.server.request.start', onRequest))
  return {
    saw(answers: readonly Seen[]) {
      // What cannot be read is not counted as a request by Node, and its refusal has no id.
      all += answers.filter(({ headers }) => headers.some((one) => one.startsWith('x-request-id:'))).length
    },
    count: () => ({ front: all - byNode, all }),
  }
}

/** Takes away, or gives back, what reading into one buffer needs of all connections. */
async function parts(): Promise<{ close(isClosed: boolean): void }> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port)
  const [socket] = await once(server, 'connection')
  const handles = Object.getPrototypeOf(socket._handle)
  client.destroy()
  server.close()
  const { useUserBuffer } = handles
  if (typeof useUserBuffer !== 'function') throw new Error('This version of Node reads as usual')
  return {
    close: (isClosed) =>
      Object.defineProperty(handles, 'useUserBuffer', {
        value: isClosed ? undefined : useUserBuffer,
        configurable: true,
        writable: true,
      }),
  }
}

t.test('on a connection', async (t) => {
  t.test('a request whose body comes later is answered when it is there', async (t) => {
    const { client, arrived, handedOver } = await fronted(t)
    client.write(lines('POST /lane HTTP/1.1', 'Host: a', 'Content-Type: text/x', 'Content-Length: 4'))
    await arrived()
    client.write('body')
    t.match(await answerOf(client), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nPOST \/lane body$/s)
    t.same(handedOver, [])
  })

  t.test(
    'what has begun and does not go on is left to Node, which waits for as long as it will',
    async (t) => {
      const { client, arrived, front, handedOver } = await fronted(t)
      client.write(lines('POST /lane HTTP/1.1', 'Host: a', 'Content-Length: 4'))
      await arrived()
      front.sweep(performance.now() + 1_500)
      client.write('body')
      t.match(await answerOf(client), /by Node$/)
      t.same(handedOver, ['POST /lane body'])
    },
  )

  t.test('the first other request, and all after it, are left to Node', async (t) => {
    const { client, handedOver } = await fronted(t)
    const request = (url: string) => lines(`GET ${url} HTTP/1.1`, 'Host: a')
    client.write(request('/lane'))
    t.match(await answerOf(client), /GET \/lane $/)
    client.write(request('/elsewhere'))
    t.match(await answerOf(client), /by Node$/)
    client.write(request('/lane'))
    t.match(await answerOf(client), /by Node$/)
    t.same(handedOver, ['GET /elsewhere ', 'GET /lane '])
  })

  t.test('a request that ends too early is refused', async (t) => {
    const { client, refused } = await fronted(t)
    client.end(lines('POST /lane HTTP/1.1', 'Host: a', 'Content-Type: text/x', 'Content-Length: 4'))
    await once(client, 'close')
    t.equal(refused.length, 1)
  })

  t.test('what comes before an answer is there waits for its turn', async (t) => {
    const { client, arrived, waiting } = await fronted(t)
    client.write(lines('GET /lane/slow HTTP/1.1', 'Host: a'))
    await arrived()
    client.write(lines('GET /lane HTTP/1.1', 'Host: a'))
    const both = answersOf(client, 2)
    waiting.shift()!({ status: 200, headers: [], body: 'the slow one' })
    t.same(
      (await both).map((text) => text.slice(text.indexOf('\r\n\r\n') + 4)),
      ['the slow one', 'GET /lane '],
    )
  })

  t.test('a client that goes away while it waits harms nobody', async (t) => {
    const { client, arrived, accepted, waiting } = await fronted(t)
    client.write(lines('GET /lane/slow HTTP/1.1', 'Host: a'))
    await arrived()
    const socket = await accepted
    client.resetAndDestroy()
    // Paused, it does not notice by itself; whoever writes to it does.
    waiting.shift()!({ status: 200, headers: [], body: 'too late' })
    await new Promise((resolve) => socket.once('close', resolve))
  })

  t.test('a client that wants no more is told so, and closed', async (t) => {
    const { client } = await fronted(t)
    client.write(lines('GET /lane HTTP/1.1', 'Host: a', 'Connection: close'))
    t.match(await answerOf(client), /\r\nConnection: close\r\n/)
    await once(client, 'close')
  })

  t.test(
    'an idle one is closed when asked, or after its time; one that waits for its answer is not',
    async (t) => {
      const { client, front, accepted } = await fronted(t)
      client.write(lines('GET /lane HTTP/1.1', 'Host: a'))
      await answerOf(client)
      await accepted
      front.closeIdle()
      await once(client, 'close')

      const late = await fronted(t)
      await late.accepted
      late.front.sweep(performance.now() + 30_000)
      late.client.write(lines('GET /lane HTTP/1.1', 'Host: a'))
      await answerOf(late.client)
      late.front.sweep(performance.now() + 80_000)
      await once(late.client, 'close')

      const busy = await fronted(t)
      busy.client.write(lines('GET /lane/slow HTTP/1.1', 'Host: a'))
      await busy.arrived()
      busy.front.closeIdle()
      busy.front.sweep(performance.now() + 80_000)
      busy.waiting.shift()!({ status: 200, headers: [], body: 'still' })
      t.match(await answerOf(busy.client), /still$/)
    },
  )

  t.test('answers given while it stops say that they are the last', async (t) => {
    const { client, state } = await fronted(t)
    state.isStopping = true
    client.write(lines('GET /lane HTTP/1.1', 'Host: a'))
    t.match(await answerOf(client), /\r\nConnection: close\r\n/)
    await once(client, 'close')
  })

  t.test('a value that would end its header is never sent', async (t) => {
    const { client, waiting, arrived } = await fronted(t)
    client.write(lines('GET /lane/slow HTTP/1.1', 'Host: a'))
    await arrived()
    waiting.shift()!({ status: 200, headers: ['x-auth-subject', 'a\r\nx-auth-scopes: all'], body: '' })
    const text = await answerOf(client)
    t.match(text, /^HTTP\/1\.1 500 /)
    t.notMatch(text, /x-auth/)
  })

  t.test('a client that does not read is not read from either', async (t) => {
    const { client, accepted, waiting, arrived } = await fronted(t)
    client.pause()
    client.write(lines('GET /lane/slow HTTP/1.1', 'Host: a'))
    await arrived()
    waiting.shift()!({ status: 200, headers: [], body: 'x'.repeat(20_000_000) })
    const socket = await accepted
    await new Promise(setImmediate)
    t.equal(socket.isPaused(), true)
    client.resume()
    await once(socket, 'drain')
    t.equal(socket.isPaused(), false)
  })
})

/** A front with one lane, and a client connected to it. */
async function fronted(t: Test) {
  const handedOver: string[] = []
  const refused: Socket[] = []
  const waiting: ((answer: LaneAnswer) => void)[] = []
  const state = { isStopping: false }
  const lane: Lane = {
    takes: ({ url = '' }) => url.startsWith('/lane'),
    route: '/lane',
    contentType: null,
    answer: ({ method, url }, body) =>
      url === '/lane/slow'
        ? new Promise((resolve) => waiting.push(resolve))
        : { status: 200, headers: [], body: `${method} ${url} ${body}` },
  }
  const hooks: FrontHooks = {
    requestId: () => 'req_1',
    headers: { 'cache-control': 'no-store' },
    isStopping: () => state.isStopping,
    onAnswered: () => {},
  }
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    handedOver.push(`${request.method} ${request.url} ${body}`)
    response.end('by Node')
  })
  const [accept] = server.listeners('connection')
  const front = createFront([lane], hooks, {
    handOver: (socket) => accept!.call(server, socket),
    refuse: (socket) => {
      refused.push(socket)
      socket.destroy()
    },
  })
  server.removeAllListeners('connection').on('connection', front.take).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const accepted = once(server, 'connection').then(([socket]) => socket as Socket)
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  client.on('error', () => {})
  t.teardown(() => {
    client.destroy()
    server.close()
  })
  /** Resolves when the server has read all that was written so far. */
  const arrived = async () => {
    const socket = await accepted
    while (socket.bytesRead < client.bytesWritten) await new Promise(setImmediate)
  }
  return { client, front, arrived, accepted, handedOver, refused, waiting, state }
}

const answerOf = async (client: Socket) => (await answersOf(client, 1))[0]!

/** Cut by Content-Length. */
function answersOf(client: Socket, count: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let text = ''
    const got: string[] = []
    client.removeAllListeners('data').on('data', (chunk) => {
      text += chunk
      for (let end = endOf(text); end > 0 && end <= text.length; end = endOf(text)) {
        got.push(text.slice(0, end))
        text = text.slice(end)
      }
      if (got.length >= count) resolve(got)
    })
    client.on('close', () => reject(new Error(`closed after ${JSON.stringify(text)}`)))
  })
}

function endOf(text: string): number {
  const head = text.indexOf('\r\n\r\n')
  return head < 0 ? -1 : head + 4 + Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0)
}

function piecesOf({ bytes, headBytes }: Message, { cut, at: anywhere }: Way): Buffer[] {
  const at = Math.min(cut === 'nowhere' ? 0 : cut === 'anywhere' ? anywhere : headBytes, bytes.length)
  return [bytes.subarray(0, at), bytes.subarray(at)].filter(({ length }) => length > 0)
}

type Seen = { readonly head: string; readonly headers: readonly string[]; readonly body: string }

/** A server that refuses and closes at once may take answers on their way with it; so one may have seen less than the other. */
function isSame(a: readonly Seen[], b: readonly Seen[]): boolean {
  const [short, long] = a.length < b.length ? [a, b] : [b, a]
  const isWhole = long.at(-1)?.headers.includes('x-request-id: last') ?? false
  const same = JSON.stringify(short) === JSON.stringify(long.slice(0, short.length))
  return same && (short.length === long.length || !isWhole)
}

/**
 * Sends one request after the other, and reads until the other side closes. @param isPatient not before the one before is
 * answered
 */
function exchange(url: string, steps: readonly Step[], isPatient: boolean): Promise<Seen[]> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    let text = ''
    let onText = () => {}
    const socket = connect(Number(port), hostname, async () => {
      let isToWait = isPatient
      for (const { pieces, bytes, isWhole } of steps) {
        const before = text.length
        for (const piece of pieces) await new Promise((sent) => socket.write(piece, sent))
        isToWait &&= isWhole
        if (isToWait) await answered(before, bytes.toString('latin1').startsWith('HEAD '))
      }
    })
    const answered = (from: number, isHead: boolean) =>
      new Promise<void>((resolve) => {
        onText = () => {
          const answer = text.slice(from)
          const end = isHead ? answer.indexOf('\r\n\r\n') + 4 : endOf(answer)
          if (socket.closed || (end > 3 && end <= answer.length)) resolve()
        }
        onText()
      })
    socket.setNoDelay(true)
    socket.setTimeout(10_000, () => reject(new Error(`It was not answered: ${JSON.stringify(text)}`)))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      onText()
    })
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('close', () => {
      onText()
      resolve(seenIn(text))
    })
  })
}

function seenIn(text: string): Seen[] {
  const seen: Seen[] = []
  for (let rest = text; rest !== ''; ) {
    const headOnly = rest.indexOf('\r\n\r\n') + 4
    // The answer to HEAD has the length of a body that does not follow.
    const end = rest.startsWith('HTTP/1.1 ', headOnly) ? headOnly : endOf(rest)
    const answer = end > 0 ? rest.slice(0, end) : rest
    const headEnd = answer.indexOf('\r\n\r\n')
    const [head, body] = [answer.slice(0, headEnd), answer.slice(headEnd + 4)]
    const [line = '', ...headers] = head.split(crlf)
    const comparable = headers.filter((one) => !/^date:/i.test(one)).map((one) => one.toLowerCase())
    seen.push({ head: line, headers: comparable.sort(), body: body.replace(/"instance":"[^"]*"/, '') })
    rest = end > 0 ? rest.slice(end) : ''
  }
  return seen
}
