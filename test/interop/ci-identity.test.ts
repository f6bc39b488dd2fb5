// CI jobs come by tokens with nothing but what their provider gave them: real issuers over HTTP, real signatures, and a
// corpus of tokens that must not be exchanged. Whatever is wrong, whoever presents it is told the same.
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import t, { type Test } from 'tap'
import { readRegistered } from '../../src/identity/trust/claims.ts'
import { readJwt } from '../../src/identity/trust/jwt.ts'
import {
  type BadToken,
  badAlgorithms,
  badClaims,
  badForms,
  badHeaders,
  badParties,
  badSignatures,
  badTimes,
  badTypes,
} from '../helpers/bad-ci-tokens.ts'
import {
  type CiIssuer,
  type Claims,
  exchangeForm,
  exchangeGrant,
  githubClaims,
  gitlabClaims,
  newKey,
  startCiIssuer,
} from '../helpers/ci-issuer.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { engines, type Latchkey, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

const github = { repository_id: '724513876', repository_owner_id: '9919' }
const gitlab = { project_id: '20', namespace_id: '72', ref_protected: 'true' }

async function policy(latchkey: Latchkey, body: Record<string, unknown>) {
  const answer = await latchkey.call('POST', '/api/v1/trust-policies', {
    name: 'ci',
    scopes: ['posts:read'],
    ...body,
  })
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.body
}

const exchange = (latchkey: Latchkey, token: string, more: Record<string, string> = {}) =>
  latchkey.form('/oauth2/token', exchangeForm(token, more))

const introspect = async ({ form, admin }: Latchkey, token: string) =>
  (await form('/oauth2/introspect', { token }, { authorization: `Bearer ${admin}` })).body

const count = async ({ call }: Latchkey) =>
  (await call('GET', '/api/v1/tokens?type=federated&status=any&limit=100')).body.length

for (const engine of engines) {
  t.test(engine, async (t) => {
    const hub = await startCiIssuer(t, '/_services/token')
    const lab = await startCiIssuer(t)
    const latchkey = await startLatchkey(t, engine, { LATCHKEY_INTERNAL_ISSUERS: `${hub.url}, ${lab.url}` })
    const { clock } = latchkey
    const { issuer: audience } = latchkey.running
    await registerPosts(latchkey)
    const onMain = { ref: 'refs/heads/main', sub: 'repo:acme/site:ref:refs/heads/main' }
    await policy(latchkey, {
      issuer: hub.url,
      conditions: { ...github, ...onMain },
      team: 'team_a',
      services: ['posts'],
    })
    await policy(latchkey, { issuer: lab.url, provider: 'gitlab', conditions: gitlab, subject: 'ci_shop' })
    const ofHub = (more: Claims = {}) => githubClaims(hub.url, audience, clock.now, more)
    const ofLab = (more: Claims = {}) => gitlabClaims(lab.url, audience, clock.now, more)

    t.test(
      'a GitHub job gets a token that does what the policy says, for a quarter of an hour',
      async (t) => {
        const { status, headers, body } = await exchange(latchkey, await hub.sign(ofHub()))
        t.equal(status, 200)
        t.equal(headers.get('cache-control'), 'no-store')
        t.match(body, {
          access_token: /^lk_tmp_[0-9A-Za-z]{36}$/,
          issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          token_type: 'Bearer',
          expires_in: 900,
          scope: 'posts:read',
        })
        const self = await latchkey.call('GET', '/api/v1/tokens/self', undefined, {
          token: body.access_token,
        })
        t.match(self.body, {
          type: 'federated',
          name: 'acme/site run 4711',
          subject: /^ci_pol_/,
          team: 'team_a',
          audience: ['posts'],
          scopes: ['posts:read'],
          expireAt: new Date(clock.now + 900_000).toISOString(),
          metadata: {
            policy: /^pol_/,
            repository: 'acme/site',
            run_id: '4711',
            sha: /^2f1c/,
            event_name: 'push',
          },
        })
        const from = clock.now
        clock.now = from + 899_000
        const asPosts = await latchkey.call('POST', '/api/v1/services/posts/credentials', {})
        const basic = Buffer.from(`posts:${asPosts.body.clientSecret}`).toString('base64')
        const check = async () =>
          (
            await latchkey.form(
              '/oauth2/introspect',
              { token: body.access_token },
              { authorization: `Basic ${basic}` },
            )
          ).body
        t.match(await check(), { active: true, token_kind: 'federated', team: 'team_a', aud: ['posts'] })
        clock.now = from + 900_000
        t.strictSame(await check(), { active: false })
        const rotated = await latchkey.call('POST', `/api/v1/tokens/${self.body.id}/rotate`, {})
        t.not(rotated.status, 200, 'it is not to be had for longer')
      },
    )

    t.test('both forms of GitHub’s sub, and names in any case, are the same job', async (t) => {
      for (const sub of [
        'repo:acme/site:ref:refs/heads/main',
        'repo:acme@9919/site@724513876:ref:refs/heads/main',
        'repo:Acme/Site:ref:refs/heads/main',
        'repo:ACME@9919/SITE@724513876:ref:refs/heads/main',
      ])
        t.equal((await exchange(latchkey, await hub.sign(ofHub({ sub })))).status, 200, sub)
      const inId = { ...onMain, sub: 'repo:acme@9919/site@724513876:ref:refs/heads/main' }
      const { id } = await policy(latchkey, {
        issuer: hub.url,
        audience: 'by id',
        conditions: { ...github, ...inId },
      })
      for (const sub of [onMain.sub, inId.sub])
        t.equal((await exchange(latchkey, await hub.sign(ofHub({ sub, aud: 'by id' })))).status, 200, sub)
      await latchkey.call('DELETE', `/api/v1/trust-policies/${id}`)
      t.equal((await exchange(latchkey, await hub.sign(ofHub({ aud: 'by id' })))).status, 400, 'removed')
    })

    t.test('a GitLab job gets a token of the policy’s subject', async (t) => {
      const more = { subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' }
      const { body } = await exchange(
        latchkey,
        await lab.sign(ofLab({ aud: ['https://other.example', audience] })),
        more,
      )
      t.match(await introspect(latchkey, body.access_token), {
        active: true,
        sub: 'ci_shop',
        scope: 'posts:read',
      })
      const self = await latchkey.call('GET', '/api/v1/tokens/self', undefined, { token: body.access_token })
      t.match(self.body, {
        name: 'acme/shop job 302',
        metadata: { pipeline_id: '574', user_login: 'sample-user' },
      })
    })

    t.test('every algorithm that is allowed works', async (t) => {
      const cloud = await startCiIssuer(t)
      const other = await startLatchkey(t, engine, { LATCHKEY_INTERNAL_ISSUERS: cloud.url })
      await registerPosts(other)
      await policy(other, { issuer: cloud.url, conditions: { sub: 'job:1' } })
      for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA']) cloud.keys.push(await newKey(alg, alg))
      for (const key of cloud.keys) {
        const claims = { ...githubClaims(cloud.url, other.running.issuer, other.clock.now), sub: 'job:1' }
        const { repository_id: _, ...plain } = claims as Claims
        for (const typ of ['JWT', undefined]) {
          const token = await cloud.sign({ ...plain, jti: `${key.kid} ${typ}` }, { key, header: { typ } })
          t.equal((await exchange(other, token)).status, 200, `${key.alg} ${typ}`)
        }
      }
      t.strictSame(cloud.asked, ['/.well-known/openid-configuration', '/jwks'], 'asked once for all of them')
      const github = await cloud.sign({
        ...githubClaims(cloud.url, other.running.issuer, other.clock.now),
        sub: 'job:1',
      })
      t.equal((await exchange(other, github)).status, 400, 'GitHub’s tokens do not come in as anybody’s')
    })

    t.test('a token is exchanged once, however often and wherever it is presented', async (t) => {
      const token = await hub.sign(ofHub())
      const before = await count(latchkey)
      const answers = await Promise.all(Array.from({ length: 20 }, () => exchange(latchkey, token)))
      t.strictSame(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(400)])
      t.equal(await count(latchkey), before + 1)
      clock.now += 60_000
      t.equal((await exchange(latchkey, token)).status, 400)
      const again = { jti: JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()).jti }
      t.equal(
        (await exchange(latchkey, await hub.sign(ofHub(again)))).status,
        400,
        'signed anew under the same jti',
      )
      t.equal(
        (await exchange(latchkey, await lab.sign(ofLab(again)))).status,
        200,
        'another issuer’s jti is another',
      )
      clock.now += 60_000
    })

    t.test(
      'of the corpus of bad tokens none is exchanged, each for its own reason, all with the same answer',
      (t) => refuseAll(t, latchkey, hub, lab, { ofHub, ofLab, audience }),
    )

    t.test('clients that nobody here wrote exchange tokens', async (t) => {
      const url = new URL(audience)
      const insecure = { [oauth.allowInsecureRequests]: true }
      const found = await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure })
      const server = await oauth.processDiscoveryResponse(url, found)
      t.strictSame(server.grant_types_supported, [exchangeGrant])
      const client = { client_id: 'ci' }
      const parameters = async () => {
        const { grant_type: _, ...rest } = exchangeForm(await hub.sign(ofHub()), {
          scope: 'posts:read',
          audience: 'posts',
        })
        return rest
      }
      const answer = await oauth.genericTokenEndpointRequest(
        server,
        client,
        oauth.None(),
        exchangeGrant,
        await parameters(),
        insecure,
      )
      const granted = await oauth.processGenericTokenEndpointResponse(server, client, answer)
      t.match(granted, {
        access_token: /^lk_tmp_/,
        token_type: 'bearer',
        expires_in: 900,
        scope: 'posts:read',
      })

      const config = await openid.discovery(url, 'ci', undefined, openid.None(), {
        execute: [openid.allowInsecureRequests],
        algorithm: 'oauth2',
      })
      const other = await openid.genericGrantRequest(config, exchangeGrant, await parameters())
      t.match(other, { access_token: /^lk_tmp_/, token_type: 'bearer' })
      const bad = { ...(await parameters()), subject_token: 'x' }
      const refusal = await openid.genericGrantRequest(config, exchangeGrant, bad).catch((error) => error)
      t.match(refusal, { error: 'invalid_request', status: 400 })
    })
  })
}

type Goods = { ofHub: (more?: Claims) => Claims; ofLab: (more?: Claims) => Claims; audience: string }

async function refuseAll(
  t: Test,
  latchkey: Latchkey,
  hub: CiIssuer,
  lab: CiIssuer,
  goods: Goods,
): Promise<void> {
  const { clock, call } = latchkey
  const { ofHub, ofLab, audience } = goods
  const now = () => clock.now
  const corpus: BadToken[] = [
    ...badForms(hub, ofHub),
    ...badAlgorithms(hub, ofHub),
    ...badHeaders(hub, ofHub),
    ...badSignatures(hub, lab, ofHub),
    ...badTypes(hub, ofHub),
    ...badTimes(hub, ofHub, now),
    ...badParties(hub, ofHub, audience),
    ...badClaims(hub, ofHub, 'github'),
    ...badTypes(lab, ofLab),
    ...badTimes(lab, ofLab, now),
    ...badParties(lab, ofLab, audience),
    ...badClaims(lab, ofLab, 'gitlab'),
  ]
  // Of an issuer that nobody trusts, or of one that cannot be read, nothing is recorded: anybody could fill the log.
  const unreadable = ['malformed', 'algorithm', 'header', 'claims_malformed', 'no_jti']
  const unrecorded = [...unreadable, 'unknown_issuer']
  const before = await count(latchkey)
  const texts = new Set<string>()
  const wrong: string[] = []
  for (const { name, reason, make } of corpus) {
    clock.now += 1_000
    const at = new Date(clock.now).toISOString()
    const token = await make()
    const { status, headers, text } = await exchange(latchkey, token)
    texts.add(text)
    if (status !== 400 || headers.get('cache-control') !== 'no-store') wrong.push(`${name}: ${status}`)
    const events = (await call('GET', `/api/v1/audit-events?action=exchange.refused&since=${at}`)).body
    const reasons = events.map((event: { detail: { reason: string } }) => event.detail.reason).join()
    const expected = unrecorded.includes(reason) ? '' : reason
    if (reasons !== expected) wrong.push(`${name}: ${reasons || 'not recorded'}, not ${expected}`)
    const byItself = readingOf(token)
    if (byItself !== null && byItself !== reason) wrong.push(`${name}: ${byItself}, not ${reason}`)
    if (byItself === null && unreadable.includes(reason)) wrong.push(`${name}: can be read`)
  }
  t.comment(`${corpus.length} bad tokens`)
  t.ok(corpus.length >= 150)
  t.strictSame(wrong, [])
  t.strictSame(
    [...texts],
    [
      '{"error":"invalid_request","error_description":"The subject_token is not trusted here, or not any more."}',
    ],
  )
  t.equal(await count(latchkey), before, 'none was exchanged')
  t.equal((await exchange(latchkey, await hub.sign(ofHub()))).status, 200, 'a good one still is')
  t.equal((await exchange(latchkey, await lab.sign(ofLab()))).status, 200)
  t.notMatch(latchkey.log(), /eyJ[A-Za-z0-9_-]{20,}/, 'no token of theirs is in the log')
}

/** What is wrong with a token whoever it is from; null: nothing. */
function readingOf(token: string): string | null {
  const jwt = readJwt(token)
  if (typeof jwt === 'string') return jwt
  const registered = readRegistered(jwt.claims)
  return typeof registered === 'string' ? registered : null
}

t.test('two replicas exchange a token once between them', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const hub = await startCiIssuer(t, '/_services/token')
  const env = {
    DATABASE_URL: url,
    LATCHKEY_INTERNAL_ISSUERS: hub.url,
    LATCHKEY_ISSUER: 'http://latchkey.example',
  }
  const replicas = await Promise.all([1, 2].map(() => startLatchkey(t, 'postgres', env)))
  const [one] = replicas as [Latchkey, Latchkey]
  await registerPosts(one)
  await policy(one, { issuer: hub.url, conditions: github })
  for (let round = 0; round < 5; round++) {
    const token = await hub.sign(githubClaims(hub.url, 'http://latchkey.example', one.clock.now))
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => exchange(replicas[n % 2]!, token)))
    t.strictSame(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(400)], `round ${round}`)
    t.equal(await count(one), round + 1)
    const { access_token } = answers.find(({ status }) => status === 200)!.body
    for (const replica of replicas) t.match(await introspect(replica, access_token), { active: true })
  }
})
