// RFC 7662 and RFC 7009, clause by clause: each test carries the number of its line in the checklist INT / REV.
import t, { type Test } from 'tap'
import { pass, reset, startProxy } from '../faults/proxy.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { type Answer, basic, provision, registerPosts, startLatchkey, ways } from '../helpers/latchkey.ts'
import { rawPost, sendRaw } from '../helpers/raw-http.ts'

const inactive = '{"active":false}'
const formType = 'Content-Type: application/x-www-form-urlencoded'

for (const { way, lanes } of ways) {
  t.test(`introspection, RFC 7662, ${way}`, async (t) => {
    const latchkey = await startLatchkey(t, 'pglite', {}, { lanes })
    const posts = await registerPosts(latchkey)
    const asPosts = basic(posts.id, posts.secret)
    const introspect = (
      fields: Record<string, string> | [string, string][],
      headers = asPosts,
    ): Promise<Answer> => latchkey.form('/oauth2/introspect', fields, headers)
    const good = await provision(latchkey)
    const raw = (headers: string[], body: string) =>
      sendRaw(
        latchkey.url,
        rawPost('/oauth2/introspect', [`Authorization: ${asPosts.authorization}`, ...headers], body),
      )

    t.test('INT-01 a form with a token is required', async (t) => {
      t.match(await introspect({ token: good.token }), { status: 200, body: { active: true } })
      for (const fields of [{}, { token: '' }, { token_hint: good.token }]) {
        refused(t, await introspect(fields), 400, 'invalid_request')
      }
      const json = await latchkey.call(
        'POST',
        '/oauth2/introspect',
        { token: good.token },
        { headers: asPosts },
      )
      refused(t, json, 415, 'invalid_request')
      t.match(json.body.error_description, /Content-Type: application\/x-www-form-urlencoded/)
    })

    t.test('INT-02 token_type_hint changes nothing, whatever it says', async (t) => {
      const plain = await introspect({ token: good.token })
      for (const hint of ['access_token', 'refresh_token', 'banana', '']) {
        t.equal((await introspect({ token: good.token, token_type_hint: hint })).text, plain.text, hint)
      }
    })

    t.test('INT-03 unknown parameters are ignored, repeated ones refused', async (t) => {
      t.equal((await introspect({ token: good.token, token_hint: 'access_token', x: '1' })).status, 200)
      const twice: [string, string][] = [
        ['token', good.token],
        ['token', good.token],
      ]
      refused(t, await introspect(twice), 400, 'invalid_request')
      for (const name of ['token_type_hint', 'scope', 'client_ip', 'anything']) {
        const fields: [string, string][] = [
          ['token', good.token],
          [name, '192.0.2.1'],
          [name, '192.0.2.1'],
        ]
        refused(t, await introspect(fields), 400, 'invalid_request')
      }
    })

    t.test('INT-03 a parameter without a value counts as left out, but not twice', async (t) => {
      const empty = { client_id: '', client_secret: '', scope: '', team: '', client_ip: '' }
      t.match(await introspect({ token: good.token, ...empty }), { status: 200, body: { active: true } })
      const twice: [string, string][] = [
        ['token', good.token],
        ['team', ''],
        ['team', ''],
      ]
      refused(t, await introspect(twice), 400, 'invalid_request')
    })

    t.test('INT-04 GET is not allowed, and a token in the query is neither read nor logged', async (t) => {
      for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
        const answer = await latchkey.call(method, `/oauth2/introspect?token=${good.token}`, undefined, {
          headers: asPosts,
        })
        t.equal(answer.status, 405, method)
        t.equal(answer.headers.get('allow'), 'POST', method)
      }
      const inQuery = await latchkey.form(`/oauth2/introspect?token=${good.token}`, {}, asPosts)
      refused(t, inQuery, 400, 'invalid_request')
      t.notOk(latchkey.log().includes(good.token), 'the log does not have it')
    })

    t.test('INT-05 the content type may carry parameters and any case', async (t) => {
      for (const type of [
        'application/x-www-form-urlencoded;charset=UTF-8',
        'application/x-www-form-urlencoded; charset=utf-8',
        'APPLICATION/X-WWW-FORM-URLENCODED',
      ]) {
        t.match(
          await raw([`Content-Type: ${type}`], `token=${good.token}`),
          { status: 200, body: /"active":true/ },
          type,
        )
      }
    })

    t.test('INT-06 no Accept header is answered 406', async (t) => {
      for (const accept of [
        '*/*',
        'application/json',
        'application/json;charset=UTF-8',
        'text/html',
        'application/token-introspection+jwt',
      ]) {
        const answer = await raw([formType, `Accept: ${accept}`], `token=${good.token}`)
        t.match(answer, { status: 200, body: /"active":true/ }, accept)
        t.match(answer.headers.get('content-type'), /^application\/json/, accept)
      }
    })

    t.test(
      'INT-10 without credentials nobody learns anything, so tokens cannot be scanned for',
      async (t) => {
        refused(t, await introspect({ token: good.token }, {} as never), 401, 'invalid_client')
        refused(
          t,
          await introspect({ token: good.token, client_id: posts.id }, {} as never),
          401,
          'invalid_client',
        )
      },
    )

    t.test('INT-11 bad client credentials are invalid_client, with a challenge for Basic', async (t) => {
      const wrong = ['posts:wrong', 'nobody:wrong', 'posts:', 'latchkey:latchkey'].map((pair) => {
        return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
      })
      for (const headers of [...wrong, { authorization: 'Basic %%%' }, { authorization: 'Digest a=b' }]) {
        const answer = await introspect({ token: good.token }, headers)
        refused(t, answer, 401, 'invalid_client')
        t.match(answer.headers.get('www-authenticate'), /^Basic realm="/)
      }
      const byForm = { token: good.token, client_id: 'posts', client_secret: 'wrong' }
      refused(t, await introspect(byForm, {} as never), 401, 'invalid_client')
    })

    t.test(
      'INT-12 a bad bearer caller is 401 invalid_token, one without the right 403 insufficient_scope',
      async (t) => {
        const bearer = (token: string) =>
          introspect({ token: good.token }, { authorization: `Bearer ${token}` })
        const unknown = await bearer(`${good.token.slice(0, -1)}_`)
        refused(t, unknown, 401, 'invalid_token')
        t.match(unknown.headers.get('www-authenticate'), /^Bearer .*error="invalid_token"/)

        const powerless = await bearer(good.token)
        refused(t, powerless, 403, 'insufficient_scope')
        t.match(
          powerless.headers.get('www-authenticate'),
          /error="insufficient_scope", scope="tokens:introspect"/,
        )

        const entitled = await provision(latchkey, { subject: 'gateway', scopes: ['tokens:introspect'] })
        t.match((await bearer(entitled.token)).body, { active: true, jti: good.id })
        await latchkey.call('DELETE', `/api/v1/tokens/${entitled.id}`)
        refused(t, await bearer(entitled.token), 401, 'invalid_token')
      },
    )

    t.test('INT-13 credentials given twice must agree', async (t) => {
      const both = (client_id: string, client_secret: string) =>
        introspect({ token: good.token, client_id, client_secret })
      t.equal((await both(posts.id, posts.secret)).body.active, true)
      refused(t, await both(posts.id, 'another-secret'), 400, 'invalid_request')
      refused(t, await both('another', posts.secret), 400, 'invalid_request')
      refused(t, await introspect({ token: good.token, client_id: 'another' }), 400, 'invalid_request')
      const alone = { token: good.token, client_secret: posts.secret }
      refused(t, await introspect(alone), 400, 'invalid_request')
      const withBearer = { authorization: `Bearer ${latchkey.admin}` }
      const fields = { token: good.token, client_id: posts.id, client_secret: posts.secret }
      refused(t, await introspect(fields, withBearer), 400, 'invalid_request')
      for (const first of [asPosts.authorization, `Bearer ${latchkey.admin}`]) {
        const twice = [`Authorization: ${first}`, formType]
        const { status, body } = await raw(twice, `token=${good.token}`)
        t.equal(status, 401, 'of two headers, neither counts')
        t.match(body, /The Authorization header cannot be read/)
      }
    })

    t.test('INT-14 assertions of the client are not offered, so they are no credentials', async (t) => {
      const { body } = await latchkey.call('GET', '/.well-known/oauth-authorization-server')
      t.strictSame(body.introspection_endpoint_auth_methods_supported, [
        'client_secret_basic',
        'client_secret_post',
      ])
      const assertion = {
        token: good.token,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: 'e30.e30.e30',
      }
      refused(t, await introspect(assertion, {} as never), 401, 'invalid_client')
    })

    t.test(
      'INT-15 guessing secrets tells nothing about ids, and does not stop those who know theirs',
      async (t) => {
        await introspect({ token: good.token })
        const guesses = Array.from({ length: 80 }, (_, index) =>
          introspect({ token: good.token }, basic(index % 2 === 0 ? 'posts' : 'nobody', `guess-${index}`)),
        )
        const meanwhile = await introspect({ token: good.token })
        t.equal(meanwhile.status, 200)
        const answers = await Promise.all(guesses)
        const refusals = answers.filter((answer) => answer.status === 401)
        t.ok(refusals.length > 0)
        t.equal(new Set(refusals.map((answer) => answer.text)).size, 1, 'known and unknown ids read the same')
        for (const answer of answers.filter((one) => one.status !== 401)) {
          refused(t, answer, 503, 'temporarily_unavailable')
        }
      },
    )

    t.test('INT-20 the answer is JSON, and active a boolean', async (t) => {
      const answer = await introspect({ token: good.token })
      t.match(answer.headers.get('content-type'), /^application\/json/)
      t.equal(answer.body.active, true)
      t.equal((await introspect({ token: 'x' })).body.active, false)
    })

    t.test('INT-21 INT-22 INT-23 every inactive token gets the same bytes, whatever the cause', async (t) => {
      await latchkey.call('POST', '/api/v1/services', { id: 'places', name: 'Places API' })
      const of = async (body: Record<string, unknown>) => (await provision(latchkey, body)).token
      const revoked = await provision(latchkey)
      await latchkey.call('DELETE', `/api/v1/tokens/${revoked.id}`)
      const ofDisabled = await of({ subject: 'user_disabled' })
      await latchkey.call('PATCH', '/api/v1/subjects/user_disabled', { disabled: true })
      const expiring = await of({ expiresIn: '1h' })
      const checksumWrong = `${good.token.slice(0, -1)}${good.token.endsWith('0') ? '1' : '0'}`
      const bodies: Record<string, string> = {
        unknown: 'token=lk_pat_0000000000000000000000000000002C8GjS',
        'of a wrong checksum': `token=${checksumWrong}`,
        malformed: 'token=nonsense',
        'very long': `token=${'a'.repeat(10_000)}`,
        'with NUL and broken UTF-8': 'token=%00%ff%fe',
        revoked: `token=${revoked.token}`,
        expired: `token=${expiring}`,
        'of a disabled subject': `token=${ofDisabled}`,
        'for another service': `token=${await of({ audience: ['places'] })}`,
        'IP-restricted, address unknown': `token=${await of({ ipRestriction: '192.0.2.0/24' })}`,
        'used from elsewhere': `token=${await of({ ipRestriction: '192.0.2.0/24' })}&client_ip=198.51.100.1`,
        'without the scope': `token=${await of({})}&scope=posts%3Awrite`,
        'of another team': `token=${await of({ team: 'team_a' })}&team=team_b`,
      }
      latchkey.clock.now += 3_600_000
      const answers = await Promise.all(
        Object.entries(bodies).map(async ([name, body]) => ({ name, ...(await raw([formType], body)) })),
      )
      latchkey.clock.now -= 3_600_000
      const first = comparable(answers[0]!.head)
      for (const { name, head, body, status } of answers) {
        t.equal(status, 200, name)
        t.equal(body, inactive, name)
        t.equal(comparable(head), first, name)
      }
      // Whether a request is large is known to its sender; only the order of the headers may depend on it.
      const large = await raw([formType], `token=${'a'.repeat(30_000)}`)
      t.match(large, { status: 200, body: inactive })
      t.equal(sortedLines(large.head), sortedLines(answers[0]!.head), 'a large form')
    })

    t.test('INT-24 only a service that checks addresses itself is told the ranges', async (t) => {
      const bound = await provision(latchkey, { ipRestriction: '192.0.2.0/24, 2001:db8::/32' })
      const judged = await introspect({ token: bound.token, client_ip: '192.0.2.7' })
      t.equal(judged.body.active, true)
      t.notOk('ip_ranges' in judged.body)

      const body = { id: 'edge', name: 'Edge', checksIp: true }
      const edge = (await latchkey.call('POST', '/api/v1/services', body)).body
      const told = await introspect({ token: bound.token }, basic('edge', edge.clientSecret))
      t.match(told.body, { active: true, ip_ranges: ['192.0.2.0/24', '2001:db8::/32'] })
      const elsewhere = { token: bound.token, client_ip: '198.51.100.1' }
      t.equal((await introspect(elsewhere, basic('edge', edge.clientSecret))).text, inactive)
      for (const client_ip of ['nonsense', '192.0.2.7/24', '192.0.2.07', '192.0.2.7, 192.0.2.8', ' ']) {
        const unreadable = await introspect(
          { token: bound.token, client_ip },
          basic('edge', edge.clientSecret),
        )
        refused(t, unreadable, 400, 'invalid_request')
      }
      t.match(
        (await introspect({ token: bound.token, client_ip: '' }, basic('edge', edge.clientSecret))).body,
        {
          active: true,
        },
      )
      t.equal(
        (await introspect({ token: bound.token, client_ip: '' })).text,
        inactive,
        'an empty one is none',
      )
    })

    t.test('scopes are separated by one space or several, and none of them is without a name', async (t) => {
      const needs = async (scope: string) => (await introspect({ token: good.token, scope })).body.active
      for (const scope of ['', ' ', 'posts:read', ' posts:read  posts:read '])
        t.equal(await needs(scope), true, scope)
      for (const scope of ['posts:write', 'posts:read posts:write', ' posts:write '])
        t.equal(await needs(scope), false, scope)
    })

    t.test(
      'INT-25 members have the types that clients rely on, and are left out rather than null',
      async (t) => {
        const full = await provision(latchkey, {
          scopes: ['posts:write'],
          audience: ['posts'],
          team: 'team_a',
          expireAt: '2027-01-31T12:00:00.999Z',
        })
        t.strictSame((await introspect({ token: full.token })).body, {
          active: true,
          scope: 'posts:read posts:write',
          client_id: full.id,
          username: 'user_42',
          token_type: 'Bearer',
          exp: Date.parse('2027-01-31T12:00:00Z') / 1000,
          iat: Math.floor(latchkey.clock.now / 1000),
          sub: 'user_42',
          aud: ['posts'],
          iss: latchkey.running.issuer,
          jti: full.id,
          token_kind: 'personal',
          team: 'team_a',
        })
        const bare = await provision(latchkey, { scopes: [], expireAt: null })
        const { body } = await introspect({ token: bare.token })
        for (const member of ['scope', 'exp', 'aud', 'team', 'nbf']) t.notOk(member in body, member)
        t.notOk(Object.values(body).includes(null))
        t.ok(URL.canParse(body.iss))
      },
    )

    t.test('INT-26 no member is called error or access_token, and all but lists are flat', async (t) => {
      const { body } = await introspect({ token: good.token })
      t.notOk('error' in body || 'access_token' in body)
      for (const [name, value] of Object.entries(body)) {
        t.ok(Array.isArray(value) || typeof value !== 'object', name)
      }
    })

    t.test('INT-27 no answer may be stored', async (t) => {
      for (const token of [good.token, 'unknown', '']) {
        const { headers } = await introspect({ token })
        t.equal(headers.get('cache-control'), 'no-store')
      }
      t.equal((await introspect({ token: good.token })).headers.get('pragma'), 'no-cache')
    })

    t.test('INT-28 no secret is in the log, at the most talkative level', async (t) => {
      await introspect({ token: good.token, client_ip: 'nonsense' })
      for (const secret of [good.token, posts.secret, latchkey.admin])
        t.notOk(latchkey.log().includes(secret))
    })
  })

  t.test(`revocation, RFC 7009, ${way}`, async (t) => {
    const latchkey = await startLatchkey(t, 'pglite', {}, { lanes })
    const posts = await registerPosts(latchkey)
    const asPosts = basic(posts.id, posts.secret)
    const revoke = (fields: Record<string, string>, headers: Record<string, string> = asPosts) =>
      latchkey.form('/oauth2/revoke', fields, headers)
    const isActive = async (token: string): Promise<boolean> =>
      (await latchkey.form('/oauth2/introspect', { token }, asPosts)).body.active

    t.test(
      'REV-01 a form with a token, from an authenticated caller; a wrong hint is no obstacle',
      async (t) => {
        const made = await provision(latchkey)
        refused(t, await revoke({}), 400, 'invalid_request')
        refused(t, await revoke({ token: made.token }, {}), 401, 'invalid_client')
        refused(t, await revoke({ token: made.token }, basic('posts', 'wrong')), 401, 'invalid_client')
        const json = await latchkey.call(
          'POST',
          '/oauth2/revoke',
          { token: made.token },
          { headers: asPosts },
        )
        refused(t, json, 415, 'invalid_request')
        const get = await latchkey.call('GET', '/oauth2/revoke')
        t.match({ status: get.status, allow: get.headers.get('allow') }, { status: 405, allow: 'POST' })
        t.equal(await isActive(made.token), true, 'none of these did anything')
        t.equal((await revoke({ token: made.token, token_type_hint: 'refresh_token' })).status, 200)
        t.equal(await isActive(made.token), false)
      },
    )

    t.test(
      'any valid token may revoke by secret, and end itself, whichever services it is for',
      async (t) => {
        const elsewhere = await provision(latchkey, { audience: ['posts'], scopes: [] })
        const leaked = await provision(latchkey)
        const bearer = { authorization: `Bearer ${elsewhere.token}` }
        for (const { token } of [leaked, elsewhere]) {
          t.equal(await isActive(token), true)
          t.equal((await revoke({ token }, bearer)).status, 200)
          t.equal(await isActive(token), false)
        }
        t.equal((await revoke({ token: leaked.token }, bearer)).status, 401, 'it is not valid any more')
      },
    )

    t.test('REV-02 unknown, malformed and already revoked tokens are 200 too', async (t) => {
      const made = await provision(latchkey)
      const first = await revoke({ token: made.token })
      const checksumWrong = `${made.token.slice(0, -1)}${made.token.endsWith('0') ? '1' : '0'}`
      for (const token of [made.token, 'nonsense', checksumWrong, 'a'.repeat(30_000), '\0']) {
        const answer = await revoke({ token })
        t.match({ status: answer.status, text: answer.text }, { status: 200, text: first.text })
      }
    })

    t.test(
      'REV-03 whoever holds the whole secret may end it: a token for another service as well',
      async (t) => {
        await latchkey.call('POST', '/api/v1/services', { id: 'places', name: 'Places API' })
        const made = await provision(latchkey, { audience: ['places'] })
        t.equal((await revoke({ token: made.token })).status, 200)
        t.equal((await latchkey.call('GET', `/api/v1/tokens/${made.id}`)).body.status, 'revoked')
      },
    )

    t.test('REV-04 an unknown hint is not an unsupported token type', async (t) => {
      const made = await provision(latchkey)
      t.equal((await revoke({ token: made.token, token_type_hint: 'banana' })).status, 200)
      t.equal(await isActive(made.token), false)
    })

    t.test('REV-05 what is revoked is refused at once, at every door', async (t) => {
      const made = await provision(latchkey, { scopes: ['tokens:introspect'] })
      t.equal(await isActive(made.token), true)
      await revoke({ token: made.token })
      t.equal(await isActive(made.token), false)
      t.equal(
        (await latchkey.call('GET', '/api/v1/tokens/self', undefined, { token: made.token })).status,
        401,
      )
      const check = await latchkey.call('POST', '/api/v1/verify', { token: made.token })
      t.match(check.body, { valid: false, code: 'revoked' })
    })

    t.test('REV-07 twice is one revocation in the records, and a bearer may end itself', async (t) => {
      const made = await provision(latchkey)
      const answer = await revoke({ token: made.token }, { authorization: `Bearer ${made.token}` })
      t.equal(answer.status, 200)
      t.equal(answer.headers.get('cache-control'), 'no-store')
      await revoke({ token: made.token })
      const query = `?tokenId=${made.id}&action=token.revoked`
      const { body } = await latchkey.call('GET', `/api/v1/audit-events${query}`)
      t.equal(body.length, 1)
      t.match(body[0], { actor: 'user_42' })
    })
  })

  t.test(
    `REV-06 OPS-04 out of reach of its store, Latchkey says 503 and when to come back, never "inactive", ${way}`,
    async (t) => {
      const { url, drop } = await freshPostgresUrl()
      t.teardown(drop)
      const server = new URL(url)
      const proxy = await startProxy({ host: server.hostname, port: Number(server.port) })
      t.teardown(() => proxy.stop())
      const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: proxy.through(url) }, { lanes })
      const posts = await registerPosts(latchkey)
      const made = await provision(latchkey)
      const asPosts = basic(posts.id, posts.secret)
      t.equal((await latchkey.form('/oauth2/introspect', { token: made.token }, asPosts)).body.active, true)

      await proxy.mode(reset)
      const unknown = 'lk_pat_0000000000000000000000000000002C8GjS'
      for (const [path, token] of [
        ['/oauth2/introspect', unknown],
        ['/oauth2/revoke', made.token],
      ] as const) {
        const answer = await latchkey.form(path, { token }, asPosts)
        refused(t, answer, 503, 'temporarily_unavailable')
        t.equal(answer.headers.get('retry-after'), '1')
      }
      await proxy.mode(pass)
      t.equal((await latchkey.form('/oauth2/revoke', { token: made.token }, asPosts)).status, 200)
    },
  )
}

function refused(t: Test, answer: Answer, status: number, error: string): void {
  t.equal(answer.status, status, `${status} ${error}`)
  t.match(answer.headers.get('content-type'), /^application\/json/)
  t.equal(answer.headers.get('cache-control'), 'no-store')
  t.equal(answer.body?.error, error)
  // RFC 6749 §5.2: no quotes, no backslash, nothing beyond ASCII.
  t.match(answer.body?.error_description, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
}

/** The head of an answer without what differs between any two requests. */
const comparable = (head: string) => head.replace(/^(date|x-request-id): .*$/gim, '$1')

const sortedLines = (head: string) => comparable(head).split('\r\n').sort().join('\n')
