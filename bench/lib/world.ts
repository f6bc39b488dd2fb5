// A world to measure in: a PostgreSQL of its own with a Latchkey database, some tokens in it, and a service that may
// introspect them; and any number of Latchkey processes on it, from dist, as `npm start` runs them.
import { execFile } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { openPostgres } from '../../src/db/postgres.ts'
import { openKeyRing } from '../../src/token/key-ring.ts'
import { startPostgres } from '../../test/helpers/postgres-server.ts'
import { freePort } from '../../test/helpers/process.ts'
import { type Child, root, startChild } from './child.ts'
import { loadSecrets, loadSubjects, loadTokens, scopes, secretOf } from './population.ts'

export type Replica = {
  readonly child: Child
  readonly url: string
  readonly port: number
  stop(): Promise<void>
}

export type ReplicaOptions = {
  /** Settings beyond the defaults. */
  readonly env?: Record<string, string>
  /** To the servers' core, which is what ratios need and latencies do not. */
  readonly pinned?: boolean
  /** Another build. */
  readonly main?: string
  /** Do not wait until it has taken in what the database holds, which takes seconds for a million tokens. */
  readonly isCold?: boolean
}

export type World = {
  readonly databaseUrl: string
  /** The operator's secret. */
  readonly secret: string
  /** A token that may do everything. */
  readonly admin: string
  /** The header of the service that asks. */
  readonly basic: string
  readonly tokens: number
  /** Milliseconds that loading so many tokens into the database took. */
  readonly loadedMs: number
  replica(options?: ReplicaOptions): Promise<Replica>
  close(): Promise<void>
}

const secret = 'the operator’s secret of the benches'
const readyWithinMs = 60_000

export async function openWorld(tokens: number): Promise<World> {
  const server = await startPostgres({ settings: { shared_buffers: '1GB', max_wal_size: '4GB' } })
  const base = {
    DATABASE_URL: server.url,
    LATCHKEY_SECRET: secret,
    LATCHKEY_LOG_LEVEL: 'info',
    LATCHKEY_DRAIN_SECONDS: '0',
  }
  const replica = ({ env = {}, ...rest }: ReplicaOptions = {}) =>
    startReplica({ env: { ...base, ...env }, ...rest })
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [`${root}dist/cli/main.js`, 'bootstrap'], {
      env: { PATH: process.env['PATH'], ...base },
    })
    const admin = stdout.trim()
    const first = await replica({ pinned: false })
    const basic = await registerService(first.url, admin)
    await first.stop()
    const start = performance.now()
    await loadInto(server.url, tokens)
    const loadedMs = performance.now() - start
    return {
      databaseUrl: server.url,
      secret,
      admin,
      basic,
      tokens,
      loadedMs,
      replica,
      close: () => server.remove(),
    }
  } catch (error) {
    await server.remove()
    throw error
  }
}

async function startReplica({
  env,
  pinned = true,
  main = 'dist/main.js',
  isCold = false,
}: ReplicaOptions): Promise<Replica> {
  const port = await freePort()
  const child = startChild(main, {
    env: { LATCHKEY_PORT: String(port), ...env },
    ...(pinned && { core: 0 as const }),
  })
  const url = `http://127.0.0.1:${port}`
  const ended = child.told('never')
  const replica = { child, url, port, stop: () => child.stop() }
  ended.catch(() => {})
  await Promise.race([ended, ready(url)])
  if (!isCold) await Promise.race([ended, warmed(replica)])
  return replica
}

const longestWarmMs = 60_000

/** Resolves to how long it took from now until it remembers all live tokens; null: this build does not warm its memory. */
export async function warmed({ child }: Replica): Promise<number | null> {
  const start = performance.now()
  // A build without it says nothing; one with it says so within seconds, whatever there is to load.
  for (; performance.now() - start < longestWarmMs; await wait(10)) {
    if (child.output().includes('memory is warm')) return performance.now() - start
    if (child.output().includes('could not be warmed')) return null
  }
  return null
}

async function ready(url: string): Promise<void> {
  for (const deadline = performance.now() + readyWithinMs; performance.now() < deadline; await wait(20)) {
    const answer = await fetch(`${url}/readyz`).catch(() => null)
    if (answer?.ok) return
  }
  throw new Error(`${url} is not ready after ${readyWithinMs / 1000} s`)
}

/** As an operator would: one service that declares the scopes and asks about tokens. */
async function registerService(url: string, admin: string): Promise<string> {
  const { clientSecret } = (await call(url, admin, 'POST', '/api/v1/services', {
    id: 'posts',
    name: 'Posts',
  })) as {
    clientSecret: string
  }
  await call(url, admin, 'PUT', '/api/v1/services/posts/scopes', {
    groups: [{ id: 'all', title: 'All' }],
    scopes: scopes.map((name) => ({ name, title: name, group: 'all' })),
  })
  return `Basic ${Buffer.from(`posts:${clientSecret}`).toString('base64')}`
}

/** JSON in, JSON out. @throws Error when the answer is no success */
export async function call(
  url: string,
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const answer = await fetch(url + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`)
  return text === '' ? null : JSON.parse(text)
}

/** Whoever holds no lease answers 503, and that is not active. */
export async function active({ basic }: World, { url }: Replica, token: string): Promise<boolean> {
  const answer = await fetch(`${url}/oauth2/introspect`, {
    method: 'POST',
    headers: { authorization: basic },
    body: new URLSearchParams({ token }),
  })
  return (await answer.text()).includes('"active":true')
}

/** The tokens 0 to `count`, by SQL alone: the server makes secrets and digests itself. */
async function loadInto(url: string, count: number): Promise<void> {
  const { key, keyId } = await digestKey(url)
  const pad = (byte: number) =>
    Buffer.from(Buffer.concat([key, Buffer.alloc(64 - key.length)]).map((one) => one ^ byte))
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    // Neither foreign keys nor triggers for what is right by construction.
    await client.query('set session_replication_role = replica; set synchronous_commit = off')
    await client.query(loadSubjects, [0, count])
    await client.query(loadTokens, [0, count, scopes])
    await client.query(loadSecrets, [0, count, pad(0x36), pad(0x5c), keyId])
    await client.query('vacuum analyze token, token_secret, subject, scope')
    // What was loaded is on the disk before anything is measured.
    await client.query('checkpoint')
  } finally {
    await client.end()
  }
}

async function digestKey(url: string): Promise<{ key: Buffer; keyId: string }> {
  const store = await openPostgres(url)
  try {
    const ring = await openKeyRing(store.db, { current: secret, previous: null }, new Date())
    return { key: ring.subkey('token digest'), keyId: ring.currentId }
  } finally {
    await store.close()
  }
}

/** Has the replica remember the first `count` tokens, by asking about each once, a hundred at a time. */
export async function remember({ url }: Replica, { basic }: World, count: number): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < count) {
      const from = next
      next = Math.min(count, next + 100)
      const checks = Array.from({ length: next - from }, (_, at) => ({ token: secretOf(from + at) }))
      const answer = await patiently(() =>
        fetch(`${url}/api/v1/verify/batch`, {
          method: 'POST',
          headers: { authorization: basic, 'content-type': 'application/json' },
          body: JSON.stringify({ checks }),
        }),
      )
      const text = await answer.text()
      const good = text.split('"valid":true').length - 1
      if (good !== checks.length)
        throw new Error(`Only ${good} of ${checks.length} tokens are valid: ${text.slice(0, 500)}`)
    }
  }
  await Promise.all(Array.from({ length: 6 }, worker))
}

/** Misses are shed when the machine is busy; here there is time. */
async function patiently(ask: () => Promise<Response>): Promise<Response> {
  for (let triesLeft = 50; ; triesLeft--) {
    const answer = await ask()
    if (answer.status !== 503 || triesLeft === 0) return answer
    await wait(200)
  }
}
