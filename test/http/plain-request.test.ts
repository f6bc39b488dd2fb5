// What is read in front of Node's parser: only requests that cannot be read in two ways.
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { createHeadReader, headEnd, readPlainHead } from '../../src/http/plain-request.ts'

const from = { remoteAddress: '203.0.113.7' }
const head = (...lines: string[]) => `${lines.join('\r\n')}\r\n`
const read = (...lines: string[]) =>
  readPlainHead(head('GET /forward-auth HTTP/1.1', 'Host: lk', ...lines), from)

t.test('a plain request is read as Node reads it', async (t) => {
  const request = readPlainHead(
    head(
      'POST /oauth2/introspect?a=b%20c HTTP/1.1',
      'Host: tokens.example.com',
      'Content-Length: 12',
      'X-Padded: \t two words \t ',
      'X-Empty:',
      'connection: Keep-Alive',
    ),
    from,
  )
  t.match(request, {
    method: 'POST',
    url: '/oauth2/introspect?a=b%20c',
    bodyBytes: 12,
    isLast: false,
    socket: from,
  })
  t.same(request!.headers, {
    host: 'tokens.example.com',
    'content-length': '12',
    'x-padded': 'two words',
    'x-empty': '',
    connection: 'Keep-Alive',
  })
  t.match(read('Connection: close'), { isLast: true, bodyBytes: 0 })
})

t.test('whatever could be read in two ways, or changes how long a request is, is left to Node', async (t) => {
  const line = 'GET /forward-auth HTTP/1.1'
  for (const lines of [
    [line],
    [line, 'Host: a', 'Host: a'],
    [line, 'Host: a', 'host: b'],
    [line, 'Host: a', 'Authorization: Bearer x', 'AUTHORIZATION: Bearer y'],
    [line, 'Host: a', 'Content-Length: 1', 'Content-Length: 1'],
    [line, 'Host: a', 'Content-Length: 1, 1'],
    [line, 'Host: a', 'Content-Length: +1'],
    [line, 'Host: a', 'Content-Length: 0x1'],
    [line, 'Host: a', 'Content-Length:'],
    [line, 'Host: a', 'Content-Length: 1 1'],
    [line, 'Host: a', 'Content-Length: 999999'],
    [line, 'Host: a', 'Transfer-Encoding: chunked'],
    [line, 'Host: a', 'transfer-encoding:'],
    [line, 'Host: a', 'Content-Encoding: gzip'],
    [line, 'Host: a', 'Expect: 100-continue'],
    [line, 'Host: a', 'Upgrade: h2c'],
    [line, 'Host: a', 'Trailer: x'],
    [line, 'Host: a', 'Connection: x-forwarded-for'],
    [line, 'Host: a', 'Connection: keep-alive, upgrade'],
    [line, 'Host: a', 'X-Forwarded-For : 1.2.3.4'],
    [line, 'Host: a', 'X_Forwarded_For: 1.2.3.4'],
    [line, 'Host: a', ' folded'],
    [line, 'Host: a', 'no colon'],
    [line, 'Host: a', ': nothing'],
    [line, 'Host: a', 'X: a\nY: b'],
    [line, 'Host: a', 'X: a\rb'],
    [line, 'Host: a', 'X: \0'],
    [line, 'Host: a', 'X: \x7f'],
    [line, 'Host: a', 'X: é'],
    [line, 'Host: a', '__proto__: x'],
    ['GET /forward-auth HTTP/1.0', 'Host: a'],
    ['GET /forward-auth HTTP/1.2', 'Host: a'],
    ['GET /forward-auth http/1.1', 'Host: a'],
    ['get /forward-auth HTTP/1.1', 'Host: a'],
    ['BREW /forward-auth HTTP/1.1', 'Host: a'],
    ['GET  /forward-auth HTTP/1.1', 'Host: a'],
    ['GET /forward-auth  HTTP/1.1', 'Host: a'],
    ['GET /forward-auth\tHTTP/1.1', 'Host: a'],
    ['GET http://a/forward-auth HTTP/1.1', 'Host: a'],
    ['GET forward-auth HTTP/1.1', 'Host: a'],
    ['GET * HTTP/1.1', 'Host: a'],
    ['GET /forward-auth#x HTTP/1.1', 'Host: a'],
    ['GET /forward-auth/a b HTTP/1.1', 'Host: a'],
    ['GET /forward-auth/"a" HTTP/1.1', 'Host: a'],
    ['GET /forward-auth/a\\b HTTP/1.1', 'Host: a'],
    ['GET /forward-auth/é HTTP/1.1', 'Host: a'],
    ['', 'GET /forward-auth HTTP/1.1', 'Host: a'],
    [' GET /forward-auth HTTP/1.1', 'Host: a'],
  ]) {
    t.equal(readPlainHead(head(...lines), from), null, JSON.stringify(lines))
  }
})

t.test('a head has an end, and is not too long', async (t) => {
  t.equal(headEnd('GET / HTTP/1.1\r\nHost: a\r\n\r\nbody'), 25)
  t.equal(headEnd('GET / HTTP/1.1\r\nHost: a\r\n'), -1)
  t.equal(headEnd('GET / HTTP/1.1\nHost: a\n\n'), -1)
  t.equal(headEnd(`GET / HTTP/1.1\r\nHost: ${'a'.repeat(17_000)}\r\n\r\n`), -1)
})

t.test('a head that is like the one before is read as if it had come alone', async () => {
  const authorizations = [
    [],
    ['Authorization: Bearer lk_pat_a'],
    ['Authorization: Bearer lk_pat_bb'],
    ['authorization:Bearer lk_pat_a  '],
    ['Authorization: Bearer lk_pat_a  '],
    ['Authorization:  Basic YTpi'],
    ['Authorization: Bearer a b'],
    ['Authorization: Bearer '],
    ['Authorization: Bearer a', 'Authorization: Bearer b'],
    ['X-Authorization: Bearer a'],
    ['Authorization: Bearer x:y'],
  ]
  const others = [
    [],
    ['X-Team: Bearer lk_pat_a'],
    ['X-Team: a'],
    ['Expect: 100-continue'],
    ['Content-Length: 1'],
  ]
  const anyHead = fc
    .tuple(fc.constantFrom(...others), fc.constantFrom(...authorizations), fc.constantFrom(...others))
    .map(([before, own, after]) =>
      head('GET /forward-auth HTTP/1.1', 'Host: lk', ...before, ...own, ...after),
    )
  fc.assert(
    fc.property(fc.array(anyHead, { maxLength: 12 }), (heads) => {
      const readNext = createHeadReader(from)
      return heads.every((one) => isDeepStrictEqual(readNext(one), readPlainHead(one, from)))
    }),
    { numRuns: 5_000 },
  )
})
