// The guard for Fastify 5, as a plugin: each route declares in `config.auth` who may call it, one that does not is
// denied. What was declared is also the OpenAPI document that the service publishes to Latchkey.
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { GuardOptions } from '../guard.ts'
import type { Token, Verifier } from '../verdict.ts'
import type { RouteAuth } from './access.ts'
import { type Document, type DocumentOptions, documentOf } from './document.ts'
import { enforce, type SessionCheck } from './enforce.ts'
import { type PublishOptions, publish } from './publish.ts'
import { collectRoutes, undeclared } from './routes.ts'

export { createVerifier, type VerifierOptions } from '../verifier.ts'
export type { CatalogHints, OtherAccess, RouteAuth, TokenAccess } from './access.ts'
export type { Document, DocumentOptions } from './document.ts'
export type { SessionCheck } from './enforce.ts'
export type { PublishOptions } from './publish.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call the route. Left out: nobody. */
    auth?: RouteAuth
  }
  /** The same as @fastify/swagger declares, so that either may be there without the other. */
  interface FastifySchema {
    hide?: boolean
    deprecated?: boolean
    tags?: readonly string[]
    description?: string
    summary?: string
    consumes?: readonly string[]
    produces?: readonly string[]
    operationId?: string
  }
  interface FastifyRequest {
    /** The token that was let in; null on routes that need none. */
    auth: Token | null
  }
  interface FastifyInstance {
    /** The OpenAPI 3.1 document of all declared routes; complete once the application is ready. */
    latchkeyDocument(): Document
  }
}

export type LatchkeyPluginOptions = GuardOptions<FastifyRequest> & {
  readonly verifier: Verifier
  /** For routes of access `both` and `browser-only`. Default: there are no sessions. */
  readonly session?: SessionCheck
  /** Default: nothing is published. */
  readonly publish?: PublishOptions & DocumentOptions
}

const latchkey: FastifyPluginAsync<LatchkeyPluginOptions> = async (app, options) => {
  const routes = collectRoutes(app)
  app.decorateRequest('auth', null)
  app.decorate('latchkeyDocument', () => documentOf(routes, options.publish ?? {}))
  app.addHook('onRequest', enforce(options))
  app.addHook('onReady', async () => {
    const denied = undeclared(routes)
    if (denied.length > 0)
      app.log.warn({ routes: denied }, 'these routes declare no config.auth and are denied')
  })
  if (options.publish) publishWhenReady(app, options.verifier, options.publish)
}

function publishWhenReady(app: FastifyInstance, verifier: Verifier, options: PublishOptions): void {
  const url = options.url ?? verifier.url
  if (url === null) throw new TypeError('publish.url is missing, and the verifier knows of no Latchkey')
  const stopped = new AbortController()
  app.addHook('onClose', async () => stopped.abort())
  app.addHook('onReady', () => publish(app.latchkeyDocument(), url, options, app.log, stopped.signal))
}

export default Object.assign(latchkey, {
  // What fastify-plugin does: the hooks are for the application, not for a scope of their own.
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: '@latchkey/sdk',
  [Symbol.for('plugin-meta')]: { fastify: '5.x', name: '@latchkey/sdk' },
})
