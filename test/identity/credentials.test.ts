// A service's credentials are remembered, and must not outlive their removal on another replica: what is remembered counts
// under the lease only, and what is read, from the server that counts.
import type { CompiledQuery } from 'kysely'
import t from 'tap'
import type { Trx } from '../../src/db/tables.ts'
import { createCredentials, hashClientSecret } from '../../src/identity/credentials.ts'
import { freshStore } from '../helpers/latchkey.ts'
import { playedDatabase } from '../helpers/played-database.ts'
import { takeTime, turn } from '../helpers/time.ts'

const posts = { id: 'posts', checksIp: false }
const secret = 'lks_of_this_test'

t.test('credentials', async (t) => {
  const store = await freshStore(t, 'pglite', undefined)
  t.teardown(store.close)
  const { db } = store
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

/** Credentials over a database that has `posts`, with that secret, and whose reads do what a test wants meanwhile. */
async function played() {
  const database = {
    secrets: [{ phc: await hashClientSecret(secret), checksIp: false }],
    services: [{ id: 'posts', checks_ip: false }],
    /** Of secrets and of services. */
    reads: 0,
    meanwhile: async () => {},
  }
  const db = playedDatabase(async ({ sql }: CompiledQuery) => {
    if (!sql.startsWith('select')) return []
    database.reads += 1
    const { secrets, services } = database
    await database.meanwhile()
    return sql.includes('service_secret') ? secrets : services
  })
  const lease = { holds: () => true, wait: async () => true }
  const made = createCredentials({ db, admit: async () => {}, lease, key: Buffer.alloc(32, 7) })
  // It has its decoy only then.
  await made.check('', '')
  return { database, ...made }
}

/** Reads wait until they are let go; how many do. */
function holdReads(database: Awaited<ReturnType<typeof played>>['database']) {
  const held: (() => void)[] = []
  database.meanwhile = () => new Promise((resolve) => held.push(resolve))
  const letGo = () => {
    for (const go of held.splice(0)) go()
  }
  return { held, letGo }
}

t.test('credentials are remembered for five minutes, and then looked at again', async (t) => {
  const { database, check, recall } = await played()
  const { pass } = takeTime(t)
  t.same(await check('posts', secret, 'header'), posts)
  database.secrets = []
  pass(5 * 60_000 - 1)
  t.same(recall('header'), posts)
  t.same(await check('posts', secret, 'header'), posts)
  t.equal(database.reads, 1)
  pass(1)
  t.equal(recall('header'), null)
  t.equal(await check('posts', secret, 'header'), null)
})

t.test('what is remembered of one header or secret is nobody else’s', async (t) => {
  const { check, recall } = await played()
  t.same(await check('posts', secret, 'header'), posts)
  t.same(recall('header'), posts)
  for (const other of ['header2', 'heade', '']) t.equal(recall(other), null, other)
  t.same(await check('posts', secret), posts)
  for (const [id, other] of [
    ['posts', `${secret}2`],
    ['posts', ''],
    [`posts${secret.slice(0, 3)}`, secret.slice(3)],
    ['post', `s${secret}`],
  ] as const)
    t.equal(await check(id, other), null, `${id} ${other}`)
})

t.test('credentials that change while they are looked at are looked at again', async (t) => {
  const { database, check, recall, forget, service } = await played()
  const changesOnce = () => {
    database.meanwhile = async () => {
      Object.assign(database, { secrets: [], services: [], meanwhile: async () => {} })
      forget()
    }
  }
  const { services } = database
  changesOnce()
  t.equal(await check('posts', secret, 'header'), null)
  t.equal(recall('header'), null)
  database.services = services
  changesOnce()
  t.equal(await service('posts'), null)
  t.equal(database.reads, 4)
})

t.test(
  'credentials that change each time they are looked at are answered in the end, and not remembered',
  async (t) => {
    const { database, check, recall, forget } = await played()
    database.meanwhile = async () => forget()
    t.same(await check('posts', secret, 'header'), posts)
    t.equal(database.reads, 3)
    t.equal(recall('header'), null)
  },
)

t.test('a change makes all that is remembered be looked at again', async (t) => {
  const { database, check, recall, forget, service } = await played()
  await check('posts', secret, 'header')
  await service('posts')
  t.same(recall('header'), posts)
  Object.assign(database, { secrets: [], services: [] })
  forget()
  t.equal(recall('header'), null)
  t.equal(await check('posts', secret, 'header'), null)
  t.equal(await service('posts'), null)
})

t.test('many that present the same are one verification, but not with those before a change', async (t) => {
  const { database, check, forget } = await played()
  const { held, letGo } = holdReads(database)
  const before = Array.from({ length: 20 }, () => check('posts', secret))
  await turn()
  t.equal(held.length, 1)
  database.secrets = []
  forget()
  const after = [check('posts', secret), check('posts', secret)]
  await turn()
  t.equal(held.length, 2)
  database.meanwhile = async () => {}
  letGo()
  t.same(await Promise.all(after), [null, null])
  t.same(new Set(await Promise.all(before)), new Set([null]), 'and those are told what is true now')
})

t.test('guesses take two cores at most; those that would wait too long are told at once', async (t) => {
  const { database, check } = await played()
  const { held, letGo } = holdReads(database)
  const guesses = Array.from({ length: 66 }, (_, n) => check('posts', `guess_${n}`))
  await turn()
  t.equal(held.length, 2)
  await t.rejects(check('posts', 'one too many'), { code: 'unavailable' })
  t.equal(database.reads, 2)
  let most = 0
  const all = Promise.all(guesses)
  for (let over = false; !over; ) {
    await turn()
    most = Math.max(most, held.length)
    letGo()
    over = await Promise.race([all.then(() => true), turn().then(() => false)])
  }
  t.equal(most, 2)
  t.same(new Set(await all), new Set([null]))
  t.equal(database.reads, 66)
})

t.test('no more services are remembered than a thousand, however many are asked for', async (t) => {
  const { database, service } = await played()
  for (let n = 0; n < 1_000; n++) await service(`service_${n}`)
  await service('service_0')
  t.equal(database.reads, 1_000)
  await service('one_too_many')
  await service('service_0')
  t.equal(database.reads, 1_002)
})

t.test('what can be no client’s id is not looked for', async (t) => {
  const { database, check } = await played()
  for (const id of ['', 'Posts', 'posts\0', 'posts ', 'é'])
    t.equal(await check(id, secret), null, JSON.stringify(id))
  t.equal(database.reads, 0)
})

t.test('who probes for ids learns nothing from the time it takes', async (t) => {
  const { database, check } = await played()
  const { secrets } = database
  const least = {
    known: Number.POSITIVE_INFINITY,
    unknown: Number.POSITIVE_INFINITY,
    impossible: Number.POSITIVE_INFINITY,
  }
  for (let n = 0; n < 5; n++) {
    for (const [which, id] of [
      ['known', 'posts'],
      ['unknown', 'nobody'],
      ['impossible', 'NOBODY'],
    ] as const) {
      database.secrets = which === 'known' ? secrets : []
      const begun = performance.now()
      await check(id, `guess_${n}`)
      least[which] = Math.min(least[which], performance.now() - begun)
    }
  }
  // Without the decoy it is a hundredth.
  t.ok(least.unknown > least.known / 3 && least.impossible > least.known / 3, JSON.stringify(least))
})
