// RFC 7009 answers 200 for a token that does not exist. That it does not, has to be known: a former primary, to which a
// connection may still lead, does not know what was made on the new one.
import t, { type Test } from 'tap'
import type { Change } from '../../src/db/change.ts'
import type { Db, Trx } from '../../src/db/tables.ts'
import { oauthRoutes } from '../../src/introspection/oauth-routes.ts'
import { bareServer } from '../helpers/bare-server.ts'
import { basic, freshStore } from '../helpers/latchkey.ts'

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
