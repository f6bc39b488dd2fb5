// Every replica shows and enforces what was published as soon as it is acknowledged, and keeps nothing that a change
// has overtaken.
import pg from 'pg'
import t, { type Test } from 'tap'
import { createLive } from '../../src/catalog/live.ts'
import type { Published } from '../../src/catalog/published.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { type Latchkey, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { documentOf, operation, putDocument } from '../helpers/samples.ts'

/** A database that several things of a test use. */
async function database(t: Test): Promise<string> {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  return url
}

const routes = (...names: string[]) =>
  documentOf(
    Object.fromEntries(names.map((name) => [`/${name}`, { get: operation([], { operationId: name }) }])),
  )

const idsOf = (published: Published | null): string[] =>
  published?.services.flatMap((one) => one.endpoints.map(({ id }) => id)) ?? []

async function shownBy({ call }: Latchkey): Promise<string[]> {
  const { body } = await call('GET', '/api/programmatic/catalog?service=posts&view=summary', undefined, {
    token: null,
  })
  return body.endpoints.map((one: { id: string }) => one.id)
}

t.test('what one replica acknowledges, every other one shows to who asks then', async (t) => {
  const url = await database(t)
  const replicas = await Promise.all([1, 2, 3].map(() => startLatchkey(t, 'postgres', { DATABASE_URL: url })))
  await registerPosts(replicas[0]!)
  for (let round = 0; round < 12; round++) {
    const publishing = replicas[round % replicas.length]!
    // Those who remember something are those who could answer with it.
    await Promise.all(replicas.map(shownBy))
    const wanted = [`round${round}`, 'always']
    t.equal((await putDocument(publishing, 'posts', routes(...wanted))).status, 200)
    t.strictSame(
      await Promise.all(replicas.map(shownBy)),
      replicas.map(() => wanted),
      `round ${round}`,
    )
  }
  const scopes = { groups: [], scopes: [], jobs: [], presets: [], workflows: [] }
  await replicas[1]!.call('PUT', '/api/v1/services/posts/scopes', scopes)
  for (const { call } of replicas) {
    const { text } = await call('GET', '/api/programmatic/catalog', undefined, { token: null })
    t.notOk(text.includes('"name":"posts:read"'))
  }
  await replicas[2]!.call('PATCH', '/api/v1/services/posts', { baseUrl: 'https://moved.example' })
  for (const { call } of replicas) {
    const { text } = await call('GET', '/api/programmatic/catalog', undefined, { token: null })
    t.ok(text.includes('moved.example'))
  }
  await replicas[0]!.call('DELETE', '/api/v1/services/posts')
  for (const { call } of replicas)
    t.equal(
      (await call('GET', '/api/programmatic/catalog?service=posts', undefined, { token: null })).status,
      400,
    )
})

t.test('of two replicas that publish what overlaps at once, one is told', async (t) => {
  const url = await database(t)
  const replicas = await Promise.all([1, 2].map(() => startLatchkey(t, 'postgres', { DATABASE_URL: url })))
  const ids = ['left', 'right']
  for (const id of ids)
    await replicas[0]!.call('POST', '/api/v1/services', { id, name: id, clientSecret: 'brought-by-hand' })
  for (let round = 0; round < 8; round++) {
    const race = await Promise.all(
      replicas.map((replica, n) => putDocument(replica, ids[n]!, routes(`raced${round}`))),
    )
    t.strictSame(race.map(({ status }) => status).sort(), [200, 409], `round ${round}`)
    for (const id of ids) await putDocument(replicas[0]!, id, routes())
  }
})

t.test('who listens for what to forget about tokens hears nothing of it', async (t) => {
  const latchkey = await startLatchkey(t, 'postgres')
  await registerPosts(latchkey)
  const { id } = await provision(latchkey)
  const headers = { authorization: `Bearer ${latchkey.admin}` }
  const response = await fetch(`${latchkey.url}/api/v1/revocations`, { headers })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let heard = ''
  const until = async (what: string) => {
    while (!heard.includes(what)) heard += (await reader.read()).value ?? ''
  }
  await until('event: lease')
  t.equal((await putDocument(latchkey, 'posts', routes('quiet'))).status, 200)
  await latchkey.call('DELETE', `/api/v1/tokens/${id}`)
  await until(id)
  t.equal(heard.split('event: forget').length - 1, 1, 'only of the token')
  await reader.cancel()
})

t.test('a read that was under way when everything was forgotten is neither kept nor shared', async (t) => {
  const url = await database(t)
  const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  await registerPosts(latchkey)
  await putDocument(latchkey, 'posts', routes('old'))
  const store = await openPostgres(url)
  t.teardown(store.close)
  const gates: (() => void)[] = []
  const kept: string[][] = []
  let isShut = true
  const live = createLive(store.db, async (trx) => {
    // From here on this read sees the database as it is now.
    await trx.selectFrom('service_document').select('digest').execute()
    kept.push(idsOf(live.peek()))
    if (isShut) await new Promise<void>((open) => gates.push(open))
  })
  const early = live.current()
  const joined = live.current()
  while (gates.length === 0) await new Promise((soon) => setImmediate(soon))
  await putDocument(latchkey, 'posts', routes('new'))
  live.forget()
  isShut = false
  t.strictSame(idsOf(await live.current()), ['new'], 'who comes later does not wait for it')
  t.equal(gates.length, 1, 'those who came before shared one read')
  kept.length = 0
  for (const open of gates) open()
  await Promise.all([early, joined])
  t.strictSame(kept, [['new']], 'it is read again, and what it saw is never in memory')
  t.strictSame(idsOf(live.peek()), ['new'])
  live.forget()
  t.equal(live.peek(), null)
  t.strictSame(idsOf(await live.current()), ['new'])
})

t.test('what is read from a former primary is not shown', async (t) => {
  const url = await database(t)
  await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  const store = await openPostgres(url)
  t.teardown(store.close)
  let tries = 0
  const live = createLive(store.db, async () => {
    tries += 1
    if (tries < 3) throw Object.assign(new Error('another server'), { code: 'ECONNRESET' })
  })
  t.ok((await live.current()).registered.length > 0)
  t.equal(tries, 3)
  const never = createLive(store.db, () => Promise.reject(new Error('another server')))
  await t.rejects(never.current(), /another server/)
  t.equal(never.peek(), null)
})

t.test(
  'what is published already is announced again: who published it may still wait for a replica',
  async (t) => {
    const url = await database(t)
    const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: url })
    await registerPosts(latchkey)
    const other = new pg.Client({ connectionString: url })
    await other.connect()
    t.teardown(() => other.end())
    const announced: string[] = []
    other.on('notification', ({ payload = '' }) => payload.includes('"catalog"') && announced.push(payload))
    await other.query('listen latchkey')
    for (const [times, changed] of [
      [1, true],
      [2, false],
    ] as const) {
      const { status, body } = await putDocument(latchkey, 'posts', routes('one'))
      t.match({ status, changed: body.changed }, { status: 200, changed })
      // Whatever was announced comes before the answer to a statement asked for later.
      await other.query('select')
      t.equal(announced.length, times)
    }
  },
)
