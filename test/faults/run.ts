// What a scenario asks of replicas, over real HTTP, and writes down: every call goes into the history with what came
// of it. It makes no trouble of its own, and judges only at the end, through checker.ts.
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { check, type FinalState, type Verdict } from './checker.ts'
import { type Cluster, type Replica, scopes } from './cluster.ts'
import { type Action, createHistory, type Entry, type History, type Invocation } from './history.ts'

export type Token = {
  readonly name: string
  readonly subject: string
  readonly id: string
  readonly secret: string
}
/** `status` 0: no answer. */
export type Answer = { readonly status: number; readonly ms: number; readonly active?: boolean }
export type Sample = Answer & {
  readonly f: Action
  readonly replica: string
  /** Or subject. */
  readonly token: string
  /** When it was answered; `performance.now()`. */
  readonly at: number
}

export type Run = {
  readonly history: History
  readonly samples: readonly Sample[]
  /** null: not answered, or refused. */
  provision(at: Replica, options?: { subject?: string; lifetimeSeconds?: number }): Promise<Token | null>
  /** The same where nothing but success will do. */
  provisionNow(at: Replica, options?: { subject?: string; lifetimeSeconds?: number }): Promise<Token>
  introspect(at: Replica, token: Token): Promise<Answer>
  /** The same, unrecorded. */
  ask(at: Replica, token: Token): Promise<Answer>
  revoke(at: Replica, token: Token): Promise<Answer>
  /** Over RFC 7009, which knows the secret alone. */
  revokeBySecret(at: Replica, token: Token): Promise<Answer>
  disable(at: Replica, subject: string): Promise<Answer>
  enable(at: Replica, subject: string): Promise<Answer>
  /** Takes faults:write away. */
  narrow(at: Replica, token: Token): Promise<Answer>
  /** Without a grace period. null: not answered, or refused. */
  rotate(at: Replica, token: Token): Promise<Token | null>
  /** Asks until it is remembered: active, and answered twice. */
  warm(at: Replica, token: Token): Promise<void>
  /** Any other call, not recorded. */
  call(at: Replica, method: string, path: string, body?: unknown): Promise<Answer>
  /** Reads the database and checks the whole history. @param adminUrl where the truth is now */
  verdict(sql?: Cluster['sql']): Promise<Verdict>
  end(): void
}

export type RunOptions = {
  /** Begins all names of this run; no other run of the database has it. */
  readonly prefix: string
  readonly timeoutMs?: number
  /** Changes may be lost, as nobody promised to keep them: then a refusal of what was right is no alarm. */
  readonly lossy?: boolean
}

/** 401 of our own credentials would be a false negative, too: they are good all the while. */
export class Misjudged extends Error {}

export function createRun(cluster: Cluster, { prefix, timeoutMs = 8_000, lossy = false }: RunOptions): Run {
  const history = createHistory()
  const samples: Sample[] = []
  const agents = new Map<string, http.Agent>()
  const oddities: string[] = []
  let named = 0

  function agentFor(url: string): http.Agent {
    const agent = agents.get(url) ?? new http.Agent({ keepAlive: true, maxSockets: 512 })
    agents.set(url, agent)
    return agent
  }

  async function send(
    at: Replica,
    method: string,
    path: string,
    headers: http.OutgoingHttpHeaders,
    body?: string,
  ) {
    const { url } = at
    const began = performance.now()
    const answer = await exchange(agentFor(url), url + path, method, headers, body, timeoutMs)
    return { ...answer, ms: performance.now() - began }
  }

  const asAdmin = (at: Replica, method: string, path: string, body?: unknown) =>
    send(
      at,
      method,
      path,
      {
        authorization: `Bearer ${cluster.admin}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body === undefined ? undefined : JSON.stringify(body),
    )

  const introspection = (at: Replica, secret: string) =>
    send(
      at,
      'POST',
      '/oauth2/introspect',
      { authorization: cluster.basic, 'content-type': 'application/x-www-form-urlencoded' },
      `token=${encodeURIComponent(secret)}`,
    )

  async function change(
    at: Replica,
    what: Omit<Invocation, 'proc' | 'replica'>,
    method: string,
    path: string,
    body?: unknown,
    result?: { readonly successor: string },
  ) {
    const operation = history.invoke({ ...what, proc: prefix, replica: at.name })
    const { status, text, ms, error } = await asAdmin(at, method, path, body)
    if (status === 200) operation.ok(result)
    else if (status >= 400 && status < 500) {
      operation.fail(status)
      oddities.push(`${what.f} of ${what.token ?? what.subject} at ${at.name}: ${status} ${text}`)
    } else operation.unknown(error ?? `${status} ${text}`)
    samples.push({
      f: what.f,
      replica: at.name,
      token: what.token ?? what.subject ?? '',
      status,
      ms,
      at: performance.now(),
    })
    return { status, ms, text }
  }

  const run: Run = {
    history,
    samples,
    async provision(at, { subject, lifetimeSeconds } = {}) {
      const name = `${prefix}-${named++}`
      const owner = subject ?? `${name}-owner`
      const body = {
        name,
        subject: owner,
        scopes,
        ...(lifetimeSeconds !== undefined && { expiresIn: lifetimeSeconds }),
      }
      const what = {
        f: 'provision' as const,
        token: name,
        subject: owner,
        ...(lifetimeSeconds !== undefined && { lifetimeMs: lifetimeSeconds * 1000 }),
      }
      const { status, text } = await change(at, what, 'POST', '/api/v1/tokens', body)
      if (status !== 200) return null
      const { id, token: secret } = JSON.parse(text)
      return { name, subject: owner, id, secret }
    },
    async provisionNow(at, options) {
      const deadline = performance.now() + 15_000
      while (performance.now() < deadline) {
        const token = await run.provision(at, options)
        if (token) return token
        await sleep(100)
      }
      throw new Error(`nothing can be provisioned at ${at.name}: ${lastError(history.entries())}`)
    },
    ask: async (at, { secret }) => {
      const { status, text, ms } = await introspection(at, secret)
      return { status, ms, ...(status === 200 && { active: JSON.parse(text).active === true }) }
    },
    async introspect(at, token) {
      const operation = history.invoke({ f: 'introspect', token: token.name, proc: prefix, replica: at.name })
      const { status, text, ms, error } = await introspection(at, token.secret)
      const sample = {
        f: 'introspect' as const,
        replica: at.name,
        token: token.name,
        status,
        ms,
        at: performance.now(),
      }
      if (status !== 200) {
        operation.fail(error ?? status)
        if (status >= 400 && status < 500) oddities.push(`introspect at ${at.name}: ${status} ${text}`)
        samples.push(sample)
        return { status, ms }
      }
      const { active, scope = '' } = JSON.parse(text) as { active: boolean; scope?: string }
      operation.ok(active ? { active, scopes: scope.split(' ') } : { active })
      samples.push({ ...sample, active })
      return { status, ms, active }
    },
    revoke: (at, token) =>
      change(at, { f: 'revoke', token: token.name }, 'DELETE', `/api/v1/tokens/${token.id}`),
    async revokeBySecret(at, token) {
      const operation = history.invoke({ f: 'revoke', token: token.name, proc: prefix, replica: at.name })
      const { status, text, ms, error } = await send(
        at,
        'POST',
        '/oauth2/revoke',
        { authorization: cluster.basic, 'content-type': 'application/x-www-form-urlencoded' },
        `token=${encodeURIComponent(token.secret)}`,
      )
      if (status === 200) operation.ok()
      else operation.unknown(error ?? `${status} ${text}`)
      return { status, ms }
    },
    disable: (at, subject) =>
      change(at, { f: 'disable', subject }, 'PATCH', `/api/v1/subjects/${subject}`, { disabled: true }),
    enable: (at, subject) =>
      change(at, { f: 'enable', subject }, 'PATCH', `/api/v1/subjects/${subject}`, { disabled: false }),
    narrow: (at, token) =>
      change(
        at,
        { f: 'narrow', token: token.name, scopes: ['faults:write'] },
        'PATCH',
        `/api/v1/tokens/${token.id}`,
        { scopes: ['faults:read'] },
      ),
    async rotate(at, token) {
      const name = successorOf(token.name)
      const what = { f: 'rotate' as const, token: token.name }
      const path = `/api/v1/tokens/${token.id}/rotate`
      const { status, text } = await change(at, what, 'POST', path, {}, { successor: name })
      return status === 200 ? { ...token, name, secret: JSON.parse(text).token } : null
    },
    async warm(at, token) {
      const deadline = performance.now() + 10_000
      for (let active = 0; active < 2; ) {
        if ((await run.introspect(at, token)).active) active += 1
        else await sleep(50)
        if (performance.now() > deadline) throw new Error(`${at.name} does not call ${token.name} active`)
      }
    },
    call: (at, method, path, body) => asAdmin(at, method, path, body),
    async verdict(sql = cluster.sql) {
      if (oddities.length > 0 && !lossy)
        throw new Misjudged(`refused, though right: ${oddities.slice(0, 3).join('; ')}`)
      return check(history.entries(), { final: await finalState(sql, prefix) })
    },
    end() {
      for (const agent of agents.values()) agent.destroy()
    },
  }
  return run
}

/** No token is rotated twice here. */
const successorOf = (name: string) => `${name}+`

async function finalState(sql: Cluster['sql'], prefix: string): Promise<FinalState> {
  type Row = { token: string; revoked: boolean; disabled: boolean; scopes: string[]; rotated: boolean }
  const rows = await sql<Row>(
    `select name as token, revoked_at is not null as revoked, disabled_at is not null as disabled, scopes,
       secret_version > 1 as rotated
     from token where name like $1`,
    [`${prefix}-%`],
  )
  // Latchkey rotates in place: the same row, another secret.
  const heirs = rows.filter(({ rotated }) => rotated)
  const tokens = [
    ...rows,
    ...heirs.map((row) => ({ ...row, token: successorOf(row.token), predecessor: row.token })),
  ]
  const subjects = await sql<{ subject: string; disabled: boolean }>(
    `select id as subject, disabled_at is not null as disabled from subject where id like $1`,
    [`${prefix}-%`],
  )
  return { tokens, subjects }
}

const lastError = (entries: readonly Entry[]) => entries.findLast((entry) => entry.error !== undefined)?.error

type Exchange = { status: number; text: string; error?: string }

/** Resolves in any case, within the time. */
export function exchange(
  agent: http.Agent,
  url: string,
  method: string,
  headers: http.OutgoingHttpHeaders,
  body: string | undefined,
  timeoutMs: number,
): Promise<Exchange> {
  return new Promise((resolve) => {
    const request = http.request(url, { agent, method, headers }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () =>
        settle({ status: response.statusCode!, text: Buffer.concat(parts).toString() }),
      )
      response.on('error', (error) => settle({ status: 0, text: '', error: error.message }))
    })
    const timer = setTimeout(() => {
      settle({ status: 0, text: '', error: 'no answer in time' })
      request.destroy()
    }, timeoutMs)
    const settle = (answer: Exchange) => {
      clearTimeout(timer)
      resolve(answer)
    }
    request.on('error', (error: NodeJS.ErrnoException) =>
      settle({ status: 0, text: '', error: error.code ?? error.message }),
    )
    request.end(body)
  })
}
