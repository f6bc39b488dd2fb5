// RFC 7009 answers 200 for a token that does not exist. That it does not, has to be known: a former primary, to which a
// connection may still lead, does not know what was made on the new one; nor does a replica that has only the former secret.
import t, { type Test } from 'tap'
import type { Change } from '../../src/db/change.ts'
import type { Db, Trx } from '../../src/db/tables.ts'
import { oauthRoutes } from '../../src/introspection/oauth-routes.ts'
import { mintSecret } from '../../src/token/format.ts'
import { bareServer } from '../helpers/bare-server.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import {
  basic,
  freshStore,
  type Latchkey,
  provision,
  registerPosts,
  startLatchkey,
} from '../helpers/latchkey.ts'

async function serve(t: Test, db: Db, confirm: () => Promise<boolean>) {
  let looked = 0
  const change: Change = async (work) => {
    looked += 1
    return work(db as Trx, () => {})
  }
  const app = bareServer()
  t.teardown(() => app.close())
  const guard = { checkCredentials: async () => ({ id: 'posts', checksIp: false }), recallHeader: () => null }
  oauthRoutes(app, {
    change,
    confirm,
    guard: guard as never,
    introspect: async () => '',
    shape: (secret) => secret.startsWith('lk_'),
    digests: () => [Buffer.alloc(32)],
    now: Date.now,
    onRevoked: () => {},
  })
  const revoke = async (token: string) => {
    const { statusCode } = await app.inject({
      method: 'POST',
      url: '/oauth2/revoke',
      headers: { ...basic('posts', 'secret'), 'content-type': 'application/x-www-form-urlencoded' },
      payload: `token=${token}`,
    })
    return { statusCode, looked }
  }
  return revoke
}

t.test('an unknown token', async (t) => {
  const { db, close } = await freshStore(t, 'pglite', undefined)
  t.teardown(close)

  t.test('is looked for again once the server is known to be the one that counts', async (t) => {
    const revoke = await serve(t, db, async () => true)
    t.same(await revoke('lk_a'), { statusCode: 200, looked: 2 })
  })

  t.test('is not called revoked while that cannot be known', async (t) => {
    const revoke = await serve(t, db, async () => false)
    t.same(await revoke('lk_a'), { statusCode: 503, looked: 1 })
  })

  t.test('that is none of ours costs the database nothing', async (t) => {
    const revoke = await serve(t, db, async () => false)
    t.same(await revoke('something'), { statusCode: 200, looked: 0 })
  })
})

t.test('a secret that a rotation has ended is unknown, and ends nothing', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite')
  const posts = await registerPosts(latchkey)
  const by = basic(posts.id, posts.secret)
  const rotate = async (id: string, body: object) =>
    (await latchkey.call('POST', `/api/v1/tokens/${id}/rotate`, body)).body.token
  const revoke = async (token: string) => (await latchkey.form('/oauth2/revoke', { token }, by)).status
  const active = async (token: string) =>
    (await latchkey.form('/oauth2/introspect', { token }, by)).body.active
  const { id, token: first } = await provision(latchkey)
  const second = await rotate(id, {})
  // By what is stored: the clock of a replica may be behind.
  latchkey.clock.now -= 1_000
  t.equal(await revoke(first), 200)
  t.equal(await active(second), true)

  const third = await rotate(id, { gracePeriod: '1h' })
  latchkey.clock.now += 3_600_000
  t.equal(await revoke(second), 200)
  t.equal(await active(third), true)

  const fourth = await rotate(id, { gracePeriod: '1h' })
  t.equal(await revoke(third), 200, 'one that still counts')
  t.equal(await active(fourth), false)
})

t.test('while replicas get another secret one by one', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const before = { DATABASE_URL: url, LATCHKEY_SECRET: 'the first secret' }
  const after = {
    DATABASE_URL: url,
    LATCHKEY_SECRET: 'the one that follows',
    LATCHKEY_SECRET_PREVIOUS: 'the first secret',
  }
  const former = await startLatchkey(t, 'postgres', before)
  const posts = await registerPosts(former)
  const { authorization } = basic(posts.id, posts.secret)
  const asked = async (latchkey: Latchkey, path: string, token: string) => {
    const { status, body } = await latchkey.form(path, { token }, { authorization })
    return status === 200 ? (body.active ?? 'done') : status
  }
  const introspected = (latchkey: Latchkey, token: string) => asked(latchkey, '/oauth2/introspect', token)
  const revoked = (latchkey: Latchkey, token: string) => asked(latchkey, '/oauth2/revoke', token)
  const unknown = () => mintSecret('lk', 'personal')
  const old = await provision(former)
  t.equal(await introspected(former, unknown()), false)
  t.equal(await revoked(former, unknown()), 'done')

  const renewed = await startLatchkey(t, 'postgres', after)
  const { token } = await provision(renewed)
  t.equal(await introspected(renewed, token), true)

  t.test('one without it calls no token unknown, and none revoked that it does not find', async (t) => {
    for (const one of [token, unknown()]) {
      t.equal(await introspected(former, one), 503)
      t.equal(await revoked(former, one), 503)
    }
    t.equal(await introspected(renewed, token), true)
  })

  t.test('what was made before is known to both, and what one makes under the former', async (t) => {
    const late = await provision(former)
    for (const one of [old, late]) {
      for (const latchkey of [former, renewed]) t.equal(await introspected(latchkey, one.token), true)
      t.equal(await revoked(former, one.token), 'done')
      for (const latchkey of [renewed, former]) t.equal(await introspected(latchkey, one.token), false)
    }
  })

  t.test('one that has it revokes everything', async (t) => {
    t.equal(await revoked(renewed, unknown()), 'done')
    t.equal(await revoked(renewed, token), 'done')
    t.equal(await introspected(renewed, token), false)
  })
})
