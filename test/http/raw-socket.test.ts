// HTTP that no client sends: every case is answered by a problem or hung up on, none is read in two ways, and the next
// connection is served. The routes themselves are bad-input.test.ts's business.
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { bareServer } from '../helpers/bare-server.ts'
import { provision, startLatchkey, ways } from '../helpers/latchkey.ts'
import { sendRaw } from '../helpers/raw-http.ts'

/** One answer on the wire. Bodies end with Content-Length, as all of ours do. */
type Raw = { status: number; head: string; body: string }
type Case = [name: string, bytes: string | Buffer, expected: number | 'hung up' | readonly number[]]

const crlf = '\r\n'
const req = (line: string, ...headers: string[]) => [line, 'Host: lk', ...headers, '', ''].join(crlf)
const get = (...headers: string[]) => req('GET /livez HTTP/1.1', 'Connection: close', ...headers)
/** A POST that would succeed, but for what is in `headers` and `body`. */
const post = (headers: string[], body = '') =>
  req('POST /api/v1/tokens HTTP/1.1', 'Content-Type: application/json', 'Connection: close', ...headers) +
  body
const big = 'a'.repeat(65_536)
const chunked = 'Transfer-Encoding: chunked'

const refused: Case[] = [
  ['no request line', crlf.repeat(2) + crlf, 'hung up'],
  ['no HTTP at all', 'hello\r\n\r\n', 400],
  ['binary garbage', Buffer.from([0, 1, 2, 255, 254, 13, 10, 13, 10]), 400],
  ['a TLS hello', Buffer.from('160301020001000100', 'hex'), 400],
  ['HTTP/0.9', 'GET /livez\r\n\r\n', 400],
  ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  ['HTTP/2 without its preface', 'GET /livez HTTP/2.0\r\nHost: lk\r\n\r\n', 400],
  ['HTTP/1.2', 'GET /livez HTTP/1.2\r\nHost: lk\r\n\r\n', 400],
  ['HTTP/9.9', 'GET /livez HTTP/9.9\r\nHost: lk\r\n\r\n', 400],
  ['lower-case http', 'GET /livez http/1.1\r\nHost: lk\r\n\r\n', 400],
  ['another protocol', 'GET /livez RTSP/1.0\r\nHost: lk\r\n\r\n', [400, 200]],
  ['a lower-case method', req('get /livez HTTP/1.1'), 400],
  ['an unknown method', req('BREW /livez HTTP/1.1'), 400],
  ['a method with a control byte', req('G\x01T /livez HTTP/1.1'), 400],
  ['an empty method', req(' /livez HTTP/1.1'), 400],
  ['no target', req('GET HTTP/1.1'), 400],
  ['two targets', req('GET /livez /readyz HTTP/1.1'), 400],
  ['a raw space in the target', req('GET /li vez HTTP/1.1'), 400],
  ['a raw NUL in the target', req('GET /live\0z HTTP/1.1'), 400],
  ['a raw control byte in the target', req('GET /live\x07z HTTP/1.1'), 400],
  ['a target without slash', req('GET livez HTTP/1.1'), 400],
  ['a target of raw UTF-8', req('GET /livé HTTP/1.1', 'Connection: close'), [400, 404]],
  ['a fragment in the target', req('GET /livez#a HTTP/1.1', 'Connection: close'), [400, 404, 200]],
  ['asterisk-form with GET', req('GET * HTTP/1.1', 'Connection: close'), [400, 404]],
  ['OPTIONS *', req('OPTIONS * HTTP/1.1', 'Connection: close'), [400, 404]],
  ['CONNECT', req('CONNECT latchkey:443 HTTP/1.1'), 'hung up'],
  [
    'absolute-form to another host',
    req('GET http://evil.example/livez HTTP/1.1', 'Connection: close'),
    [400, 404, 200],
  ],
  ['no Host', 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
  ['two Hosts', get('Host: lk'), 400],
  [
    'two Hosts for the front',
    req('GET /forward-auth?scope= HTTP/1.1', 'host: other', 'Connection: close'),
    400,
  ],
  ['no host in Host', 'GET /livez HTTP/1.1\r\nHost: a b/c\r\nConnection: close\r\n\r\n', 400],
  [
    'no host in Host, for the front',
    'GET /forward-auth?scope= HTTP/1.1\r\nHost: a b/c\r\nConnection: close\r\n\r\n',
    400,
  ],
  ['a bare LF after the request line', 'GET /livez HTTP/1.1\nHost: lk\n\n', 400],
  ['a bare LF between headers', 'GET /livez HTTP/1.1\r\nHost: lk\nX: y\r\n\r\n', 400],
  ['a bare CR between headers', 'GET /livez HTTP/1.1\r\nHost: lk\rX: y\r\n\r\n', 400],
  ['a bare CR in a value', get('X: a\rb'), 400],
  ['a folded header', get('X: a\r\n b'), 400],
  ['a fold before the first header', 'GET /livez HTTP/1.1\r\n Host: lk\r\n\r\n', 400],
  ['a header without colon', get('nocolon'), 400],
  ['a header with a space before the colon', get('Content-Length : 0'), 400],
  ['a header with an empty name', get(': x'), 400],
  ['a NUL in a header name', get('X\0: y'), 400],
  ['a NUL in a header value', get('X: y\0'), 400],
  ['a DEL in a header value', get('X: y\x7f'), 400],
  ['a header of 64 KB', get(`X: ${big}`), 431],
  ['5000 headers', get(...Array.from({ length: 5_000 }, (_, n) => `X${n}: y`)), 431],
  ['a target of 64 KB', req(`GET /${big} HTTP/1.1`), 431],
  ['a header that never ends', `GET /livez HTTP/1.1\r\nHost: lk\r\nX: ${big}${big}`, 431],
  ['CL.TE', post(['Content-Length: 6', chunked], '0\r\n\r\nG'), 400],
  ['TE.CL', post([chunked, 'Content-Length: 3'], '8\r\nSMUGGLED\r\n0\r\n\r\n'), 400],
  ['TE.TE', post([chunked, 'Transfer-Encoding: identity'], '0\r\n\r\n'), 400],
  ['TE with an unknown coding', post(['Transfer-Encoding: xchunked'], '0\r\n\r\n'), 400],
  ['TE with chunked not last', post(['Transfer-Encoding: chunked, gzip'], '0\r\n\r\n'), 400],
  ['TE with a vertical tab', post(['Transfer-Encoding: \x0bchunked'], '0\r\n\r\n'), 400],
  ['TE with a space before the colon', post(['Transfer-Encoding : chunked'], '0\r\n\r\n'), 400],
  ['TE folded', post(['Transfer-Encoding:\r\n chunked'], '0\r\n\r\n'), 400],
  ['TE in HTTP/1.0', `POST /api/v1/tokens HTTP/1.0\r\n${chunked}\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`, 400],
  ['two unlike Content-Lengths', post(['Content-Length: 2', 'Content-Length: 3'], '{}x'), 400],
  ['two like Content-Lengths', post(['Content-Length: 2', 'Content-Length: 2'], '{}'), 400],
  ['a list of Content-Lengths', post(['Content-Length: 2, 2'], '{}'), 400],
  ['an empty Content-Length', post(['Content-Length:'], '{}'), 400],
  ['a negative Content-Length', post(['Content-Length: -1'], '{}'), 400],
  ['a signed Content-Length', post(['Content-Length: +2'], '{}'), 400],
  ['a hexadecimal Content-Length', post(['Content-Length: 0x2'], '{}'), 400],
  ['a fractional Content-Length', post(['Content-Length: 2.0'], '{}'), 400],
  ['a Content-Length beyond 64 bits', post(['Content-Length: 99999999999999999999'], '{}'), 400],
  ['a Content-Length of 100 MB', post(['Authorization: @', 'Content-Length: 100000000'], '{}'), 413],
  ['a chunk of 100 MB', post(['Authorization: @', chunked], `5F5E100\r\n${big}${big}`), 413],
  ['a chunk size beyond 64 bits', post([chunked], 'FFFFFFFFFFFFFFFFF\r\n'), 400],
  ['a negative chunk size', post([chunked], '-1\r\n'), 400],
  ['a chunk size with 0x', post([chunked], '0x2\r\n{}\r\n0\r\n\r\n'), 400],
  ['a chunk size with a space', post([chunked], '2 \r\n{}\r\n0\r\n\r\n'), 400],
  ['a chunk longer than its size', post(['Authorization: @', chunked], '2\r\n{}xx\r\n0\r\n\r\n'), 400],
  ['a chunk ended by a bare LF', post([chunked], '2\n{}\n0\n\n'), 400],
  [
    'a chunk extension of 64 KB',
    post(['Authorization: @', chunked], `2;${big}\r\n{}\r\n0\r\n\r\n`),
    [400, 413],
  ],
  ['a trailer without colon', post(['Authorization: @', chunked], '2\r\n{}\r\n0\r\nbad\r\n\r\n'), 400],
  ['an expectation nobody has heard of', get('Expect: the-unexpected'), 200],
]

/** Sent, and then the sending side is closed. */
const cutShort: Case[] = [
  ['half a request line', 'GET /li', 400],
  ['half a header', 'GET /livez HTTP/1.1\r\nHost: l', 400],
  [
    'a body shorter than its Content-Length',
    post(['Authorization: @', 'Content-Length: 20'], '{"name":"ci"}'),
    400,
  ],
  ['a body that does not come', post(['Authorization: @', 'Content-Length: 20']), 400],
  ['chunks without the last one', post(['Authorization: @', chunked], 'D\r\n{"name":"ci"}\r\n'), 400],
  ['half a chunk', post(['Authorization: @', chunked], 'FF\r\n{"name":"ci"}'), 400],
  ['half a chunk size', post(['Authorization: @', chunked], 'F'), 400],
]

t.test('HTTP as bytes', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite')
  const port = Number(new URL(latchkey.url).port)
  const open = (bytes: string | Buffer, half = false) =>
    exchange(
      port,
      typeof bytes === 'string'
        ? bytes.replace('Authorization: @', `Authorization: Bearer ${latchkey.admin}`)
        : bytes,
      half,
    )
  const tokens = async () => (await latchkey.call('GET', '/api/v1/tokens?status=any')).body.length

  t.test(
    'malformed HTTP is refused with a problem or hung up on, and the next connection is served',
    async (t) => {
      const before = await tokens()
      for (const [name, bytes, expected] of [...refused, ...cutShort]) {
        const half = cutShort.some(([one]) => one === name) || expected === 'hung up'
        const answers = await open(bytes, half)
        const statuses = answers.map((answer) => answer.status)
        if (expected === 'hung up') t.same(statuses, [], name)
        else t.ok(statuses.length === 1 && [expected].flat().includes(statuses[0]!), `${name}: ${statuses}`)
        for (const answer of answers) if (answer.status >= 400) checkProblem(t, answer, name)
        t.equal((await open(get()))[0]?.status, 200)
      }
      t.equal(await tokens(), before, 'nothing was written')
      t.comment(`${refused.length + cutShort.length} cases tried`)
    },
  )

  // Answering out of turn would tell the first caller that what was done was refused.
  t.test('a refusal is never taken for the answer to an earlier request of the connection', async (t) => {
    const body = '{"name":"ci","subject":"user_1"}'
    const whole = req(
      'POST /api/v1/tokens HTTP/1.1',
      `Authorization: Bearer ${latchkey.admin}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    )
    const statuses = async (bytes: string) => (await open(bytes)).map((answer) => answer.status)
    for (const garbage of [
      'garbage\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      '\0\0\0\0',
      `GET /${big} HTTP/1.1\r\n\r\n`,
    ]) {
      const got = await statuses(whole + body + garbage)
      t.ok(got.length === 0 || got[0] === 200, `${got}`)
    }
    t.same(await statuses(whole + body + whole + body + get()), [200, 200, 200], 'pipelining works')
  })

  t.test('every source of refusals speaks problem+json', async (t) => {
    const json = ['Authorization: @', 'Content-Type: application/json']
    const sources: [source: string, bytes: string, status: number, code: string][] = [
      [
        'a handler',
        req('GET /api/v1/tokens/tok_0 HTTP/1.1', 'Authorization: @', 'Connection: close'),
        404,
        'not-found',
      ],
      ['the guard', req('GET /api/v1/tokens HTTP/1.1', 'Connection: close'), 401, 'invalid-token'],
      ['the validator', post([...json, 'Content-Length: 2'], '{}'), 400, 'validation-failed'],
      ['the router: no route', req('GET /nowhere HTTP/1.1', 'Connection: close'), 404, 'not-found'],
      [
        'the router: wrong method',
        req('PUT /livez HTTP/1.1', 'Connection: close'),
        405,
        'method-not-allowed',
      ],
      [
        'the framework: bad encoding',
        req('GET /%zz HTTP/1.1', 'Connection: close'),
        400,
        'malformed-request',
      ],
      [
        'the framework: long parameter',
        req(`GET /api/v1/tokens/${'a'.repeat(201)} HTTP/1.1`, 'Connection: close'),
        400,
        'malformed-request',
      ],
      ['a parser: bad JSON', post([...json, 'Content-Length: 1'], '{'), 400, 'malformed-request'],
      ['a parser: a large body', post([...json, 'Content-Length: 70000'], big), 413, 'too-large'],
      [
        'a parser: another type',
        post(['Authorization: @', 'Content-Type: text/csv', 'Content-Length: 1'], 'a').replace(
          'Content-Type: application/json\r\n',
          '',
        ),
        415,
        'unsupported-media-type',
      ],
      ['HTTP itself', 'nonsense\r\n\r\n', 400, 'malformed-request'],
      ['HTTP itself: large headers', get(`X: ${big}`), 431, 'headers-too-large'],
    ]
    for (const [source, bytes, status, code] of sources) {
      const [answer] = await open(bytes)
      checkProblem(t, answer!, source)
      t.match(JSON.parse(answer!.body), { status, code }, source)
    }
  })

  t.test('a known path refuses every other method with 405 and tells its own', async (t) => {
    const { body: document } = await latchkey.call('GET', '/openapi.json')
    for (const [template, operations] of Object.entries<object>(document.paths)) {
      // A gateway passes on whatever method it was asked with.
      if (template === '/forward-auth') continue
      const declared = Object.keys(operations).map((one) => one.toUpperCase())
      const allowed = [
        ...declared,
        ...(declared.includes('GET') && !template.endsWith('/revocations') ? ['HEAD'] : []),
      ].sort()
      const path = template.replace(/\{\w+\}/g, 'x')
      for (const method of [
        'GET',
        'POST',
        'PUT',
        'PATCH',
        'DELETE',
        'OPTIONS',
        'TRACE',
        'PROPFIND',
        'QUERY',
      ]) {
        // PATCH …/self is PATCH …/{id}: there is no token of that name.
        if (allowed.includes(method) || (method === 'PATCH' && path.endsWith('/self'))) continue
        const [answer] = await open(
          req(
            `${method} ${path} HTTP/1.1`,
            'X-HTTP-Method-Override: GET',
            'X-Canary: echo',
            'Connection: close',
          ),
        )
        checkProblem(t, answer!, `${method} ${path}`)
        t.equal(answer!.status, 405, `${method} ${path}`)
        t.same(/^allow: (.*)$/im.exec(answer!.head)?.[1]?.split(', ').sort(), allowed, `${method} ${path}`)
        t.notMatch(answer!.head + answer!.body, /echo|access-control/i)
      }
    }
  })

  t.test('HEAD answers what GET answers, without the body', async (t) => {
    const { body: document } = await latchkey.call('GET', '/openapi.json')
    const { id } = await provision(latchkey, { scopes: [] })
    const lasting = (headers: Headers) =>
      [...headers].filter(([name]) => !['date', 'x-request-id', 'connection', 'keep-alive'].includes(name))
    for (const [template, operations] of Object.entries<object>(document.paths)) {
      // A stream has no end, and a gateway's question is not about a resource.
      if (!('get' in operations) || /revocations|forward-auth/.test(template)) continue
      const path = template
        .replace('{code}', 'conflict')
        .replace('{id}', template.includes('tokens') ? id : 'latchkey')
      for (const headers of [{ authorization: `Bearer ${latchkey.admin}` }, {}]) {
        const [got, head] = await Promise.all(
          ['GET', 'HEAD'].map((method) => fetch(latchkey.url + path, { method, headers })),
        )
        t.equal(head!.status, got!.status, path)
        t.same(lasting(head!.headers), lasting(got!.headers), path)
        t.equal(await head!.text(), '')
        await got!.text()
      }
    }
  })
})

for (const { way, lanes } of ways) {
  t.test(`a header counts however many stand before it, ${way}`, async (t) => {
    const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_TRUSTED_PROXIES: '127.0.0.1' }, { lanes })
    const { token } = await provision(latchkey, { scopes: [], ipRestriction: '203.0.113.0/24' })
    const many = Array.from({ length: 1_200 }, (_, n) => `B${n}: 1`)
    const bearer = `Authorization: Bearer ${token}`
    const status = async (...last: string[]) => {
      const asked = req('GET /forward-auth?scope= HTTP/1.1', bearer, 'Connection: close', ...many, ...last)
      return (await sendRaw(latchkey.url, asked)).status
    }
    t.equal(await status('X-Forwarded-For: 203.0.113.9'), 200)
    t.equal(await status('X-Forwarded-For: 198.51.100.9'), 403)
    t.equal(await status('X-Forwarded-For: 203.0.113.9', bearer), 401, 'which of the two counts is not clear')
  })
}

// Else whoever opens connections and says nothing has them all.
t.test('a slow sender is told so and hung up on', async (t) => {
  const app = bareServer()
  t.teardown(() => app.close())
  app.post('/', async () => ({}))
  t.ok(app.server.requestTimeout > 0 && app.server.requestTimeout <= 30_000)
  t.ok(app.server.headersTimeout > 0 && app.server.headersTimeout <= 60_000)
  // The same limits, reached sooner.
  Object.assign(app.server, { requestTimeout: 50, headersTimeout: 50, connectionsCheckingInterval: 10 })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const slow = [
    'POST / HTTP/1.1\r\nHost: lk\r\nX: ',
    req('POST / HTTP/1.1', 'Content-Type: application/json', 'Content-Length: 9'),
  ]
  for (const bytes of slow) {
    const [answer] = await exchange(port, bytes, false)
    checkProblem(t, answer!, bytes)
    t.match(JSON.parse(answer!.body), { status: 408, code: 'request-timeout' })
  }
})

function checkProblem(t: Test, { status, head, body }: Raw, name: string): void {
  const problem = head.includes('application/problem+json') ? JSON.parse(body) : {}
  t.match(
    problem,
    { status, code: /^[a-z-]+$/, message: /./, requestId: /./ },
    `${name}: ${head.slice(0, 200)} ${body.slice(0, 100)}`,
  )
}

/** Sends, and reads until the server hangs up. @param half whether to say that nothing more will come */
function exchange(port: number, bytes: string | Buffer, half: boolean): Promise<Raw[]> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connect(port, '127.0.0.1', () => (half ? socket.end(bytes) : socket.write(bytes)))
    socket.setTimeout(10_000, () => {
      resolve([...parse(chunks), { status: -1, head: 'OPEN', body: '' }])
      socket.destroy()
    })
    socket.on('data', (chunk) => chunks.push(chunk))
    // A server that hangs up on what it will not read resets the connection: that is an end like any other.
    socket.on('error', (error: NodeJS.ErrnoException) =>
      ['ECONNRESET', 'EPIPE'].includes(error.code!) ? resolve(parse(chunks)) : reject(error),
    )
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(parse(chunks)))
  })
}

function parse(chunks: readonly Buffer[]): Raw[] {
  const answers: Raw[] = []
  let rest = Buffer.concat(chunks).toString('latin1')
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n')
    const head = rest.slice(0, end)
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
    answers.push({ status: Number(head.split(' ')[1]), head, body: rest.slice(end + 4, end + 4 + length) })
    rest = rest.slice(end + 4 + length)
  }
  return answers
}
