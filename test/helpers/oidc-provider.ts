// A real OpenID Connect provider that nobody here wrote, as a CI provider: its own discovery, keys and signatures. Jobs get
// their tokens from its token endpoint; what these say of the job, the test decides.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import Provider from 'oidc-provider'
import type { Test } from 'tap'
import type { Claims } from './ci-issuer.ts'

export type OidcProvider = {
  readonly url: string
  /** A token for a job, and for nobody but the audience. */
  mint(audience: string, claims: Claims): Promise<string>
  /** Comes up again with these keys, of which the first one signs. */
  useKeys(...keys: JWK[]): void
}

export async function privateKey(alg: string, kid: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  return { ...(await exportJWK(privateKey)), kid, alg, use: 'sig' }
}

const client = { client_id: 'job', client_secret: 'not a secret of anybody', scope: 'ci' }

export async function startOidcProvider(t: Test, ...keys: JWK[]): Promise<OidcProvider> {
  const server = createServer((request, response) => answer(request, response))
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.teardown(() => new Promise((done) => server.close(done)))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const said = { claims: {} as Claims }
  const bringUp = (keys: JWK[]) => configured(url, keys, said).callback()
  let answer = bringUp(keys)
  return {
    url,
    async mint(audience, claims) {
      said.claims = claims
      const form = { grant_type: 'client_credentials', scope: 'ci', resource: audience }
      const basic = Buffer.from(`${client.client_id}:${encodeURIComponent(client.client_secret)}`)
      const response = await fetch(`${url}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${basic.toString('base64')}` },
        body: new URLSearchParams(form),
      })
      const body = (await response.json()) as { access_token?: string }
      if (body.access_token === undefined) throw new Error(JSON.stringify(body))
      return body.access_token
    },
    useKeys: (...keys) => {
      answer = bringUp(keys)
    },
  }
}

function configured(url: string, keys: JWK[], said: { readonly claims: Claims }): Provider {
  const alg = keys[0]!.alg as 'RS256'
  return new Provider(url, {
    clients: [
      {
        ...client,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        id_token_signed_response_alg: alg,
      },
    ],
    jwks: { keys } as never,
    scopes: ['ci'],
    cookies: { keys: ['of the tests'] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, audience) => ({
          scope: 'ci',
          audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 600,
          jwt: { sign: { alg } },
        }),
      },
    },
    formats: {
      customizers: {
        // CI providers give plain JWTs, in which the job is the subject, with nbf.
        jwt: (_context, _token, jwt) => {
          jwt.header = { ...jwt.header, typ: 'JWT' }
          jwt.payload = { ...jwt.payload, nbf: jwt.payload['iat'], ...said.claims }
        },
      },
    },
  })
}
