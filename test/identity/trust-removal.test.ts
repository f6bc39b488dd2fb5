// Removing a trust policy ends all that came of it: the tokens that it gave, and those that these made. Nothing slips
// through that is being given or made at the same moment.
import t from 'tap'
import { exchangeForm, githubClaims, startCiIssuer } from '../helpers/ci-issuer.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { engines, type Latchkey, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { hold, persist, waiting } from '../helpers/races.ts'

const path = '/api/v1/trust-policies'
const conditions = { repository_id: '724513876', repository_owner_id: '9919' }

/** A job of acme/site that may read posts, and make tokens, at a Latchkey that has one policy for it. */
async function setUp(latchkey: Latchkey, issuer: Awaited<ReturnType<typeof startCiIssuer>>) {
  const { call, form, clock, running } = latchkey
  await registerPosts(latchkey)
  const scopes = ['posts:read', 'tokens:write', 'tokens:read']
  const policy = async (more: object = {}): Promise<string> => {
    const { text, body } = await call('POST', path, {
      name: 'site',
      issuer: issuer.url,
      subject: 'ci_site',
      conditions,
      scopes,
      ...more,
    })
    if (!body.id) throw new Error(text)
    return body.id
  }
  const jwt = (aud = running.issuer) => issuer.sign(githubClaims(issuer.url, aud, clock.now))
  const exchange = async (aud?: string): Promise<string | undefined> =>
    (await form('/oauth2/token', exchangeForm(await jwt(aud)))).body.access_token
  const make = (token: string, at = latchkey) =>
    at.call(
      'POST',
      '/api/v1/tokens',
      { name: 'made by a job', scopes: ['posts:read', 'tokens:write'] },
      { token },
    )
  const remove = (id: string) => call('DELETE', `${path}/${id}`)
  return { policy, jwt, exchange, make, remove, id: await policy() }
}

const isGood = async ({ form, admin }: Latchkey, token: string): Promise<boolean> =>
  (await form('/oauth2/introspect', { token }, { authorization: `Bearer ${admin}` })).body.active

for (const engine of engines) {
  t.test(engine, async (t) => {
    const issuer = await startCiIssuer(t, '/_services/token')
    const latchkey = await startLatchkey(t, engine, { LATCHKEY_INTERNAL_ISSUERS: issuer.url })
    const { call, clock } = latchkey
    const { policy, exchange, make, remove, id } = await setUp(latchkey, issuer)

    t.test('when it is removed, what it gave is refused, and what that made, and nothing else', async (t) => {
      const other = await policy({ audience: 'https://other.example' })
      const kept = (await exchange('https://other.example'))!
      const byHand = (await provision(latchkey, { subject: 'ci_site' })).token
      const given = [(await exchange())!, (await exchange())!]
      const { body: child } = await make(given[0]!)
      const { body: grandchild } = await make(child.token)
      const self = (await call('GET', '/api/v1/tokens/self', undefined, { token: given[1]! })).body
      const hidden = await call('PATCH', `/api/v1/tokens/${self.id}`, { metadata: {} }, { token: given[1]! })
      t.equal(hidden.status, 200, 'its metadata is for a token to change; where it came from is not')
      const doomed = [...given, child.token, grandchild.token]
      for (const token of [...doomed, kept, byHand]) t.equal(await isGood(latchkey, token), true)
      clock.now += 1_000

      const { status, body } = await remove(id)
      t.equal(status, 200)
      t.strictSame(body, { message: 'Trust policy removed', status: 200, id, revokedTokens: 4 })
      for (const token of doomed) t.equal(await isGood(latchkey, token), false)
      for (const token of doomed) t.equal((await make(token)).status, 401)
      for (const token of [kept, byHand]) t.equal(await isGood(latchkey, token), true)
      t.equal(await exchange(), undefined)

      const { body: removed } = await call('GET', '/api/v1/audit-events?action=trust_policy.removed')
      t.match(removed[0], { actor: 'admin', subject: 'ci_site', detail: { policyId: id, revokedTokens: 4 } })
      const { body: events } = await call('GET', '/api/v1/audit-events?action=token.revoked')
      const revoked = events.map((event: { tokenId: string }) => event.tokenId)
      t.equal(revoked.length, 4)
      t.ok(revoked.includes(self.id) && revoked.includes(grandchild.id))
      const shown = await call('GET', `/api/v1/tokens/${child.id}`)
      t.match(shown.body, { status: 'revoked', active: false })
      await remove(other)
    })

    t.test('what had ended by itself is left as it was', async (t) => {
      const short = await policy({ maxLifetimeMinutes: 1 })
      await exchange()
      clock.now += 3_600_000
      t.equal((await remove(short)).body.revokedTokens, 0)
    })

    t.test('a change of it leaves what it gave before', async (t) => {
      const changed = await policy()
      const before = (await exchange())!
      await call('PATCH', `${path}/${changed}`, { scopes: ['posts:read'] })
      t.equal(await isGood(latchkey, before), true)
      t.equal((await remove(changed)).body.revokedTokens, 1)
    })
  })
}

t.test('on two replicas', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const issuer = await startCiIssuer(t, '/_services/token')
  const env = {
    DATABASE_URL: url,
    LATCHKEY_INTERNAL_ISSUERS: issuer.url,
    LATCHKEY_ISSUER: 'http://latchkey.example',
  }
  const [one, two] = (await Promise.all([1, 2].map(() => startLatchkey(t, 'postgres', env)))) as [
    Latchkey,
    Latchkey,
  ]
  const { policy, jwt, exchange, make, remove, id } = await setUp(one, issuer)
  const { db } = one.running.store

  t.test('a token that is being made by one of its tokens does not survive it', async (t) => {
    const given = (await exchange())!
    const lock = await hold(db, 'audit_event')
    const making = make(given)
    await waiting(db, 1)
    const removing = remove(id)
    await waiting(db, 2)
    await lock.release()
    const { body: child } = await making
    t.match(child.token, /^lk_pat_/, 'it was made')
    t.equal((await removing).body.revokedTokens, 2)
    for (const replica of [one, two])
      for (const token of [given, child.token]) t.equal(await isGood(replica, token), false)
  })

  t.test('a token that is being exchanged does not survive it', async (t) => {
    const next = await policy()
    const lock = await hold(db, 'audit_event')
    const exchanging = one.form('/oauth2/token', exchangeForm(await jwt()))
    await waiting(db, 1)
    const removing = remove(next)
    await waiting(db, 2)
    await lock.release()
    const { access_token: token } = (await exchanging).body
    t.match(token, /^lk_tmp_/, 'it was exchanged')
    t.equal((await removing).body.revokedTokens, 1)
    for (const replica of [one, two]) t.equal(await isGood(replica, token), false)
  })

  t.test('while jobs come and go on both, none has a good token when it is acknowledged', async (t) => {
    for (let round = 0; round < 5; round++) {
      const next = await policy()
      const secrets: string[] = []
      const job = async (replica: Latchkey) => {
        const form = exchangeForm(await jwt())
        const { body } = await persist(() => replica.form('/oauth2/token', form))
        if (!body.access_token) return
        secrets.push(body.access_token)
        // Into memory, so that it has to be forgotten there.
        await isGood(replica, body.access_token)
        const made = await persist(() => make(body.access_token, replica))
        if (made.status === 200) secrets.push(made.body.token)
      }
      const jobs = Array.from({ length: 16 }, (_, n) => job(n % 2 === 0 ? one : two))
      await Promise.race(jobs)
      const { status } = await remove(next)
      t.equal(status, 200)
      const known = [...secrets]
      for (const replica of [one, two])
        for (const token of known) t.equal(await isGood(replica, token), false)
      await Promise.all(jobs)
      for (const token of secrets) t.equal(await isGood(two, token), false)
      t.ok(secrets.length > 0)
    }
  })
})
