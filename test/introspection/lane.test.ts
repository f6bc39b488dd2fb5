// Introspection in front of the router takes its own requests and no others, and refuses in OAuth's words whatever fails, at once
// or later. That it says what the route says is shown in rfc.test.ts and test/http/front.test.ts.
import t from 'tap'
import type { ClientIp } from '../../src/http/client-ip.ts'
import type { RequestHead } from '../../src/http/plain-request.ts'
import { Problem } from '../../src/http/problem.ts'
import type { Introspect } from '../../src/introspection/introspect.ts'
import { introspectionLane } from '../../src/introspection/lane.ts'
import { OAuthError } from '../../src/introspection/oauth-error.ts'
import { parseRange } from '../../src/policy/network.ts'

const request = (head: Partial<RequestHead> = {}) =>
  ({
    method: 'POST',
    url: '/oauth2/introspect',
    headers: { authorization: 'Basic x', 'x-forwarded-for': '203.0.113.7' },
    socket: { remoteAddress: '192.0.2.1' },
    ...head,
  }) as unknown as RequestHead

function laneOf(introspect: Introspect) {
  const troubles: Error[] = []
  const trustedProxies = [parseRange('192.0.2.1')!]
  return {
    ...introspectionLane({ introspect, trustedProxies, onTrouble: (e) => troubles.push(e) }),
    troubles,
  }
}

t.test('it takes what is posted to its path, and nothing else', async (t) => {
  const { takes } = laneOf(() => '')
  t.ok(takes(request()))
  for (const method of ['GET', 'HEAD', 'PUT', 'post']) t.notOk(takes(request({ method })), method)
  for (const url of [
    '/oauth2/introspect/',
    '/oauth2/introspect2',
    '/oauth2/introspect?token=x',
    '/OAuth2/introspect',
    '/oauth2/revoke',
    '',
  ])
    t.notOk(takes(request({ url })), url)
})

t.test('it hands on what was sent, and answers at once where it is answered at once', async (t) => {
  let from: ClientIp | null = null
  const { answer } = laneOf((presented) => {
    from = presented.from()
    return `${presented.authorization} ${presented.form}`
  })
  t.match(answer(request(), 'token=x'), { status: 200, body: 'Basic x token=x' })
  t.match(from, { text: '203.0.113.7' }, 'from where the proxy says that it comes')
})

t.test('what fails is refused in OAuth’s words, at once or later, and told where it is ours', async (t) => {
  const cases: [Error, number, string, boolean][] = [
    [new OAuthError(401, 'invalid_client', 'Wrong.'), 401, 'invalid_client', false],
    [new Problem('insufficient-scope', 'Lacks a scope.'), 403, 'insufficient_scope', false],
    [new Problem('unavailable', 'Not now.'), 503, 'temporarily_unavailable', true],
    [new Error('a secret of ours'), 500, 'server_error', true],
  ]
  for (const [error, status, code, isOurs] of cases) {
    for (const fails of [
      () => Promise.reject(error),
      (): never => {
        throw error
      },
    ]) {
      const { answer, troubles } = laneOf(fails)
      const { body, ...given } = await answer(request(), 'token=x')
      t.equal(given.status, status)
      t.match(JSON.parse(body), { error: code })
      t.notMatch(body, /secret of ours/)
      t.same(troubles, isOurs ? [error] : [])
    }
  }
})
