// CI tokens that must not be exchanged, made systematically from good ones, each with the reason why: everything that
// can be wrong with form, header, signature, types, times, issuer, audience and claims.
import { createHmac, createPublicKey, KeyObject, sign } from 'node:crypto'
import type { Reason } from '../../src/identity/trust/reason.ts'
import { type CiIssuer, type Claims, newKey, type SigningKey } from './ci-issuer.ts'

export type BadToken = {
  readonly name: string
  readonly reason: Reason
  readonly make: () => Promise<string> | string
}
/** Claims of a good token, at the time that it is now. */
export type Good = (more?: Claims) => Claims

const encoded = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** RS256 over any header and payload, also such as no library would sign. */
function signed(header: unknown, payload: unknown, { key }: SigningKey): string {
  const text = `${encoded(header)}.${encoded(payload)}`
  return `${text}.${sign('RSA-SHA256', Buffer.from(text), KeyObject.from(key)).toString('base64url')}`
}

function without(claims: Claims, name: string): Claims {
  const { [name]: _, ...rest } = claims
  return rest
}

export function badForms({ keys }: CiIssuer, good: Good): BadToken[] {
  const key = keys[0]!
  const header = { typ: 'JWT', alg: 'RS256', kid: key.kid }
  const whole = () => signed(header, good(), key)
  const part = (at: number) => whole().split('.')[at]!
  const list: Record<string, () => string> = {
    'no token but a word': () => 'x',
    'dots alone': () => '..',
    'two segments': () => `${part(0)}.${part(1)}`,
    'no signature': () => `${part(0)}.${part(1)}.`,
    'four segments': () => `${whole()}.${part(2)}`,
    'five segments, as of an encrypted one': () => `${whole()}.${part(1)}.${part(2)}`,
    'a space before': () => ` ${whole()}`,
    'a newline after': () => `${whole()}\n`,
    'Bearer before': () => `Bearer ${whole()}`,
    'base64 with padding': () => `${part(0)}=.${part(1)}.${part(2)}`,
    'base64 of the other alphabet': () => `${part(0)}.${part(1)}+/.${part(2)}`,
    'a NUL in it': () => `${part(0)}\0.${part(1)}.${part(2)}`,
    'a header that is no JSON': () => signed('{', good(), key),
    'a header that is a list': () => signed([header], good(), key),
    'a header that is null': () => signed('null', good(), key),
    'a payload that is no JSON': () => signed(header, '{"iss":', key),
    'a payload that is a list': () => signed(header, [good()], key),
    'a payload that is a text': () => signed(header, JSON.stringify('x'), key),
    'a payload that is a number': () => signed(header, '1', key),
    'a payload that is null': () => signed(header, 'null', key),
    'a payload that is a token': () => signed(header, whole(), key),
    'a payload with bytes that are no UTF-8': () => {
      const text = `${encoded(header)}.${Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url')}`
      return `${text}.${part(2)}`
    },
    'a payload of two objects': () => signed(header, `${JSON.stringify(good())}{}`, key),
    'more than anybody needs': () => signed(header, good({ x: 'x'.repeat(10_000) }), key),
    'the JSON form': () => JSON.stringify({ protected: part(0), payload: part(1), signature: part(2) }),
    'a token of Latchkey’s': () => 'lk_pat_0123456789abcdefghijklmnopqrstuvwxyz',
  }
  return Object.entries(list).map(([name, make]) => ({ name, make, reason: 'malformed' }))
}

export function badAlgorithms({ keys }: CiIssuer, good: Good): BadToken[] {
  const key = keys[0]!
  const header = { typ: 'JWT', alg: 'RS256', kid: key.kid }
  const publicKey = createPublicKey({ key: key.jwk as never, format: 'jwk' })
  const secrets = {
    'the public key as PEM': publicKey.export({ type: 'spki', format: 'pem' }),
    'the public key as PKCS #1': publicKey.export({ type: 'pkcs1', format: 'pem' }),
    'the public key as DER': publicKey.export({ type: 'spki', format: 'der' }),
    'the modulus': Buffer.from(key.jwk.n!, 'base64url'),
    nothing: '',
  }
  const confused = ['HS256', 'HS384', 'HS512'].flatMap((alg) =>
    Object.entries(secrets).map(([what, secret]) => ({
      name: `${alg} with ${what} for a secret`,
      make: () => {
        const text = `${encoded({ ...header, alg })}.${encoded(good())}`
        return `${text}.${createHmac(`sha${alg.slice(2)}`, secret)
          .update(text)
          .digest('base64url')}`
      },
    })),
  )
  const odd = [
    'none',
    'None',
    'NONE',
    'nOnE',
    '',
    ' none',
    'RS256 ',
    'rs256',
    'RS1',
    'RS384',
    'RS512',
    'PS384',
    'PS512',
    'ES384',
    'ES512',
    'ES256K',
    'Ed25519',
    'Ed448',
    'RSA-OAEP',
    'dir',
    'A128KW',
    null,
    undefined,
    256,
    true,
    ['RS256'],
    { alg: 'RS256' },
  ]
  const named = odd.map((alg) => ({
    name: `alg ${JSON.stringify(alg)}`,
    make: () => signed({ ...header, alg }, good(), key),
  }))
  return [...confused, ...named].map((one) => ({ ...one, reason: 'algorithm' as const }))
}

export function badHeaders({ url, keys }: CiIssuer, good: Good): BadToken[] {
  const key = keys[0]!
  const header = { typ: 'JWT', alg: 'RS256', kid: key.kid }
  const odd: Record<string, unknown>[] = [
    ...['jku', 'x5u'].flatMap((name) => [
      { [name]: `${url}/jwks` },
      { [name]: 'https://evil.example/jwks' },
      { [name]: null },
    ]),
    { jwk: key.jwk },
    { jwk: null },
    { x5c: ['MIIB'] },
    { crit: ['exp'] },
    { crit: ['b64'], b64: false },
    { crit: [] },
    { crit: null },
    { b64: true },
    { zip: 'DEF' },
    { enc: 'A128GCM' },
    ...[
      'at+jwt',
      'logout+jwt',
      'secevent+jwt',
      'token-introspection+jwt',
      'jwt',
      'JWS',
      '',
      null,
      1,
      ['JWT'],
    ].map((typ) => ({ typ })),
    { cty: 'jwk+json' },
    ...[undefined, null, '', 1, ['first'], {}, 'k'.repeat(301)].map((kid) => ({ kid })),
  ]
  return odd.map((more) => ({
    name: `header ${JSON.stringify(more).slice(0, 60)}`,
    make: () => signed({ ...header, ...more }, good(), key),
    reason: 'header',
  }))
}

export function badSignatures(issuer: CiIssuer, other: CiIssuer, good: Good): BadToken[] {
  const key = issuer.keys[0]!
  const header = { typ: 'JWT', alg: 'RS256', kid: key.kid }
  const parts = () => signed(header, good(), key).split('.') as [string, string, string]
  const forged = async (alg: string, jwk: object) =>
    issuer.sign(good(), { key: { ...(await newKey(alg)), ...jwk } })
  const bad: Record<string, () => Promise<string> | string> = {
    'a key of one’s own under that name': () => forged('RS256', { kid: key.kid }),
    'another issuer’s key under that name': () => signed(header, good(), { ...other.keys[0]!, kid: key.kid }),
    'the payload changed': () => `${parts()[0]}.${encoded(good({ sha: 'x' }))}.${parts()[2]}`,
    'the header changed': () => `${encoded({ ...header, x: 1 })}.${parts()[1]}.${parts()[2]}`,
    'the signature of another token': () => `${parts()[0]}.${encoded(good())}.${parts()[2]}`,
    'the signature cut short': () => parts().join('.').slice(0, -4),
    'the signature made longer': () => `${parts().join('.')}AAAA`,
    'the signature of zeros': () => `${parts()[0]}.${parts()[1]}.${Buffer.alloc(256).toString('base64url')}`,
    'a signature of one byte': () => `${parts()[0]}.${parts()[1]}.AA`,
    'another hash than it says': () => {
      const text = `${encoded(header)}.${encoded(good())}`
      return `${text}.${sign('RSA-SHA512', Buffer.from(text), KeyObject.from(key.key)).toString('base64url')}`
    },
  }
  const unknown: Record<string, () => Promise<string> | string> = {
    'a key that is not published': () => forged('RS256', {}),
    'an elliptic key that is not published': () => forged('ES256', {}),
    'an elliptic key under the name of an RSA one': () => forged('ES256', { kid: key.kid }),
    'an Edwards key under the name of an RSA one': () => forged('EdDSA', { kid: key.kid }),
    'PSS with a key that is for another padding': () => forged('PS256', { kid: key.kid }),
    ...Object.fromEntries(
      [
        '../../../etc/passwd',
        'first\0',
        'First',
        ' first',
        "first' or '1'='1",
        '__proto__',
        'constructor',
        '*',
        'https://evil.example/k',
      ].map((kid) => [`kid ${kid}`, () => signed({ ...header, kid }, good(), key)]),
    ),
  }
  const as =
    (reason: Reason) =>
    ([name, make]: [string, BadToken['make']]) => ({ name, make, reason })
  return [...Object.entries(bad).map(as('bad_signature')), ...Object.entries(unknown).map(as('unknown_key'))]
}

/** Every registered claim in every wrong type, and left out. */
export function badTypes({ keys }: CiIssuer, good: Good): BadToken[] {
  const key = keys[0]!
  const header = { typ: 'JWT', alg: 'RS256', kid: key.kid }
  const make = (claims: Claims) => () => signed(header, claims, key)
  const wrong: Record<string, unknown[]> = {
    iss: [null, 1, true, '', [], {}, ['x']],
    sub: [null, 1, true, '', [], {}, ['x'], 'x'.repeat(1_001), 'a\0b'],
    aud: [null, 1, true, '', [], {}, [1], ['x', 1], [['x']], [null], { 0: 'x' }],
    exp: [null, '1795350000', true, [], {}, [1795350000], 0, -1, 1795350000000],
    iat: [null, '1795350000', true, [], {}, [1795350000], 0, -1, 1795350000000],
    nbf: [null, '1795350000', true, [], {}, [1795350000], 0, -1, 1795350000000],
    jti: [null, 1, true, '', [], {}, ['x'], 'x'.repeat(501)],
  }
  return Object.entries(wrong).flatMap(([name, values]) => {
    const reason: Reason = name === 'jti' ? 'no_jti' : 'claims_malformed'
    const left = { name: `${name} left out`, reason, make: () => make(without(good(), name))() }
    return [
      left,
      ...values.map((value) => ({
        name: `${name} ${JSON.stringify(value).slice(0, 30)}`,
        reason,
        make: () => make(good({ [name]: value }))(),
      })),
    ]
  })
}

/** @param now epoch milliseconds, read when the token is made */
export function badTimes(issuer: CiIssuer, good: Good, now: () => number): BadToken[] {
  const at =
    (offsets: Record<string, number>): BadToken['make'] =>
    () => {
      const seconds = Math.floor(now() / 1_000)
      return issuer.sign(
        good(Object.fromEntries(Object.entries(offsets).map(([name, by]) => [name, seconds + by]))),
      )
    }
  const list: [string, Reason, BadToken['make']][] = [
    ['expired half a minute ago', 'expired', at({ iat: -330, nbf: -330, exp: -30 })],
    ['expired a day ago', 'expired', at({ iat: -87_000, nbf: -87_000, exp: -86_400 })],
    ['not valid before a minute from now', 'not_yet', at({ nbf: 60 })],
    ['not valid before an hour from now', 'not_yet', at({ nbf: 3_600, exp: 7_200 })],
    ['made a minute from now', 'not_yet', at({ iat: 60 })],
    ['made tomorrow', 'not_yet', at({ iat: 86_400, nbf: 86_400, exp: 90_000 })],
    ['made more than an hour ago', 'too_old', at({ iat: -3_640, nbf: -3_640, exp: 600 })],
    ['good for more than a day', 'too_old', at({ exp: 90_000 })],
    ['good for ever', 'too_old', at({ exp: 3_000_000_000 })],
    ['over before it began', 'claims_malformed', at({ exp: -10, iat: 0, nbf: 0 })],
    ['over the moment it is made', 'claims_malformed', at({ exp: 0, iat: 0, nbf: 0 })],
  ]
  return list.map(([name, reason, make]) => ({ name, reason, make }))
}

export function badParties(issuer: CiIssuer, good: Good, audience: string): BadToken[] {
  const { origin, port, pathname } = new URL(issuer.url)
  const issuers = [
    `${issuer.url}/`,
    issuer.url.toUpperCase(),
    issuer.url.replace('http:', 'https:'),
    `${issuer.url}?x`,
    `${issuer.url}#x`,
    ` ${issuer.url}`,
    `http://localhost:${port}${pathname}`,
    `${origin}/other`,
    `http://evil.example#@127.0.0.1:${port}${pathname}`,
    `http://127.0.0.1:${port}@evil.example`,
    'https://token.actions.githubusercontent.com',
    'https://gitlab.com',
    'accounts.google.com',
    '__proto__',
  ]
  const audiences = [
    `${audience}/`,
    audience.toUpperCase(),
    audience.slice(0, -1),
    `${audience}.evil.example`,
    ` ${audience}`,
    'https://github.com/acme',
    issuer.url,
    'sts.amazonaws.com',
    'https://other.example',
    [`${audience}/`, 'x'],
    `${audience},x`,
    `${audience} x`,
  ]
  const made = (more: Claims) => () => issuer.sign(good(more))
  return [
    ...issuers.map((iss) => ({ name: `iss ${iss}`, reason: 'unknown_issuer' as const, make: made({ iss }) })),
    ...audiences.map((aud) => ({
      name: `aud ${aud}`,
      reason: 'wrong_audience' as const,
      make: made({ aud }),
    })),
  ]
}

const wrongValues = (name: string, values: unknown[]) => values.map((value) => ({ [name]: value }))

/** Claims of other jobs than the one that is trusted; undefined: without that claim. */
const otherGithubJobs: Claims[] = [
  // The name was given anew; a fork; a repository with a name that begins or ends like it.
  ...wrongValues('repository_id', [
    '724513877',
    '72451387',
    '7245138760',
    ' 724513876',
    '0724513876',
    '',
    724513876,
    ['724513876'],
    { id: '724513876' },
    null,
    undefined,
    true,
    '7.24513876e8',
    '７２４５１３８７６',
  ]),
  ...wrongValues('repository_owner_id', [
    '9918',
    '99190',
    '',
    9919,
    ['9919'],
    null,
    undefined,
    false,
    'acme',
  ]),
  {
    repository_id: '1',
    repository_owner_id: '2',
    repository: 'mallory/site',
    repository_owner: 'mallory',
    sub: 'repo:mallory/site:ref:refs/heads/main',
  },
  { repository_id: '800000001' },
  { repository_owner_id: '800000001' },
  // What runs for people from outside, and what is like what does not.
  ...wrongValues('event_name', [
    'pull_request_target',
    'pull_request',
    'workflow_run',
    'issue_comment',
    'issues',
    'fork',
    'watch',
    'discussion',
    'pull_request_review',
    'pull_request_review_comment',
    'check_suite',
    'status',
    'merge_group',
    'PUSH',
    'push ',
    '',
    ['push'],
    null,
    undefined,
    1,
  ]),
  { event_name: 'pull_request_target', sub: 'repo:acme/site:pull_request' },
  { event_name: 'pull_request', sub: 'repo:acme/site:pull_request', ref: 'refs/pull/1/merge' },
  ...wrongValues('ref', [
    'refs/heads/Main',
    'refs/heads/main2',
    'refs/heads/main/x',
    'refs/tags/main',
    'refs/pull/1/merge',
    'main',
    'refs/heads/*',
    'refs/heads/',
    '',
    ['refs/heads/main'],
    null,
    undefined,
  ]),
  ...wrongValues('sub', [
    'repo:acme-evil/site:ref:refs/heads/main',
    'repo:acme/site-evil:ref:refs/heads/main',
    'repo:evil/acme/site:ref:refs/heads/main',
    'repo:acme/site:ref:refs/heads/Main',
    'repo:acme/site:pull_request',
    'repo:acme/site:environment:production',
    'repo:acme/site',
    'repo:acme/site:',
    'repo:acme@9918/site@724513876:ref:refs/heads/main',
    'repo:acme@9919/site@724513877:ref:refs/heads/main',
    'repo:acme@9919/site:ref:refs/heads/main',
    'repo:acme/site@724513876:ref:refs/heads/main',
    'repo:acme@/site@:ref:refs/heads/main',
    'REPO:acme/site:ref:refs/heads/main',
    ' repo:acme/site:ref:refs/heads/main',
    'repo:acme/site:ref:refs/heads/main\n',
    'repo:acme/site:ref:refs/heads/main:x',
    'x',
    '*',
    'repo:acme/*',
  ]),
]

const otherGitlabJobs: Claims[] = [
  ...wrongValues('project_id', [
    '21',
    '200',
    '2',
    ' 20',
    '020',
    20,
    ['20'],
    null,
    undefined,
    '',
    'acme/shop',
  ]),
  ...wrongValues('namespace_id', ['73', '7', '720', 72, ['72'], null, undefined, 'acme']),
  { project_id: '99', project_path: 'acme/shop' },
  { project_id: '99', namespace_id: '98', project_path: 'mallory/shop', namespace_path: 'mallory' },
  ...wrongValues('ref_protected', [
    'false',
    true,
    false,
    1,
    'True',
    'TRUE',
    ' true',
    '',
    ['true'],
    null,
    undefined,
  ]),
  ...wrongValues('pipeline_source', [
    'merge_request_event',
    'external_pull_request_event',
    'chat',
    'external',
    'unknown',
    'api',
    'trigger',
    'PUSH',
    '',
    ['push'],
    null,
    undefined,
  ]),
  { pipeline_source: 'merge_request_event', project_id: '99', ref_protected: 'false' },
]

export function badClaims(issuer: CiIssuer, good: Good, provider: 'github' | 'gitlab'): BadToken[] {
  const others = provider === 'github' ? otherGithubJobs : otherGitlabJobs
  return others.map((more) => ({
    name: Object.entries(more)
      .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
      .join(', '),
    reason: 'no_match',
    make: () => issuer.sign(good(more)),
  }))
}
