// A running Latchkey for a test, on either engine, spoken to over real HTTP as anybody would. Time is moved by hand.
import { Writable } from 'node:stream'
import type { Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import type { Store } from '../../src/db/open.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { type Running, start } from '../../src/start.ts'
import { freshPostgresUrl } from './databases.ts'
import { freshPglite } from './pglite-image.ts'

export type Engine = 'pglite' | 'postgres'
export const engines: readonly Engine[] = ['pglite', 'postgres']

/** The hottest endpoints are answered in front of the router; the declared routes must say the same (http/lane.ts). */
export const ways = [
  { way: 'in front of the router', lanes: true },
  { way: 'through the router', lanes: false },
] as const

/** `T` is what the caller expects the JSON to be; `any` by default, as a test asserts it anyway. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type Answer<T = any> = { status: number; headers: Headers; text: string; body: T }

export type Latchkey = {
  readonly url: string
  readonly running: Running
  readonly admin: string
  /** Epoch milliseconds of Latchkey's clock; assign to move it. */
  readonly clock: { now: number }
  /** Everything logged so far, at trace level. */
  readonly log: () => string
  /** JSON in, JSON out. `token`: null sends no Authorization; left out, the admin's. */
  call(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer>
  /** A form to an OAuth endpoint. */
  form(
    path: string,
    fields: Record<string, string> | [string, string][],
    headers?: Record<string, string>,
  ): Promise<Answer>
}
export type CallOptions = { token?: string | null; headers?: Record<string, string> }

export const basic = (id: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
})

/** Starts one; it is stopped when the test ends. @param env settings beyond the defaults @param options of start() */
export async function startLatchkey(
  t: Test,
  engine: Engine,
  env: Record<string, string> = {},
  options: { lanes?: boolean } = {},
): Promise<Latchkey> {
  const clock = { now: Date.parse('2026-11-22T12:00:00Z') }
  const lines: string[] = []
  const logger = createLogger(
    'trace',
    new Writable({ write: (chunk, _encoding, done) => done(void lines.push(String(chunk))) }),
  )
  const settings = {
    LATCHKEY_PORT: '0',
    LATCHKEY_SECRET: 'a secret of the tests',
    LATCHKEY_DRAIN_SECONDS: '0',
    ...env,
  }
  const running = await start(readConfig(settings), {
    logger,
    now: () => clock.now,
    ...options,
    store: await freshStore(t, engine, env['DATABASE_URL']),
  })
  t.teardown(() => running.stop())
  const admin = await running.makeAdminToken()
  const { url } = running
  return {
    url,
    running,
    admin,
    clock,
    log: () => lines.join(''),
    call: async (method, path, body, { token = admin, headers = {} } = {}) =>
      answer(
        await fetch(url + path, {
          method,
          headers: {
            ...(token !== null && { authorization: `Bearer ${token}` }),
            ...(body !== undefined && { 'content-type': 'application/json' }),
            ...headers,
          },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        }),
      ),
    form: async (path, fields, headers = {}) =>
      answer(await fetch(url + path, { method: 'POST', headers, body: new URLSearchParams(fields) })),
  }
}

/** @param address of a database that the test sees to itself, as when it stands behind a proxy */
export async function freshStore(t: Test, engine: Engine, address: string | undefined): Promise<Store> {
  // 'postgres' for both: an in-memory store has no directory to keep a secret and an admin token in.
  if (engine === 'pglite') return { ...(await freshPglite()), engine: 'postgres' }
  if (address !== undefined) return openPostgres(address)
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  return openPostgres(url)
}

async function answer(response: Response): Promise<Answer> {
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: isJson && text !== '' ? JSON.parse(text) : null,
  }
}

/** Registers the service `posts` with posts:read and posts:write; returns its client credentials. */
export async function registerPosts(
  latchkey: Latchkey,
  more: Record<string, unknown> = {},
): Promise<{ id: string; secret: string }> {
  const registered = await latchkey.call('POST', '/api/v1/services', {
    id: 'posts',
    name: 'Posts API',
    ...more,
  })
  await latchkey.call('PUT', '/api/v1/services/posts/scopes', {
    groups: [{ id: 'content', title: 'Content' }],
    scopes: [
      { name: 'posts:read', title: 'Read posts', group: 'content', risk: 'low' },
      { name: 'posts:write', title: 'Write posts', group: 'content', implies: ['posts:read'] },
    ],
  })
  return { id: 'posts', secret: registered.body.clientSecret }
}

/** Provisions a token for user_42 with posts:read unless told otherwise; the whole answer's body. */
export async function provision(latchkey: Latchkey, body: Record<string, unknown> = {}) {
  const { status, body: token } = await latchkey.call('POST', '/api/v1/tokens', {
    name: 'ci',
    subject: 'user_42',
    scopes: ['posts:read'],
    ...body,
  })
  if (status !== 200) throw new Error(`provision answered ${status}: ${token?.detail}`)
  return token
}
