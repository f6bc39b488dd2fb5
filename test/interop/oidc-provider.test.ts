// A real OpenID Connect provider gives jobs tokens that are shaped like GitHub's and GitLab's; a real Latchkey finds its
// keys by discovery, exchanges them, and keeps up when the provider's keys are rotated.
import t from 'tap'
import { coolDownMs } from '../../src/identity/trust/keys.ts'
import { type Claims, exchangeForm, githubClaims, gitlabClaims } from '../helpers/ci-issuer.ts'
import { type Latchkey, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { type OidcProvider, privateKey, startOidcProvider } from '../helpers/oidc-provider.ts'

// The cool-down counts on the monotonic clock, which is moved here as the other one is elsewhere.
const real = performance.now.bind(performance)
const ahead = { ms: 0 }
performance.now = () => real() + ahead.ms

/** What the provider sets itself: iss, aud, the times, jti. */
const registered = ['iss', 'aud', 'iat', 'nbf', 'exp', 'jti']
const ofJob = (claims: Claims, more: Claims = {}): Claims => ({
  ...Object.fromEntries(Object.entries(claims).filter(([name]) => !registered.includes(name))),
  ...more,
})
const onGithub = ofJob(githubClaims('', '', 0))
const onGitlab = ofJob(gitlabClaims('', '', 0))

async function trusting(t: Parameters<typeof startLatchkey>[0], provider: OidcProvider) {
  const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_INTERNAL_ISSUERS: provider.url })
  latchkey.clock.now = Date.now()
  await registerPosts(latchkey)
  return latchkey
}

async function trust({ call }: Latchkey, body: object): Promise<string> {
  const answer = await call('POST', '/api/v1/trust-policies', { name: 'ci', scopes: ['posts:read'], ...body })
  if (answer.status !== 200) throw new Error(answer.text)
  return answer.body.id
}

const github = { repository_id: '724513876', repository_owner_id: '9919' }
const gitlab = { project_id: '20', namespace_id: '72', ref_protected: 'true' }

t.test('jobs exchange what a real provider gave them', async (t) => {
  const provider = await startOidcProvider(t, await privateKey('RS256', 'one'))
  const latchkey = await trusting(t, provider)
  const { call, form, running } = latchkey
  const ofIt = { issuer: provider.url }
  const policy = await trust(latchkey, { ...ofIt, provider: 'github', conditions: github })
  await trust(latchkey, { ...ofIt, provider: 'gitlab', conditions: gitlab, subject: 'ci_shop' })
  const mint = (claims: Claims, audience = running.issuer) => provider.mint(audience, claims)
  const exchange = async (jwt: string) => form('/oauth2/token', exchangeForm(jwt))
  const self = async (token: string) => (await call('GET', '/api/v1/tokens/self', undefined, { token })).body

  t.test('its discovery document and its keys are what is looked for', async (t) => {
    const found = (await (await fetch(`${provider.url}/.well-known/openid-configuration`)).json()) as Claims
    t.equal(found['issuer'], provider.url)
    const published = (await (await fetch(String(found['jwks_uri']))).json()) as { keys: Claims[] }
    t.match(published.keys, [{ kid: 'one', kty: 'RSA', d: undefined }])
  })

  t.test('on GitHub, in both forms of the sub', async (t) => {
    for (const sub of [
      'repo:acme/site:ref:refs/heads/main',
      'repo:acme@9919/site@724513876:ref:refs/heads/main',
    ]) {
      const { status, body } = await exchange(await mint({ ...onGithub, sub }))
      t.equal(status, 200, JSON.stringify(body))
      t.match(await self(body.access_token), {
        name: 'acme/site run 4711',
        scopes: ['posts:read'],
        metadata: { sub, policy },
      })
    }
  })

  t.test('on GitLab', async (t) => {
    const { body } = await exchange(await mint(onGitlab))
    t.match(await self(body.access_token), { name: 'acme/shop job 302', subject: 'ci_shop' })
  })

  t.test(
    'a token of it that is not for a job of theirs, not for here, or used up, is not exchanged',
    async (t) => {
      const good = await mint(onGithub)
      t.equal((await exchange(good)).status, 200)
      for (const jwt of [
        good,
        await mint({ ...onGithub, repository_id: '1' }),
        await mint({ ...onGithub, event_name: 'pull_request_target' }),
        await mint({ ...onGitlab, ref_protected: 'false' }),
        await mint(onGithub, 'https://other.example'),
      ])
        t.equal((await exchange(jwt)).status, 400)
      const explained = await call('POST', `/api/v1/trust-policies/${policy}/test`, {
        token: await mint({ ...onGithub, event_name: 'pull_request_target' }),
      })
      const failing = explained.body.conditions.filter(({ ok }: { ok: boolean }) => !ok)
      t.match(failing, [{ claim: 'event_name', actual: 'pull_request_target' }])
      t.ok(explained.body.checks.every(({ ok }: { ok: boolean }) => ok))
    },
  )
})

t.test('keys that are rotated at the provider are picked up', async (t) => {
  const [one, two, three] = await Promise.all([
    privateKey('RS256', 'one'),
    privateKey('ES256', 'two'),
    privateKey('EdDSA', 'three'),
  ])
  const provider = await startOidcProvider(t, one, two)
  const latchkey = await trusting(t, provider)
  await trust(latchkey, { issuer: provider.url, provider: 'github', conditions: github })
  const mint = () => provider.mint(latchkey.running.issuer, onGithub)
  const status = async (jwt: string) => (await latchkey.form('/oauth2/token', exchangeForm(jwt))).status
  const kid = (jwt: string) => JSON.parse(Buffer.from(jwt.split('.')[0]!, 'base64url').toString()).kid

  t.equal(await status(await mint()), 200)
  const early = await mint()
  provider.useKeys(two, one)
  const announced = await mint()
  t.equal(kid(announced), 'two')
  t.equal(await status(announced), 200, 'one that was published before it signed, at once')
  t.equal(await status(early), 200, 'what the former one signed is good for as long as it is published')

  const last = [await mint(), await mint()]
  provider.useKeys(three)
  const sudden = await mint()
  t.equal(await status(sudden), 400, 'the provider is not asked more often than every half minute')
  ahead.ms += coolDownMs
  t.equal(await status(sudden), 200, 'one that nobody announced, after that; and nothing was used up')
  for (const jwt of last) t.equal(await status(jwt), 400, `${kid(jwt)} is not published any more`)
})
