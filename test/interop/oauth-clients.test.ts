// Clients that nobody here wrote, unmodified: two OAuth libraries and curl as they are, and others by the very bytes
// they send (reference: their sources, or captures of them).
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import t, { type Test } from 'tap'
import { provision, registerPosts, startLatchkey, ways } from '../helpers/latchkey.ts'
import { type RawAnswer, sendRaw } from '../helpers/raw-http.ts'

const run = promisify(execFile)

// Both halves with characters that some clients percent-encode in Basic and others do not.
const secret = 'a-secret_of-the-posts_service'

for (const { way, lanes } of ways) {
  t.test(`OAuth clients, ${way}`, async (t) => {
    const latchkey = await startLatchkey(t, 'pglite', {}, { lanes })
    const { issuer } = latchkey.running
    await registerPosts(latchkey, { clientSecret: secret })
    await latchkey.call('POST', '/api/v1/services', { id: 'pl-a_ces', name: 'Places', clientSecret: secret })
    const good = await provision(latchkey)
    const revoked = async () => {
      const made = await provision(latchkey)
      await latchkey.call('DELETE', `/api/v1/tokens/${made.id}`)
      return made
    }

    t.test('openid-client', async (t) => {
      const execute = [openid.allowInsecureRequests]
      const server = new URL(issuer)
      const ways: [string, openid.ClientAuth, openid.DiscoveryRequestOptions][] = [
        ['openid-configuration, client_secret_post', openid.ClientSecretPost(secret), { execute }],
        ['RFC 8414, client_secret_basic', openid.ClientSecretBasic(secret), { execute, algorithm: 'oauth2' }],
      ]
      for (const [name, authentication, options] of ways) {
        for (const clientId of ['posts', 'pl-a_ces']) {
          t.test(`${name}, ${clientId}`, async (t) => {
            const config = await openid.discovery(server, clientId, undefined, authentication, options)
            t.equal(config.serverMetadata().issuer, issuer)
            const active = await openid.tokenIntrospection(config, good.token, {
              token_type_hint: 'access_token',
            })
            t.match(active, { active: true, scope: 'posts:read', sub: 'user_42', jti: good.id, iss: issuer })
            t.strictSame(await openid.tokenIntrospection(config, (await revoked()).token), { active: false })

            const made = await provision(latchkey)
            await openid.tokenRevocation(config, made.token)
            await openid.tokenRevocation(config, made.token)
            t.strictSame(await openid.tokenIntrospection(config, made.token), { active: false })
          })
        }
      }

      t.test('a refusal arrives as the error it is', async (t) => {
        const wrong = openid.ClientSecretPost('not-the-secret')
        const config = await openid.discovery(server, 'posts', undefined, wrong, { execute })
        t.match(await rejection(openid.tokenIntrospection(config, good.token)), { status: 401 })
        const right = await openid.discovery(server, 'posts', undefined, openid.ClientSecretPost(secret), {
          execute,
        })
        await t.rejects(openid.tokenIntrospection(right, ''), { message: /"?token"?/ })
        t.match(await rejection(openid.clientCredentialsGrant(right)), {
          error: 'unsupported_grant_type',
          status: 400,
        })
      })
    })

    t.test('oauth4webapi', async (t) => {
      const insecure = { [oauth.allowInsecureRequests]: true }
      const url = new URL(issuer)
      for (const algorithm of ['oidc', 'oauth2'] as const) {
        const found = await oauth.discoveryRequest(url, { algorithm, ...insecure })
        const server = await oauth.processDiscoveryResponse(url, found)
        for (const authentication of [oauth.ClientSecretBasic(secret), oauth.ClientSecretPost(secret)]) {
          const client = { client_id: 'pl-a_ces' }
          const introspect = async (token: string) => {
            const answer = await oauth.introspectionRequest(server, client, authentication, token, insecure)
            return oauth.processIntrospectionResponse(server, client, answer)
          }
          t.match(await introspect(good.token), { active: true, client_id: good.id, token_type: 'Bearer' })
          t.strictSame(await introspect('nonsense'), { active: false })

          const made = await provision(latchkey)
          const answer = await oauth.revocationRequest(server, client, authentication, made.token, insecure)
          await oauth.processRevocationResponse(answer)
          t.strictSame(await introspect(made.token), { active: false })
        }
        const stranger = { client_id: 'nobody' }
        const refused = await oauth.revocationRequest(
          server,
          stranger,
          oauth.ClientSecretPost('x'),
          good.token,
          insecure,
        )
        const refusal = await rejection(oauth.processRevocationResponse(refused))
        // It reads the challenge before the body.
        t.match(refusal, { name: 'WWWAuthenticateChallengeError', status: 401 })
        t.match(refusal.cause, [{ scheme: 'basic', parameters: { realm: 'latchkey' } }])
      }

      t.test('the protected resource is found from a refusal, and its server from there', async (t) => {
        const refusal = await fetch(`${latchkey.url}/api/v1/tokens`)
        await refusal.text()
        const named = /resource_metadata="([^"]+)"/.exec(refusal.headers.get('www-authenticate')!)?.[1]
        t.equal(named, `${issuer}/.well-known/oauth-protected-resource`)
        const answer = await oauth.resourceDiscoveryRequest(url, insecure)
        const resource = await oauth.processResourceDiscoveryResponse(url, answer)
        t.strictSame(resource.authorization_servers, [issuer])
      })
    })

    t.test('curl', { skip: await withoutCurl() }, async (t) => {
      const curl = async (...args: string[]) =>
        (await run('curl', ['--silent', '--show-error', ...args])).stdout
      const introspection = `${latchkey.url}/oauth2/introspect`
      const data = ['--data', `token=${good.token}`]
      t.match(JSON.parse(await curl(introspection, '--user', `posts:${secret}`, ...data)), { active: true })
      const inForm = ['--data', 'client_id=posts', '--data', `client_secret=${secret}`]
      t.match(JSON.parse(await curl(introspection, ...data, ...inForm)), { active: true })
      const bearer = ['--oauth2-bearer', latchkey.admin]
      t.match(JSON.parse(await curl(introspection, ...bearer, ...data)), { active: true })
      t.match(JSON.parse(await curl('--http1.0', introspection, ...bearer, ...data)), { active: true })
      const made = await provision(latchkey)
      await curl(
        '--fail',
        `${latchkey.url}/oauth2/revoke`,
        '--user',
        `posts:${secret}`,
        '--data',
        `token=${made.token}`,
      )
      const after = await curl(introspection, '--user', `posts:${secret}`, '--data', `token=${made.token}`)
      t.equal(after, '{"active":false}')
    })

    t.test('the bytes of clients that are not installed here', async (t) => {
      const gone = (await revoked()).token
      for (const [name, request] of Object.entries(fixtures(latchkey.admin))) {
        for (const id of ['posts', 'pl-a_ces']) {
          const send = (token: string) => sendRaw(latchkey.url, request(id, token))
          replay(t, name, await send(good.token), await send(gone))
        }
      }
    })
  })
}

type Request = (clientId: string, token: string) => string

function fixtures(bearer: string): Record<string, Request> {
  const raw = (id: string) => `Authorization: Basic ${base64(`${id}:${secret}`)}`
  const escaped = (id: string) => `Authorization: Basic ${base64(`${percent(id)}:${percent(secret)}`)}`
  const form = 'Content-Type: application/x-www-form-urlencoded'
  return {
    'Spring, raw Basic': (id, token) =>
      post(
        [raw(id), 'Accept: application/json', `${form};charset=UTF-8`, 'User-Agent: Java/21'],
        `token=${token}`,
      ),
    'Spring before 6': (id, token) =>
      post([raw(id), 'Accept: application/json;charset=UTF-8', `${form};charset=UTF-8`], `token=${token}`),
    'openid-client, every byte percent-encoded': (id, token) =>
      post(
        [escaped(id), 'accept: application/json', `${form};charset=UTF-8`],
        `token_type_hint=access_token&token=${token}`,
      ),
    'NGINX njs, HTTP/1.0': (id, token) =>
      post([raw(id), form], `token=${token}&token_hint=access_token`, '1.0'),
    'NGINX njs, HTTP/1.0, Bearer': (_id, token) =>
      post([`Authorization: Bearer ${bearer}`, form], `token=${token}&token_hint=access_token`, '1.0'),
    'HAProxy httpclient, chunked, no length': (id, token) =>
      chunked([raw(id), form, 'user-agent: HAProxy'], `token=${token}`),
    'HAProxy httpclient, in small chunks': (id, token) =>
      chunked([raw(id), form, 'user-agent: HAProxy'], `token=${token}`, 7),
    'lua-resty-openidc and APISIX, body only': (id, token) =>
      post(
        [form, 'User-Agent: lua-resty-http/0.17'],
        `client_id=${id}&client_secret=${secret}&token=${token}`,
      ),
    'lua-resty-openidc and APISIX, Basic and body': (id, token) =>
      post([raw(id), form], `client_id=${id}&client_secret=${secret}&token=${token}`),
    mod_auth_openidc: (id, token) =>
      post([raw(id), 'User-Agent: mod_auth_openidc', 'Accept: */*', form], `token=${token}`),
    mod_oauth2: (id, token) =>
      post(
        [raw(id), 'User-Agent: liboauth2-1.4.5.4', 'Accept: */*', form],
        `token=${token}&token_type_hint=access_token`,
      ),
    'Authlib, raw Basic': (id, token) =>
      post(
        [raw(id), 'User-Agent: python-requests/2.28', 'Accept-Encoding: gzip, deflate', 'Accept: */*', form],
        `token=${token}`,
      ),
    'zitadel, escaped Basic': (id, token) =>
      post([escaped(id), 'User-Agent: Go-http-client/1.1', 'Accept-Encoding: gzip', form], `token=${token}`),
    'django-oauth-toolkit, Bearer': (_id, token) =>
      post([`Authorization: Bearer ${bearer}`, 'Accept: */*', form], `token=${token}`),
    'scheme and header names in lower case': (id, token) =>
      post(
        [raw(id).replace('Authorization: Basic', 'authorization: basic'), form.toLowerCase()],
        `token=${token}`,
      ),
  }
}

function replay(t: Test, name: string, active: RawAnswer, inactive: RawAnswer): void {
  t.equal(active.status, 200, name)
  t.match(active.headers.get('content-type'), /^application\/json/, name)
  // Some read until the connection closes and know no chunks (RFC 9112 §7.1).
  t.notOk(active.headers.has('transfer-encoding'), name)
  t.match(JSON.parse(active.body), { active: true, token_type: 'Bearer' }, name)
  t.equal(inactive.body, '{"active":false}', name)
}

/** What a promise is rejected with. */
// biome-ignore lint/suspicious/noExplicitAny: whatever a client throws
const rejection = (promise: Promise<unknown>): Promise<any> =>
  promise.then(
    () => 'was not rejected',
    (error: unknown) => error,
  )

function post(headers: string[], body: string, version = '1.1'): string {
  const length = `Content-Length: ${Buffer.byteLength(body)}`
  const lines = ['Host: latchkey.test', 'Connection: close', ...headers, length]
  return `POST /oauth2/introspect HTTP/${version}\r\n${lines.join('\r\n')}\r\n\r\n${body}`
}

function chunked(headers: string[], body: string, size = body.length): string {
  const parts = body.match(new RegExp(`.{1,${size}}`, 'g')) ?? []
  const chunks = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')
  const lines = ['Host: latchkey.test', 'Connection: close', ...headers, 'Transfer-Encoding: chunked']
  return `POST /oauth2/introspect HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${chunks}0\r\n\r\n`
}

const base64 = (text: string) => Buffer.from(text).toString('base64')
const percent = (text: string) =>
  encodeURIComponent(text).replace(
    /[-_.!~*'()]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )

async function withoutCurl(): Promise<string | false> {
  return run('curl', ['--version']).then(
    () => false,
    () => 'curl is not installed',
  )
}
