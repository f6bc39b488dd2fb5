// A CI provider for tests: a real OpenID Connect issuer over HTTP, with discovery, keys and signatures, whose tokens
// look like GitHub's or GitLab's, or like anything else that a test wants to be refused.
import { randomUUID } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK } from 'jose'
import type { Test } from 'tap'

export type SigningKey = {
  readonly alg: string
  readonly kid: string
  readonly key: CryptoKey
  readonly jwk: JWK
}
export type Claims = Record<string, unknown>
export type Signing = { readonly key?: SigningKey; readonly header?: Record<string, unknown> }

export type CiIssuer = {
  readonly url: string
  /** Those published; a test may add and take away. */
  readonly keys: SigningKey[]
  /** Paths that were asked for. */
  readonly asked: string[]
  /** Answers in place of the usual ones, by path. */
  readonly instead: Map<string, (response: ServerResponse) => void>
  /** Signed with the first key, unless told otherwise. */
  sign(claims: Claims | string, signing?: Signing): Promise<string>
}

export async function newKey(alg: string, kid: string = randomUUID()): Promise<SigningKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  return {
    alg,
    kid,
    key: privateKey as CryptoKey,
    jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' },
  }
}

/** @param path of the issuer, as GitHub Enterprise Server has one */
export async function startCiIssuer(t: Test, path = ''): Promise<CiIssuer> {
  const keys = [await newKey('RS256', 'first')]
  const asked: string[] = []
  const instead: CiIssuer['instead'] = new Map()
  const server = createServer((request, response) => {
    asked.push(request.url!)
    const other = instead.get(request.url!)
    if (other) return other(response)
    const json = documents[request.url!]?.()
    response
      .writeHead(json ? 200 : 404, { 'content-type': 'application/json' })
      .end(JSON.stringify(json ?? {}))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.teardown(() => new Promise((done) => server.close(done)))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`
  const documents: Record<string, () => unknown> = {
    [`${path}/.well-known/openid-configuration`]: () => ({ issuer: url, jwks_uri: `${url}/jwks` }),
    [`${path}/jwks`]: () => ({ keys: keys.map(({ jwk }) => jwk) }),
  }
  const sign: CiIssuer['sign'] = (claims, { key = keys[0]!, header = {} } = {}) => {
    const text = typeof claims === 'string' ? claims : JSON.stringify(claims)
    const all = { typ: 'JWT', alg: key.alg, kid: key.kid, ...header }
    const present = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
    return new CompactSign(new TextEncoder().encode(text))
      .setProtectedHeader(present as typeof all)
      .sign(key.key)
  }
  return { url, keys, asked, instead, sign }
}

const times = (now: number) => {
  const seconds = Math.floor(now / 1_000)
  return { iat: seconds, nbf: seconds - 300, exp: seconds + 600, jti: randomUUID() }
}

/** As documented by GitHub, for a push to main of acme/site. @param now epoch milliseconds */
export const githubClaims = (iss: string, aud: unknown, now: number, more: Claims = {}): Claims => ({
  ...times(now),
  iss,
  aud,
  sub: 'repo:acme/site:ref:refs/heads/main',
  ref: 'refs/heads/main',
  ref_type: 'branch',
  ref_protected: 'true',
  sha: '2f1c6a1f0f7e3d2b9b8b6a9c0f4f5e6d7c8b9a01',
  repository: 'acme/site',
  repository_id: '724513876',
  repository_owner: 'acme',
  repository_owner_id: '9919',
  repository_visibility: 'private',
  run_id: '4711',
  run_number: '10',
  run_attempt: '1',
  runner_environment: 'github-hosted',
  actor: 'octocat',
  actor_id: '12',
  workflow: 'deploy',
  workflow_ref: 'acme/site/.github/workflows/deploy.yml@refs/heads/main',
  job_workflow_ref: 'acme/site/.github/workflows/deploy.yml@refs/heads/main',
  head_ref: '',
  base_ref: '',
  event_name: 'push',
  ...more,
})

/** As documented by GitLab, for a push to the protected main of acme/shop. */
export const gitlabClaims = (iss: string, aud: unknown, now: number, more: Claims = {}): Claims => ({
  ...times(now),
  iss,
  aud,
  sub: 'project_path:acme/shop:ref_type:branch:ref:main',
  namespace_id: '72',
  namespace_path: 'acme',
  project_id: '20',
  project_path: 'acme/shop',
  user_id: '1',
  user_login: 'sample-user',
  pipeline_id: '574',
  pipeline_source: 'push',
  job_id: '302',
  ref: 'main',
  ref_type: 'branch',
  ref_path: 'refs/heads/main',
  ref_protected: 'true',
  environment_protected: 'false',
  runner_environment: 'self-hosted',
  sha: '714a629c0b401fdce83e847fc9589983fc6f46bc',
  ...more,
})

export const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** What a job sends. */
export const exchangeForm = (token: string, more: Record<string, string> = {}) => ({
  grant_type: exchangeGrant,
  subject_token: token,
  subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  ...more,
})
