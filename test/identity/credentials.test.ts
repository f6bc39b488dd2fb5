// A service's credentials are remembered, and must not outlive their removal on another replica: what is remembered counts
// under the lease only, and what is read, from the server that counts.
import t from 'tap'
import type { Trx } from '../../src/db/tables.ts'
import { createCredentials, hashClientSecret } from '../../src/identity/credentials.ts'
import { freshStore } from '../helpers/latchkey.ts'

t.test('credentials', async (t) => {
  const store = await freshStore(t, 'pglite', undefined)
  t.teardown(store.close)
  const { db } = store
  const secret = 'lks_of_this_test'
  const created_at = new Date()
  await db
    .insertInto('service')
    .values({ id: 'posts', name: 'Posts', base_url: null, checks_ip: false, created_at } as never)
    .execute()
  await db
    .insertInto('service_secret')
    .values({
      id: 'sec_1',
      service_id: 'posts',
      phc: await hashClientSecret(secret),
      hint: '',
      created_at,
    } as never)
    .execute()

  const make = (more: { admit?: (trx: Trx) => Promise<void> } = {}) => {
    const lease = { held: true, holds: () => lease.held, wait: async () => lease.held }
    const admit = async () => {}
    return { lease, ...createCredentials({ db, admit, lease, key: Buffer.alloc(32, 7), ...more }) }
  }
  const posts = { id: 'posts', checksIp: false }

  t.test('are remembered, but without the lease nobody is recalled', async (t) => {
    const { lease, check, recall, service } = make()
    t.same(await check('posts', secret, 'header'), posts)
    t.same(await service('posts'), posts)
    t.same(recall('header'), posts)
    lease.held = false
    t.equal(recall('header'), null)
    await t.rejects(check('posts', secret, 'header'), { code: 'unavailable' })
    await t.rejects(service('posts'), { code: 'unavailable' })
    lease.held = true
    t.same(recall('header'), posts)
  })

  t.test('are read again where the connection led to a former primary', async (t) => {
    let former = 1
    const admit = async () => {
      if (former-- > 0) throw Object.assign(new Error('another server'), { code: 'ECONNRESET' })
    }
    const { check, service } = make({ admit })
    t.same(await check('posts', secret), posts)
    former = 1
    t.same(await service('posts'), posts)
    former = 100
    const fresh = make({ admit })
    await t.rejects(fresh.check('posts', secret), { code: 'ECONNRESET' }, 'never from there')
  })

  t.test('are asked for again when the lease was lost while they were read', async (t) => {
    const { lease, check } = make({
      admit: async () => {
        lease.held = false
      },
    })
    await t.rejects(check('posts', secret), { code: 'unavailable' })
  })

  t.test('that were removed are refused as soon as that is known', async (t) => {
    const { check, forget, recall } = make()
    t.same(await check('posts', secret, 'header'), posts)
    await db.deleteFrom('service_secret').execute()
    forget()
    t.equal(recall('header'), null)
    t.equal(await check('posts', secret, 'header'), null)
  })
})
