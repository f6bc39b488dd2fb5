// Builds every room and mounts it: the only file that knows them all. It decides nothing.
import { auditRoutes } from './audit/routes.ts'
import { apiPages, describeApi } from './catalog/openapi.ts'
import { catalogRoutes, collectEndpoints } from './catalog/routes.ts'
import type { Config } from './config.ts'
import type { Change } from './db/change.ts'
import type { Store } from './db/open.ts'
import { type GuardDependencies, installGuard } from './guard/guard.ts'
import { createWrite } from './guard/write.ts'
import { createCursors } from './http/cursor.ts'
import { type App, createServer } from './http/server.ts'
import type { Credentials } from './identity/credentials.ts'
import { serviceById } from './identity/queries.ts'
import { serviceRoutes } from './identity/service-routes.ts'
import { subjectRoutes } from './identity/subject-routes.ts'
import { checkRoutes } from './introspection/check-routes.ts'
import { discoveryRoutes } from './introspection/discovery.ts'
import { oauthRoutes } from './introspection/oauth-routes.ts'
import { healthRoutes, type Readiness } from './observe/health.ts'
import type { Logger } from './observe/logger.ts'
import type { Metrics } from './observe/metrics.ts'
import type { KeyRing } from './token/key-ring.ts'
import { tokenRoutes } from './token/routes.ts'
import type { Verify } from './verify/verify.ts'

export type Parts = {
  readonly config: Config
  readonly issuer: string
  readonly version: string
  readonly store: Store
  readonly ring: KeyRing
  readonly verify: Verify
  readonly change: Change
  readonly credentials: Credentials
  readonly logger: Logger
  readonly metrics: Metrics
  readonly readiness: Readiness
  readonly isStopping: () => boolean
  /** Epoch milliseconds. */
  readonly now: () => number
}

export async function buildApp(parts: Parts): Promise<App> {
  const { config, issuer, version, ring, verify, change, credentials, metrics, now } = parts
  const { db } = parts.store
  const app = createServer(parts)
  const guard: GuardDependencies = {
    verify,
    checkCredentials: credentials.check,
    serviceById: async (id) => {
      const row = await serviceById(db, id)
      return row ? { id: row.id, checksIp: row.checks_ip } : null
    },
    trustedProxies: config.trustedProxies,
    issuer,
  }
  const write = createWrite(change, now)
  const cursors = createCursors(ring.subkey('cursor'))
  const onRevoked = () => metrics.revoked.inc()
  const onProvisioned = (type: string) => metrics.provisioned.inc({ type })
  const onChecked = (door: string, active: boolean) =>
    metrics.checks.inc({ door, result: active ? 'active' : 'inactive' })

  const endpoints = collectEndpoints(app)
  installGuard(app, guard)
  await describeApi(app, { issuer, version })

  const mint = { ring, prefix: config.tokenPrefix, neverAllowed: config.neverExpire === 'allow' }
  tokenRoutes(app, { db, write, mint, cursors, issuer, now, onProvisioned, onRevoked })
  checkRoutes(app, { verify, onChecked })
  oauthRoutes(app, { db, change, guard, digests: ring.digests, issuer, now, onChecked, onRevoked })
  discoveryRoutes(app, { db, issuer })
  serviceRoutes(app, { db, write, now })
  subjectRoutes(app, { db, write, now })
  auditRoutes(app, { db, cursors, issuer })
  catalogRoutes(app, endpoints, { db, issuer, version, tokenPrefix: config.tokenPrefix })
  healthRoutes(app, parts.readiness)
  await apiPages(app)
  return app
}
