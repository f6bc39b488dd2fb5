// The verifier of @latchkey/sdk against a real Latchkey: whom it lets in, what it remembers, and that it says no when
// it cannot know.
import t, { type Test } from 'tap'
import { createVerifier, type VerifierOptions } from '../../packages/sdk/src/index.ts'
import { createTestVerifier } from '../../packages/sdk/src/testing.ts'
import { checksum } from '../../src/token/format.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { putBetween, remembered } from './between.ts'

t.test('the verifier', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite')
  const posts = await registerPosts(latchkey)
  // They wait for leases, each of its own.
  t.jobs = 12
  await latchkey.call('POST', '/api/v1/services', { id: 'places', name: 'Places API' })

  async function verifierFor(t: Test, more: Partial<VerifierOptions> = {}) {
    const between = await putBetween(t, latchkey.url)
    const verifier = createVerifier({
      url: between.url,
      clientId: posts.id,
      clientSecret: posts.secret,
      now: () => latchkey.clock.now,
      ...more,
    })
    t.teardown(verifier.close)
    return { between, verifier }
  }

  t.test('a good token is let in with what is known of it', async (t) => {
    const { verifier } = await verifierFor(t)
    const token = await provision(latchkey, { scopes: ['posts:write'], team: 'team_a' })
    t.match(await verifier.verify(token.token, { scopes: ['posts:write'] }), {
      active: true,
      token: { id: token.id, subject: 'user_42', team: 'team_a', scopes: ['posts:read', 'posts:write'] },
    })
  })

  t.test('scopes, team and address are judged alike by memory and by Latchkey', async (t) => {
    const { verifier, between } = await verifierFor(t)
    const wide = await provision(latchkey, { scopes: ['posts:write'], team: 'team_a' })
    const bound = await provision(latchkey, { ipRestriction: '192.0.2.0/24, 2001:db8::/32' })
    const cases = [
      [wide, {}, null],
      [wide, { scopes: ['posts:read'] }, null],
      [wide, { scopes: ['posts:read', 'posts:write'] }, null],
      [wide, { scopes: ['posts:delete', 'posts:read'] }, 'missing_scope'],
      [wide, { team: 'team_a' }, null],
      [wide, { team: 'team_b' }, 'wrong_team'],
      [wide, { team: 'x'.repeat(200) }, 'wrong_team'],
      [bound, {}, 'ip_not_allowed'],
      [bound, { clientIp: '192.0.2.7' }, null],
      [bound, { clientIp: '::ffff:192.0.2.7' }, null],
      [bound, { clientIp: '2001:db8::7' }, null],
      [bound, { clientIp: '192.0.3.7' }, 'ip_not_allowed'],
      [bound, { clientIp: 'here' }, 'ip_not_allowed'],
      [bound, { clientIp: '192.0.2.7', scopes: ['posts:write'] }, 'missing_scope'],
      [bound, { clientIp: '192.0.2.7', team: 'team_a' }, null],
    ] as const
    const judgeAll = async (how: string, fresh: boolean) => {
      for (const [{ token }, question, reason] of cases) {
        const verdict = await verifier.verify(token, { ...question, fresh })
        const name = `${how}: ${JSON.stringify(question).slice(0, 60)}`
        t.equal(verdict.active ? null : verdict.reason, reason, name)
      }
    }
    await judgeAll('asked', true)
    await remembered(verifier, between, wide.token, bound.token)
    const before = between.asked()
    await judgeAll('remembered', false)
    t.equal(between.asked(), before, 'without a question to Latchkey')
  })

  t.test('a refusal says what RFC 6750 wants said, and all the scopes at once', async (t) => {
    const { verifier } = await verifierFor(t, { realm: 'posts', issuer: 'https://tokens.example.com/' })
    const { token } = await provision(latchkey)
    const scopes = ['posts:write', 'posts:delete']
    t.match(await verifier.verify(token, { scopes }), {
      active: false,
      status: 403,
      code: 'insufficient-scope',
      missingScopes: scopes,
      challenge: 'Bearer realm="posts", error="insufficient_scope", scope="posts:write posts:delete"',
      problem: {
        type: 'https://tokens.example.com/problems/insufficient-scope',
        status: 403,
        code: 'insufficient-scope',
        message: 'This needs the scope posts:write posts:delete.',
        requiredScopes: scopes,
      },
    })
    t.match(await verifier.verify(undefined), {
      status: 401,
      challenge: 'Bearer realm="posts"',
      reason: 'no_token',
    })
    t.match(await verifier.verify('lk_pat_nonsense'), {
      status: 401,
      code: 'invalid-token',
      challenge: 'Bearer realm="posts", error="invalid_token"',
    })
  })

  t.test('unknown, revoked, disabled and expired tokens read the same to the bearer', async (t) => {
    const { verifier } = await verifierFor(t)
    const revoked = await provision(latchkey)
    await latchkey.call('DELETE', `/api/v1/tokens/${revoked.id}`)
    const orphan = await provision(latchkey, { subject: 'user_gone' })
    await latchkey.call('PATCH', '/api/v1/subjects/user_gone', { disabled: true })
    const foreign = await provision(latchkey, { audience: ['places'] })
    const unknown = `lk_pat_${'a'.repeat(30)}${checksum('a'.repeat(30))}`
    const reasons = []
    const told = new Set<string>()
    for (const secret of [unknown, revoked.token, orphan.token, foreign.token]) {
      const verdict = await verifier.verify(secret)
      reasons.push(verdict.active ? 'none' : verdict.reason)
      if (!verdict.active) told.add(JSON.stringify([verdict.status, verdict.challenge, verdict.problem]))
    }
    t.strictSame(reasons, ['not_found', 'revoked', 'subject_disabled', 'wrong_audience'])
    t.equal(told.size, 1)
  })

  t.test('a question that is put wrong is an error, and lets nobody in', async (t) => {
    const { verifier, between } = await verifierFor(t)
    const { token } = await provision(latchkey)
    const inTests = createTestVerifier({ tokens: { [token]: {} } })
    const wrong: [object, RegExp][] = [
      [{ scope: ['posts:write'] }, /^"scope" cannot be asked; what can is scopes, team, clientIp, fresh$/],
      [{ scopes: 'posts:read' }, /^scopes must be an array of strings$/],
      [{ scopes: null }, /array/],
      [{ scopes: [['posts:write']] }, /array/],
    ]
    for (const times of ['asked', 'remembered']) {
      for (const [question, message] of wrong)
        for (const one of [verifier, inTests])
          await t.rejects(one.verify(token, question), { name: 'TypeError', message }, times)
      await remembered(verifier, between, token)
    }
  })

  t.test('a token ends when it ends, remembered or not', async (t) => {
    const { verifier, between } = await verifierFor(t)
    const { token } = await provision(latchkey, { expiresIn: 10 })
    await remembered(verifier, between, token)
    const asked = between.asked()
    const clock = latchkey.clock.now
    t.teardown(() => {
      latchkey.clock.now = clock
    })
    latchkey.clock.now += 9_999
    t.match(await verifier.verify(token), { active: true })
    latchkey.clock.now += 1
    t.match(await verifier.verify(token), { active: false, status: 401, reason: 'expired' })
    t.equal(between.asked(), asked)
  })

  t.test('50 cold calls at once are one question', async (t) => {
    const { verifier, between } = await verifierFor(t)
    const { token } = await provision(latchkey)
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => verifier.verify(token)))
    t.ok(verdicts.every(({ active }) => active))
    t.equal(between.asked(), 1)
  })

  t.test('a refused token is remembered for 5 seconds, a good one for 30', async (t) => {
    const moved = { ms: 0 }
    const { verifier, between } = await verifierFor(t, { monotonic: () => performance.now() + moved.ms })
    const [good, other, dead] = [
      await provision(latchkey),
      await provision(latchkey),
      await provision(latchkey),
    ]
    await latchkey.call('DELETE', `/api/v1/tokens/${dead.id}`)
    await remembered(verifier, between, good.token, dead.token)
    const asksFor = async (secret: string) => {
      const before = between.asked()
      await verifier.verify(secret)
      return between.asked() - before
    }
    /** A stream counts its lease by one clock, so moving ours needs a new one. */
    const later = async (ms: number) => {
      moved.ms += ms
      between.cutStream()
      await remembered(verifier, between, other.token)
    }
    t.equal(await asksFor(dead.token), 0)
    await later(5_000)
    t.equal(await asksFor(dead.token), 1)
    t.equal(await asksFor(good.token), 0)
    await later(25_000)
    t.equal(await asksFor(good.token), 1)
  })

  t.test('fresh asks Latchkey whatever is remembered', async (t) => {
    const { verifier, between } = await verifierFor(t)
    const { token } = await provision(latchkey)
    await remembered(verifier, between, token)
    const before = between.asked()
    t.match(await verifier.verify(token, { fresh: true }), { active: true })
    t.equal(between.asked(), before + 1)
  })

  t.test('with memory for nothing it asks each time', async (t) => {
    const { verifier, between } = await verifierFor(t, { maxRemembered: 0 })
    const { token } = await provision(latchkey)
    for (let count = 1; count <= 3; count++) {
      t.match(await verifier.verify(token), { active: true })
      t.equal(between.asked(), count)
    }
  })

  t.test('closed when Latchkey is away, overloaded, or does not know us', async (t) => {
    const { token } = await provision(latchkey)
    const unavailable = {
      active: false,
      status: 503,
      code: 'unavailable',
      retryAfterSeconds: 1,
      challenge: null,
    }
    const troubles: string[] = []
    const onTrouble = (message: string) => {
      troubles.push(message)
      throw new Error('whatever it does with it')
    }
    const away = await verifierFor(t, { onTrouble })
    away.between.goAway()
    t.match(await away.verifier.verify(token), { ...unavailable, reason: 'unavailable' })
    const stranger = await verifierFor(t, { clientSecret: 'not-the-secret-of-posts', onTrouble })
    t.match(await stranger.verifier.verify(token), { ...unavailable, reason: 'credentials_refused' })
    const slow = await verifierFor(t, { timeoutMs: 50, onTrouble })
    slow.between.holdAnswers()
    t.match(await slow.verifier.verify(token), { ...unavailable, reason: 'unavailable' })
    t.ok(troubles.length >= 3)
    t.notMatch(
      troubles.join(),
      new RegExp(`${token}|not-the-secret|${posts.secret}`),
      'no secret in what is told',
    )
  })

  t.test('closed once it was closed', async (t) => {
    const { verifier, between } = await verifierFor(t)
    const { token } = await provision(latchkey)
    await remembered(verifier, between, token)
    verifier.close()
    t.match(await verifier.verify(token), { active: false, status: 503, reason: 'closed' })
  })

  t.test(
    'neither the secret nor the credentials are kept or shown anywhere but where they belong',
    async (t) => {
      const { verifier, between } = await verifierFor(t)
      const { token } = await provision(latchkey)
      await remembered(verifier, between, token)
      for (const { path, headers } of between.all) {
        t.notOk(`${path} ${JSON.stringify(headers)}`.includes(token), 'the secret travels in bodies only')
      }
      const verdict = await verifier.verify(token, { scopes: ['posts:write'] })
      t.notOk(JSON.stringify(verdict).includes(token))
    },
  )
})
