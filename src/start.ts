// Brings a Latchkey up from its configuration: store → schema → keys → rooms → listening; and down again in the
// reverse order. main.ts does it for a process, tests do it in one.

import { buildApp } from './app.ts'
import { makeAdminToken } from './bootstrap.ts'
import { createLive } from './catalog/live.ts'
import { type Config, managementPorts } from './config.ts'
import type { Invalidation } from './db/change.ts'
import { migrate } from './db/migrate.ts'
import { answers, openStore, type Store } from './db/open.ts'
import type { Trx } from './db/tables.ts'
import { embeddedSecret, writeAdminToken } from './embedded-files.ts'
import { holdPort } from './free-port.ts'
import type { App } from './http/server.ts'
import { createCredentials } from './identity/credentials.ts'
import { declareOwnScopes } from './identity/declare-scopes.ts'
import { cleanUses } from './identity/trust/queries.ts'
import { listening } from './listening.ts'
import { createManagementServer } from './observe/health.ts'
import type { Logger } from './observe/logger.ts'
import { createMetrics } from './observe/metrics.ts'
import { cleanTokens } from './token/cleaning.ts'
import { createFirstUses } from './token/first-use.ts'
import { secretShape } from './token/format.ts'
import { type KeyRing, openKeyRing } from './token/key-ring.ts'
import { createUsage } from './token/usage.ts'
import { createChange } from './verify/change.ts'
import type { Sabotage } from './verify/replicas.ts'
import { createTruth } from './verify/truth.ts'
import { createVerify } from './verify/verify.ts'
import { version } from './version.ts'

export type Running = {
  readonly app: App
  readonly url: string
  readonly issuer: string
  readonly store: Store
  /** A token that may do everything; for bootstrap on PostgreSQL, and for tests. */
  makeAdminToken(): Promise<string>
  flushUsage(): Promise<void>
  /** Readiness says no, requests go on being answered for the drain time, then all is closed in order. */
  stop(): Promise<void>
}

export type StartOptions = {
  readonly logger: Logger
  /** Epoch milliseconds; the clock of everything that expires. */
  readonly now?: () => number
  /** Tests bring a store of their own. */
  readonly store?: Store
  /** Tests take guards away, one at a time, to see that it shows. */
  readonly sabotage?: ReadonlySet<Sabotage>
  /** false: every request goes through the router. */
  readonly lanes?: boolean
}

const flushEveryMs = 2_000
const cleanEveryMs = 60_000

/** @throws Error that says what to change */
export async function start(config: Config, options: StartOptions): Promise<Running> {
  const undo: (() => Promise<unknown>)[] = []
  const down = async () => {
    // One that fails does not spare those after it: last use is to be written, and the store closed.
    const failures: unknown[] = []
    for (const step of undo.splice(0).reverse()) await step().catch((error) => failures.push(error))
    if (failures.length > 0) throw failures[0]
  }
  try {
    return await bringUp(config, options, undo, down)
  } catch (error) {
    // Why it cannot start is what the operator must learn, whatever could not be undone.
    await down().catch((err) => options.logger.warn({ err }, 'not all of a start that failed was undone'))
    throw error
  }
}

/** A store of any age → one of this version, with the keys that open it. @throws Error when the secret is wrong */
export async function prepareStore(
  { db }: Store,
  config: Config,
  logger: Logger,
  now: () => number,
): Promise<KeyRing> {
  const applied = await migrate(db)
  if (applied.length > 0) logger.info({ applied }, 'schema migrated')
  const current = config.secret ?? (await embeddedSecret(config.dataDir))
  const ring = await openKeyRing(db, { current, previous: config.secretPrevious }, new Date(now()))
  await declareOwnScopes(db, new Date(now()))
  return ring
}

/** @param undo takes what each step needs to be undone; `down` does it, the last step first */
async function bringUp(
  config: Config,
  options: StartOptions,
  undo: (() => Promise<unknown>)[],
  down: () => Promise<void>,
): Promise<Running> {
  const { logger, sabotage = new Set(), lanes = true } = options
  const store = options.store ?? (await openStore(config))
  undo.push(store.close)
  const { db } = store
  const ring = await prepareStore(store, config, logger, options.now ?? Date.now)

  const held =
    config.port === 0
      ? await listening('LATCHKEY_PORT', () => holdPort(config.host, managementPorts(config)))
      : null
  if (held) undo.push(held.release)
  const port = held?.port ?? config.port
  const issuer = config.issuer ?? `http://localhost:${port}`
  const metrics = createMetrics(version)
  const shape = secretShape([config.tokenPrefix, ...config.tokenPrefixesPast])
  const forgetOthers = (what: readonly Invalidation[] | null) => {
    const concerns = (kinds: readonly string[]) => what?.some((one) => kinds.includes(one.kind)) ?? true
    if (concerns(['services'])) credentials.forget()
    if (concerns(['services', 'scopes', 'catalog'])) live.forget()
  }
  const truth = createTruth(store, ring, shape, forgetOthers, logger, sabotage)
  const { lease, replicas, facts } = truth
  metrics.lease(lease.holds)
  const admit = async (trx: Trx) => replicas?.admit(trx)
  const credentials = createCredentials({ db, admit, lease, key: ring.subkey('client credentials') })
  const live = createLive(db, admit)
  undo.push(async () => replicas?.stop())
  await replicas?.ready()

  const now = options.now ?? replicas?.now ?? Date.now
  const usage = createUsage(db, truth.uses, now)
  const logged = (err: Error) => logger.warn({ err }, 'usage could not be written; it is kept')
  let isWritten = true
  const flushing = setInterval(async () => {
    const failure: Error | null = await usage.flush().then(
      () => null,
      (error) => error,
    )
    // Once for each outage: it is tried again every few seconds.
    if (failure && isWritten) logged(failure)
    isWritten = !failure
  }, flushEveryMs).unref()

  const change = createChange({ db: store.changes, replicas, forget: truth.forget })
  const add = createChange({ db, replicas, forget: truth.forget })
  const notEnded = (err: Error) => logger.warn({ err }, 'a replaced secret could not be ended yet')
  const firstUses = createFirstUses(change, now, notEnded)
  const flushUsage = async () => {
    await usage.flushAll().catch(logged)
    await firstUses.flush().catch(notEnded)
  }
  const notCleaned = (err: Error) => logger.warn({ err }, 'what is over could not be cleaned away')
  const clean = () => {
    for (const job of [cleanTokens, cleanUses]) job(db, new Date(now())).catch(notCleaned)
  }
  const cleaning = setInterval(clean, cleanEveryMs).unref()
  undo.push(flushUsage, async () => {
    clearInterval(flushing)
    clearInterval(cleaning)
    firstUses.stop()
  })
  const verify = createVerify({ facts, note: usage.note, noteFirstUse: firstUses.note, now })
  const bootstrap = { change, ring, tokenPrefix: config.tokenPrefix, now }
  if (store.engine === 'embedded') {
    await makeAdminToken(bootstrap, {
      first: true,
      keep: (secret) => writeAdminToken(config.dataDir, secret),
    })
  }

  let stopping = false
  const isStopping = () => stopping
  const readiness = async () => {
    if (stopping) return { ready: false, reason: 'stopping' }
    if (!lease.holds())
      return { ready: false, reason: 'no lease: the store or its notifications are out of reach' }
    const ready = await answers(db)
    return { ready, reason: ready ? 'ok' : 'the store does not answer' }
  }
  const { confirm, feed, monotonic } = truth
  const made = {
    config,
    issuer,
    version,
    store,
    ring,
    shape,
    verify,
    change,
    add,
    credentials,
    live,
    feed,
    lease,
    confirm,
    monotonic,
  }
  const app = await buildApp({ ...made, logger, metrics, readiness, isStopping, lanes, now })
  // First, so that nobody is served by a process that then ends for want of this port.
  if (config.managementPort !== null) {
    const management = createManagementServer(metrics, readiness)
    undo.push(() => management.close())
    const at = { host: config.host, port: config.managementPort }
    await listening('LATCHKEY_MANAGEMENT_PORT', () => management.listen(at))
  }
  undo.push(() => app.close())
  await held?.release()
  await listening('LATCHKEY_PORT', () => app.listen({ host: config.host, port }))

  // In the background; it ends by itself when the store is closed.
  if (replicas)
    truth.warm().then(
      (tokens) => logger.info({ tokens }, 'memory is warm'),
      (err) => logger.warn({ err }, 'memory could not be warmed; it fills as tokens are used'),
    )

  return {
    app,
    url: `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`,
    issuer,
    store,
    makeAdminToken: async () => (await makeAdminToken(bootstrap, { first: false }))!,
    flushUsage,
    async stop() {
      stopping = true
      await new Promise((resolve) => setTimeout(resolve, config.drainSeconds * 1000))
      await down()
    },
  }
}
