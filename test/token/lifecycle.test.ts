// The life of a token over REST, on both engines.
import t from 'tap'
import { basic, engines, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const posts = await registerPosts(latchkey)
    const introspect = (token: string, more: Record<string, string> = {}) =>
      latchkey.form('/oauth2/introspect', { token, ...more }, basic(posts.id, posts.secret))

    t.test('a provisioned token is active until it is revoked, and never again', async (t) => {
      const made = await provision(latchkey, { scopes: ['posts:write'] })
      t.match(made, {
        id: /^tok_/,
        token: /^lk_pat_[0-9A-Za-z]{36}$/,
        active: true,
        status: 'active',
        subject: 'user_42',
      })
      const active = await introspect(made.token)
      t.match(active.body, { active: true, scope: 'posts:read posts:write', sub: 'user_42', jti: made.id })

      const revoked = await latchkey.call('DELETE', `/api/v1/tokens/${made.id}`)
      t.match(revoked.body, { message: 'Token revoked', status: 200, id: made.id })
      t.equal((await introspect(made.token)).text, '{"active":false}')
      const again = await latchkey.call('DELETE', `/api/v1/tokens/${made.id}`)
      t.equal(again.status, 200, 'revoking again is no error')
      t.equal((await latchkey.call('PATCH', `/api/v1/tokens/${made.id}`, { name: 'back' })).status, 409)
    })

    t.test('a token ends at its expireAt, to the millisecond', async (t) => {
      const made = await provision(latchkey, { expiresIn: '1h' })
      const before = latchkey.clock.now
      latchkey.clock.now = before + 3_600_000 - 1
      t.equal((await introspect(made.token)).body.active, true)
      latchkey.clock.now = before + 3_600_000
      t.equal((await introspect(made.token)).body.active, false)
      latchkey.clock.now = before
    })
  })
}
