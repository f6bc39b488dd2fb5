// Latchkey on PostgreSQL as processes, and the commands `latchkey bootstrap` and `latchkey migrate`: several at once,
// secrets that are wrong or replaced, databases that must not be used, and what the management port shows.
import pg from 'pg'
import t, { type Test } from 'tap'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { freePort } from '../helpers/process.ts'
import { persist } from '../helpers/races.ts'
import { bearer, command, type Env, provisionAt, refusal, selfAt, started } from '../helpers/shipped.ts'

async function onDatabase<T extends object>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<T>(sql)).rows
  } finally {
    await client.end()
  }
}

/** A database without any table: the template that tests clone is migrated. */
async function emptyDatabase(t: Test): Promise<string> {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  await onDatabase(url, 'drop schema public cascade; create schema public')
  return url
}

t.test('PostgreSQL', async (t) => {
  const url = await emptyDatabase(t)
  const secret = 'the operator secret of this test'
  const env = { DATABASE_URL: url, LATCHKEY_SECRET: secret }

  t.test(
    'several replicas that start together on an empty database come up with one key and one schema',
    async (t) => {
      const begun = performance.now()
      const replicas = await Promise.all(Array.from({ length: 4 }, () => started(t, env)))
      t.comment(`4 started at once in ${(performance.now() - begun).toFixed(0)} ms`)
      t.same(await onDatabase(url, 'select count(*)::int as n from digest_key'), [{ n: 1 }])
      t.same(
        await onDatabase(url, `select count(*)::int as n from kysely_migration where name = '0001_init'`),
        [{ n: 1 }],
      )
      const admin = (await command(['bootstrap'], env)).stdout.trim()
      const made = await provisionAt(replicas[0]!, admin, 'everywhere')
      for (const replica of replicas) t.equal((await selfAt(replica, made.token)).status, 200)
      for (const replica of replicas) t.equal(await replica.stop(), 0)
    },
  )

  t.test('bootstrap prints the token alone, once', async (t) => {
    const other = await emptyDatabase(t)
    const settings = { ...env, DATABASE_URL: other }
    const first = await command(['bootstrap'], settings)
    t.match(first, { code: 0, stdout: /^lk_svc_[0-9A-Za-z]{36}\n$/ })
    t.notOk(first.stderr.includes(first.stdout.trim()))
    const again = await command(['bootstrap'], settings)
    t.match(again, { code: 1, stdout: '', stderr: /--force/ })
    const forced = await command(['bootstrap', '--force'], settings)
    t.match(forced, { code: 0, stdout: /^lk_svc_[0-9A-Za-z]{36}\n$/ })
    t.not(forced.stdout, first.stdout)
  })

  t.test('several bootstraps at once give one token', async (t) => {
    const settings = { ...env, DATABASE_URL: await emptyDatabase(t) }
    const all = await Promise.all([1, 2, 3].map(() => command(['bootstrap'], settings)))
    t.equal(all.filter(({ code }) => code === 0).length, 1, all.map(({ stderr }) => stderr).join('|'))
  })

  t.test('migrate brings an empty database to the schema, and then has nothing to do', async (t) => {
    const settings = { ...env, DATABASE_URL: await emptyDatabase(t) }
    t.match(await command(['migrate'], settings), { code: 0, stdout: '', stderr: /^Applied 0001_init/ })
    t.match(await command(['migrate'], settings), { code: 0, stdout: '', stderr: 'Nothing to do.\n' })
  })

  t.test('a wrong secret is refused, and the former one lets old tokens live', async (t) => {
    const wrong = await refusal(t, { ...env, LATCHKEY_SECRET: 'canary of a wrong secret' })
    t.match(wrong, /ended with 1\.[\s\S]*LATCHKEY_SECRET is not the secret this database was made with/)
    t.notMatch(wrong, 'canary')
    t.match(await command(['bootstrap', '--force'], { ...env, LATCHKEY_SECRET: 'wrong as well' }), {
      code: 1,
      stdout: '',
    })
    const old = (await command(['bootstrap', '--force'], env)).stdout.trim()
    const renewed = { ...env, LATCHKEY_SECRET: 'the secret that follows', LATCHKEY_SECRET_PREVIOUS: secret }
    const serving = await started(t, renewed)
    t.equal((await selfAt(serving, old)).status, 200)
    const made = await provisionAt(serving, old, 'new')
    await serving.stop()
    const { LATCHKEY_SECRET_PREVIOUS: _, ...without } = renewed
    const later = await started(t, without)
    t.equal((await selfAt(later, made.token)).status, 200)
    t.equal((await selfAt(later, old)).status, 401)
    await later.stop()
  })

  t.test('a configuration that could lose or leak something is refused with what to do', async (t) => {
    const refusals: [env: Env, stderr: RegExp][] = [
      [{ DATABASE_URL: url }, /LATCHKEY_SECRET is needed with DATABASE_URL/],
      [{ ...env, LATCHKEY_TRUSTED_PROXIES: '0.0.0.0/0', LATCHKEY_PORT: 'x' }, /PORT[\s\S]*PROXIES/],
      [{ ...env, DATABASE_URL: 'postgres://nobody:canary@127.0.0.1:1/none' }, /cannot start/],
    ]
    for (const [settings, expected] of refusals) {
      const written = await refusal(t, settings)
      t.match(written, 'ended with 1.')
      t.match(written, expected)
      t.notMatch(written, /canary|\n {4}at /)
    }
    const unsafe = await emptyDatabase(t)
    const { pathname } = new URL(unsafe)
    await onDatabase(unsafe, `alter database ${pathname.slice(1)} set synchronous_commit = off`)
    t.match(await refusal(t, { ...env, DATABASE_URL: unsafe }), /ended with 1\.[\s\S]*synchronous_commit=off/)
    t.same(
      await onDatabase(unsafe, `select tablename from pg_tables where schemaname = 'public'`),
      [],
      'untouched',
    )
  })

  const current = { ...env, LATCHKEY_SECRET: 'the secret that follows' }

  t.test('what is announced by a later version, or by nobody of us, harms no replica', async (t) => {
    const serving = await started(t, current)
    const admin = (await command(['bootstrap', '--force'], current)).stdout.trim()
    const made = await provisionAt(serving, admin, 'heard')
    for (const text of [
      'i rep_x rep_x-1 [{"kind":"weather"}]',
      'i rep_x rep_x-2 [{"kind":"token","id":"short"}]',
      'i x y [z',
      'i x',
    ])
      await onDatabase(url, `select pg_notify('latchkey', '${text}')`)
    t.equal((await selfAt(serving, made.token)).status, 200)
    t.equal(await serving.stop(), 0)
  })

  t.test('another time zone of the database changes nothing', { timeout: 60_000 }, async (t) => {
    const serving = await started(t, current)
    const admin = (await command(['bootstrap', '--force'], current)).stdout.trim()
    const { pathname } = new URL(url)
    await onDatabase(url, `alter database ${pathname.slice(1)} set timezone = 'Asia/Kathmandu'`)
    // New ones have it; the listening session has not.
    await onDatabase(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey' and datname = current_database()`,
    )
    // Those that were told to end may be lent for a moment still.
    const made = await persist(() => provisionAt(serving, admin, 'later'))
    t.equal(made.status, 200)
    t.equal((await persist(() => selfAt(serving, made.token))).status, 200)
    await onDatabase(url, `alter database ${pathname.slice(1)} reset timezone`)
    t.equal(await serving.stop(), 0)
  })

  t.test('metrics are on the management port alone, by their documented names, about nobody', async (t) => {
    const managementPort = String(await freePort())
    const serving = await started(t, {
      ...env,
      LATCHKEY_SECRET: 'the secret that follows',
      LATCHKEY_MANAGEMENT_PORT: managementPort,
    })
    const admin = (
      await command(['bootstrap', '--force'], { ...env, LATCHKEY_SECRET: 'the secret that follows' })
    ).stdout.trim()
    const made = await provisionAt(serving, admin, 'a-name')
    await fetch(`${serving.url}/api/v1/tokens/${made.id}`, { method: 'DELETE', headers: bearer(admin) })
    await fetch(`${serving.url}/nowhere/${made.id}`)
    const management = `http://127.0.0.1:${managementPort}`
    for (const path of ['/livez', '/readyz']) {
      t.equal((await fetch(management + path)).status, 200)
      t.equal((await fetch(serving.url + path)).status, 200)
    }
    t.equal((await fetch(`${serving.url}/metrics`)).status, 404)
    t.equal((await fetch(`${management}/api/v1/tokens`)).status, 404)
    const response = await fetch(`${management}/metrics`)
    const text = await response.text()
    t.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
    t.match(text, /^http_server_request_duration_seconds_count\{.*http_request_method="POST".*\} 1$/m)
    t.match(text, /^http_server_request_duration_seconds_bucket\{.*\ble="0\.075"\}/m)
    t.match(text, /http_route="\/api\/v1\/tokens\/:id"/)
    for (const name of [
      'http_server_active_requests 0',
      'latchkey_tokens_provisioned_total',
      'latchkey_tokens_revoked_total 1',
      'latchkey_lease_held 1',
      'build_info',
      'process_resident_memory_bytes',
    ]) {
      t.match(text, new RegExp(`^${name}`, 'm'), name)
    }
    for (const secret of [made.id, made.token, admin, 'a-name', 'nowhere', '"u"'])
      t.notOk(text.includes(secret), secret)
    await serving.stop()
  })
})
