// No secret is anywhere but in the one answer that shows it: not in the log at trace level, in refusals, metrics, audit
// events, in any row of any table, or in the files of the embedded store.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { type Kysely, sql } from 'kysely'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { start } from '../../src/start.ts'
import { basic, engines, startLatchkey } from '../helpers/latchkey.ts'
import { freePort } from '../helpers/process.ts'

type Answered = { status: number; text: string }
type Target = { url: string; admin: string }

const operatorSecret = 'canary-operator-secret-8d1f0c7a'
const broughtSecret = 'canary-client-secret-brought-52b9'
const wrongSecret = 'canary-client-secret-wrong-77aa01'

/** Drives every door, with right and wrong input, the secrets also where they do not belong. */
async function drive({ url, admin }: Target) {
  const answers: Answered[] = []
  const shown: string[] = [admin]
  const send = async (method: string, path: string, headers: Record<string, string>, body?: string) => {
    const response = await fetch(url + path, { method, headers, ...(body !== undefined && { body }) })
    const answer = { status: response.status, text: `${[...response.headers]}\n${await response.text()}` }
    answers.push(answer)
    return answer
  }
  const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })
  const json = (secret: string) => ({ ...bearer(secret), 'content-type': 'application/json' })
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  /** A call whose answer shows a secret, this once. */
  const make = async (path: string, body: unknown, member: 'token' | 'clientSecret'): Promise<string> => {
    const { text } = await send('POST', path, json(admin), JSON.stringify(body))
    answers.pop()
    const found = JSON.parse(text.slice(text.indexOf('\n') + 1))
    shown.push(found[member])
    return found.id
  }

  await make('/api/v1/services', { id: 'posts', name: 'Posts' }, 'clientSecret')
  await send(
    'POST',
    '/api/v1/services',
    json(admin),
    JSON.stringify({ id: 'own', name: 'O', clientSecret: broughtSecret }),
  )
  await make('/api/v1/services/posts/credentials', {}, 'clientSecret')
  const scopes = {
    groups: [{ id: 'g', title: 'G' }],
    scopes: [{ name: 'posts:read', title: 'R', group: 'g' }],
  }
  await send('PUT', '/api/v1/services/posts/scopes', json(admin), JSON.stringify(scopes))
  const id = await make('/api/v1/tokens', { name: 'a', subject: 'u', scopes: ['posts:read'] }, 'token')
  const bound = await make('/api/v1/tokens', { name: 'b', subject: 'u', ipRestriction: '192.0.2.1' }, 'token')
  // The key of a request opens what is kept of its answer, so it is a secret too.
  const retryKey = 'canary-idempotency-key-6c1de0f2b94a'
  const rotating = { ...json(admin), 'idempotency-key': retryKey }
  for (const gracePeriod of ['1h', '1h', '2h']) {
    const body = JSON.stringify({ gracePeriod })
    const { status, text } = await send('POST', `/api/v1/tokens/${id}/rotate`, rotating, body)
    if (status === 200) shown.push(JSON.parse(answers.pop()!.text.split('\n').at(-1)!).token)
    if (status !== (gracePeriod === '1h' ? 200 : 422)) throw new Error(text)
  }
  const spent = await make('/api/v1/tokens', { name: 'c', subject: 'u' }, 'token')
  await send('DELETE', `/api/v1/tokens/${spent}`, bearer(admin))
  const secrets = [...shown, broughtSecret, wrongSecret]
  const mangled = shown.map((secret) => `${secret.slice(0, -1)}${secret.endsWith('0') ? '1' : '0'}`)

  for (const secret of [...secrets, ...mangled]) {
    const text = JSON.stringify(secret)
    const encoded = encodeURIComponent(secret)
    // Where it belongs, and is right or wrong.
    for (const path of [
      '/api/v1/tokens',
      '/api/v1/tokens/self',
      `/api/v1/tokens/${id}`,
      '/api/v1/services',
      '/api/v1/audit-events',
    ]) {
      await send('GET', path, bearer(secret))
    }
    await send('POST', '/api/v1/verify', json(admin), `{"token":${text},"requiredScopes":["posts:none"]}`)
    await send('POST', '/api/v1/verify/batch', json(admin), `{"checks":[{"token":${text}}]}`)
    await send(
      'POST',
      '/api/v1/verify',
      { ...basic('posts', secret), 'content-type': 'application/json' },
      `{"token":${text}}`,
    )
    await send('GET', `/forward-auth?scope=${encoded}`, bearer(secret))
    await send(
      'POST',
      `/forward-auth?token=${encoded}`,
      { ...bearer(admin), 'x-forwarded-uri': `/${encoded}?t=${encoded}` },
      text,
    )
    for (const path of ['/oauth2/introspect', '/oauth2/token']) {
      await send('POST', path, { ...form, ...bearer(admin) }, `token=${encoded}`)
      await send('POST', path, { ...form, ...basic('posts', secret) }, `token=${encoded}`)
      await send('POST', path, form, `token=${encoded}&client_id=posts&client_secret=${encoded}`)
      await send(
        'POST',
        path,
        { ...form, ...basic('own', secret) },
        `token=x&client_id=own&client_secret=other`,
      )
      // Malformed.
      await send('POST', path, form, `token=${encoded}&token=${encoded}`)
      await send('POST', path, form, `${encoded}=${encoded}&${encoded}=${encoded}`)
      await send('POST', path, { ...bearer(admin), 'content-type': 'application/json' }, `{"token":${text}}`)
      await send('POST', `${path}?token=${encoded}`, { ...form, ...bearer(admin) }, '')
      await send('GET', `${path}?token=${encoded}`, bearer(secret))
    }
    await send('POST', '/mcp', json(secret), '{"jsonrpc":"2.0","id":1,"method":"ping"}')
    // Where it does not belong: query, path, headers, fields, broken JSON.
    for (const path of ['/api/v1/tokens', '/readyz', '/nowhere', '/%zz', '/problems/x']) {
      await send('GET', `${path}?access_token=${encoded}&${encoded}=1`, {})
      await send('GET', `${path}?q=${encoded}&limit=${encoded}&cursor=${encoded}`, bearer(admin))
    }
    await send('GET', `/api/v1/tokens/${encoded}`, bearer(admin))
    await send('GET', `/${encoded}`, bearer(admin))
    await send('DELETE', `/api/v1/services/${encoded}`, bearer(admin))
    await send('PATCH', `/api/v1/tokens/${id}`, { ...json(admin), 'if-match': `"${secret}"` }, '{"name":"d"}')
    for (const headers of [
      { authorization: secret },
      { authorization: `Token ${secret}` },
      { authorization: `Bearer ${secret} x` },
    ]) {
      await send('GET', '/api/v1/tokens', headers)
    }
    await send('GET', '/api/v1/tokens', {
      'x-api-key': secret,
      cookie: `token=${secret}`,
      'x-request-id': `${secret} x`,
      'user-agent': secret,
    })
    // A secret that people chose cannot be told from a name.
    const asName = secret.startsWith('canary') ? [] : ['ipRestriction', secret]
    for (const field of ['type', 'expireAt', 'expiresIn', 'surprise', 'team ', ...asName]) {
      await send('POST', '/api/v1/tokens', json(admin), JSON.stringify({ name: 'x', [field]: `${secret} ` }))
    }
    const calls = [`"name":${text}`, `"name":"whoami","arguments":{${text}:1}`]
    for (const params of [...calls, `"name":"search_endpoints","arguments":{"service":${text}}`]) {
      const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{${params}}}`
      if (asName.length > 0) await send('POST', '/mcp', json(admin), call)
    }
    await send('POST', '/api/v1/tokens', json(admin), `{"name":"x","token":${text},`)
    await send('POST', '/api/v1/tokens', json(admin), text)
    await send('POST', '/api/v1/tokens', { ...bearer(admin), 'content-type': secret }, text)
    await send(
      'POST',
      '/api/v1/services',
      json(admin),
      JSON.stringify({ id: 'own', name: 'O', clientSecret: secret }),
    )
    await send(
      'POST',
      '/api/v1/services/own/credentials',
      json(admin),
      JSON.stringify({ clientSecret: `${secret}!` }),
    )
    await send(
      secret
        .slice(0, 8)
        .toUpperCase()
        .replace(/[^A-Z]/g, 'X'),
      '/api/v1/tokens',
      {},
    ).catch(() => {})
  }
  // Nothing that is asked for shows one either.
  for (const path of [
    '/api/v1/tokens?status=any',
    `/api/v1/tokens/${id}`,
    `/api/v1/tokens/${bound}`,
    '/api/v1/services',
    '/api/v1/services/posts',
    '/api/programmatic/catalog',
    '/openapi.json',
  ]) {
    await send('GET', path, bearer(admin))
  }
  let page = '/api/v1/audit-events?limit=100'
  for (
    let next: string | undefined = page;
    next;
    next = /link,<[^>]*(\/api[^>]*)>/.exec(answers.at(-1)!.text)?.[1]
  ) {
    page = next
    await send('GET', page, bearer(admin))
  }
  return { answers, secrets: [...secrets, operatorSecret, retryKey] }
}

/** The secret, without the checksum that can be computed; as it is, in Basic, and in hexadecimal. */
const formsOf = (secret: string) => [
  secret.slice(0, -6),
  Buffer.from(secret).toString('base64').slice(0, -4),
  Buffer.from(secret).toString('hex'),
]

function whereIn(text: string, secrets: readonly string[]): string[] {
  return secrets.flatMap(formsOf).flatMap((form) => {
    const at = text.indexOf(form)
    return at < 0 ? [] : [text.slice(Math.max(0, at - 80), at + form.length + 20)]
  })
}

// biome-ignore lint/suspicious/noExplicitAny: whatever tables there are
async function everyRow(db: Kysely<any>): Promise<string> {
  const { rows: tables } = await sql<{
    name: string
  }>`select format('%I.%I', schemaname, relname) as name from pg_stat_user_tables`.execute(db)
  const texts = await Promise.all(
    tables.map(async ({ name }) =>
      (await sql<{ row: string }>`select t::text as row from ${sql.raw(name)} t`.execute(db)).rows
        .map(({ row }) => row)
        .join('\n'),
    ),
  )
  return texts.join('\n')
}

for (const engine of engines) {
  t.test(`${engine}: a secret is in the answer that shows it and nowhere else`, async (t) => {
    const management = String(await freePort())
    const latchkey = await startLatchkey(t, engine, {
      LATCHKEY_SECRET: operatorSecret,
      LATCHKEY_MANAGEMENT_PORT: management,
    })
    const { answers, secrets } = await drive(latchkey)
    await latchkey.running.flushUsage()
    const metrics = await (await fetch(`http://127.0.0.1:${management}/metrics`)).text()
    t.match(metrics, 'http_server_request_duration_seconds')
    t.same(whereIn(metrics, secrets), [], 'in the metrics')
    t.ok(answers.length > 500 && secrets.length > 7, `${answers.length} answers, ${secrets.length} secrets`)
    t.same(
      answers.filter(({ status }) => status >= 500),
      [],
    )
    const findings = answers.flatMap(({ text }) => whereIn(text, secrets))
    t.same(findings.slice(0, 5), [], `${findings.length} in answers`)
    t.same(whereIn(latchkey.log(), secrets), [], 'in the log')
    t.same(whereIn(await everyRow(latchkey.running.store.db), secrets), [], 'in the tables')
  })
}

t.test(
  'the files of an embedded store hold no secret but the two that are kept beside it, for the owner alone',
  async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'lk-canary-'))
    t.teardown(() => rm(dataDir, { recursive: true, force: true }))
    const lines: string[] = []
    const logger = createLogger(
      'trace',
      new Writable({ write: (chunk, _, done) => done(void lines.push(String(chunk))) }),
    )
    const env = { LATCHKEY_DATA_DIR: dataDir, LATCHKEY_PORT: '0', LATCHKEY_DRAIN_SECONDS: '0' }
    const running = await start(readConfig(env), { logger })
    const admin = await readFile(join(dataDir, 'admin-token'), 'utf8')
    const made = await readFile(join(dataDir, 'secret'), 'utf8')
    const { secrets } = await drive({ url: running.url, admin })
    await running.stop()
    t.same(whereIn(lines.join(''), [...secrets, made]), [], 'in the log')
    const findings: string[] = []
    let files = 0
    for (const entry of await readdir(join(dataDir, 'store'), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      files += 1
      const bytes = await readFile(join(entry.parentPath, entry.name), 'latin1')
      findings.push(...whereIn(bytes, [...secrets, made]))
    }
    t.same(findings, [], `in ${files} files`)
    t.ok(files > 500)
  },
)
