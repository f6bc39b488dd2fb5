// Builds every room and mounts it: the only file that knows them all. It decides nothing.
import { auditRoutes } from './audit/routes.ts'
import { baseUrlCheck } from './catalog/base-url.ts'
import { createCatalog } from './catalog/catalog.ts'
import { formatRoutes } from './catalog/formats/routes.ts'
import type { Live } from './catalog/live.ts'
import { mcpRoute } from './catalog/mcp/routes.ts'
import { openapiRoutes } from './catalog/merging/routes.ts'
import { apiPages, describeApi } from './catalog/openapi.ts'
import { publishRoutes } from './catalog/publish-routes.ts'
import { createReader } from './catalog/reading/reader.ts'
import type { JsonObject } from './catalog/reading/tree.ts'
import { catalogRoutes, collectEndpoints } from './catalog/routes.ts'
import { scopesForRoute } from './catalog/scopes-for-route.ts'
import { scopesRoutes } from './catalog/scopes-routes.ts'
import type { Config } from './config.ts'
import type { Change } from './db/change.ts'
import type { Store } from './db/open.ts'
import { createForwardAuth, type Refusal, refusals } from './forward-auth/forward-auth.ts'
import { createPublishedNow } from './forward-auth/published-now.ts'
import { forwardAuthRoutes } from './forward-auth/routes.ts'
import { type GuardDependencies, installGuard } from './guard/guard.ts'
import { createWrite } from './guard/write.ts'
import { createCursors } from './http/cursor.ts'
import type { Lane } from './http/lane.ts'
import { Problem } from './http/problem.ts'
import { type App, createServer } from './http/server.ts'
import type { Credentials } from './identity/credentials.ts'
import { serviceRoutes } from './identity/service-routes.ts'
import { subjectRoutes } from './identity/subject-routes.ts'
import { trustRoutes } from './identity/trust/routes.ts'
import { createTrust } from './identity/trust/trust.ts'
import { checkRoutes } from './introspection/check-routes.ts'
import { discoveryRoutes } from './introspection/discovery.ts'
import { createIntrospect } from './introspection/introspect.ts'
import { introspectionLane } from './introspection/lane.ts'
import { oauthRoutes } from './introspection/oauth-routes.ts'
import { revocationStream } from './introspection/revocation-stream.ts'
import { tokenEndpoint } from './introspection/token-endpoint.ts'
import { healthRoutes, type Readiness } from './observe/health.ts'
import type { Logger } from './observe/logger.ts'
import type { Metrics } from './observe/metrics.ts'
import type { SecretShape } from './token/format.ts'
import type { KeyRing } from './token/key-ring.ts'
import { tokenRoutes } from './token/routes.ts'
import type { Feed } from './verify/feed.ts'
import { type Lease, leaseMs } from './verify/lease.ts'
import type { Verify } from './verify/verify.ts'

export type Parts = {
  readonly config: Config
  readonly issuer: string
  readonly version: string
  readonly store: Store
  readonly ring: KeyRing
  readonly shape: SecretShape
  readonly verify: Verify
  readonly change: Change
  /** For changes that invalidate nothing that anybody relies on. */
  readonly add: Change
  readonly credentials: Credentials
  readonly live: Live
  readonly feed: Feed
  readonly lease: Lease
  readonly confirm: () => Promise<boolean>
  readonly monotonic: () => number
  readonly logger: Logger
  readonly metrics: Metrics
  readonly readiness: Readiness
  readonly isStopping: () => boolean
  /** Whether the hottest endpoints are answered in front of the router; tests try both ways. */
  readonly lanes: boolean
  /** Epoch milliseconds. */
  readonly now: () => number
}

export async function buildApp(parts: Parts): Promise<App> {
  const { config, issuer, version, ring, verify, change, credentials, live, logger, metrics, now } = parts
  const { db } = parts.store
  const lanes: Lane[] = []
  const urlReaders: Lane[] = []
  const app = createServer({ ...parts, lanes, urlReaders })
  const guard: GuardDependencies = {
    verify,
    checkCredentials: credentials.check,
    recallHeader: credentials.recall,
    serviceById: credentials.service,
    trustedProxies: config.trustedProxies,
    issuer,
  }
  const write = createWrite(change, issuer, ring.digests, now)
  // Making things does not take the connections that are kept for taking them away.
  const writeNew = createWrite(parts.add, issuer, ring.digests, now)
  const cursors = createCursors(ring.subkey('cursor'))
  const onRevoked = (count = 1) => metrics.revoked.inc(count)
  const onProvisioned = (type: string) => metrics.provisioned.inc({ type })
  const counters = checkCounters(metrics)
  const onChecked = (door: Door, active: boolean) => {
    counters[door][active ? 'active' : 'inactive'].count += 1
  }

  const endpoints = collectEndpoints(app)
  installGuard(app, guard)
  await describeApi(app, { issuer, version })

  const mint = { ring, prefix: config.tokenPrefix, neverAllowed: config.neverExpire === 'allow' }
  tokenRoutes(app, {
    db,
    write,
    writeNew,
    mint,
    cursors,
    issuer,
    now,
    effectiveWithinMs: leaseMs,
    onProvisioned,
    onRevoked,
  })
  checkRoutes(app, { verify, onChecked })
  const introspect = createIntrospect({
    guard,
    issuer,
    onChecked: (active) => onChecked('introspect', active),
  })
  oauthRoutes(app, {
    change,
    confirm: parts.confirm,
    guard,
    introspect,
    shape: parts.shape,
    digests: ring.digests,
    now,
    onRevoked,
  })
  const onTrouble = (err: Error) => {
    if (!(err instanceof Problem)) logger.error({ err }, 'a check failed')
  }
  const introspectLane = introspectionLane({ introspect, trustedProxies: config.trustedProxies, onTrouble })
  const refused = refusalCounters(metrics)
  const forwardAuth = createForwardAuth({ verify, onChecked: (active) => onChecked('forward-auth', active) })
  const forwardAuthLane = forwardAuthRoutes(app, {
    ...guard,
    forwardAuth,
    published: createPublishedNow(live, parts.lease),
    onTrouble,
    onRefused: (why) => {
      refused[why].count += 1
    },
  })
  if (parts.lanes) lanes.push(introspectLane, forwardAuthLane)
  urlReaders.push(forwardAuthLane)
  revocationStream(app, parts)
  const internalIssuers = config.internalIssuers
  const trust = createTrust({
    db,
    change: parts.add,
    mint,
    issuer,
    internalIssuers,
    now,
    monotonic: parts.monotonic,
    onTrouble: (of, err) => logger.warn({ issuer: of, err }, 'the keys of an issuer cannot be had'),
  })
  trustRoutes(app, {
    db,
    write,
    cursors,
    issuer,
    internal: internalIssuers,
    checkSignature: trust.checkSignature,
    now,
    onRevoked,
  })
  tokenEndpoint(app, trust.exchange, () => onProvisioned('federated'))
  discoveryRoutes(app, { db, issuer })
  serviceRoutes(app, { db, write, now, refuseBaseUrl: baseUrlCheck(live) })
  const reader = createReader()
  app.addHook('onClose', reader.stop)
  const publishing = { db, write, live, ownEndpoints: endpoints, now }
  scopesRoutes(app, publishing)
  publishRoutes(app, { ...publishing, reader })
  subjectRoutes(app, { db, write, now })
  auditRoutes(app, { db, cursors, issuer })
  const site = { issuer, version, tokenPrefix: config.tokenPrefix }
  const catalog = createCatalog(live, endpoints, site)
  catalogRoutes(app, { catalog, guard })
  scopesForRoute(app, catalog, guard)
  const ownDocument = () => app.swagger() as unknown as JsonObject
  openapiRoutes(app, { db, catalog, guard, issuer, version, ownDocument })
  formatRoutes(app, { catalog, guard, site })
  mcpRoute(app, { catalog, guard, site })
  healthRoutes(app, parts.readiness)
  await apiPages(app)
  return app
}

type Door = 'introspect' | 'verify' | 'forward-auth'

function refusalCounters({ refused }: Metrics) {
  return Object.fromEntries(refusals.map((why) => [why, refused(why)])) as Record<Refusal, { count: number }>
}

function checkCounters({ checks }: Metrics) {
  const of = (door: Door) => ({ active: checks(door, 'active'), inactive: checks(door, 'inactive') })
  return { introspect: of('introspect'), verify: of('verify'), 'forward-auth': of('forward-auth') }
}
