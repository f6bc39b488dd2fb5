// Every route of the application, with what it declares, as they are registered.
import type { FastifyInstance, RouteOptions } from 'fastify'
import { checkScopes } from '../guard.ts'
import { type Declared, declaredBy } from './access.ts'

export type CollectedRoute = {
  readonly methods: readonly string[]
  readonly url: string
  readonly schema: unknown
  /** null: nothing, so it is denied. */
  readonly declared: Declared | null
  /** Shared schemas that the route can see. */
  readonly shared: () => Record<string, unknown>
}

/** @throws Error when routes exist already: those in a plugin of their own would stay open */
export function collectRoutes(app: FastifyInstance): readonly CollectedRoute[] {
  const earlier = app.printRoutes({ commonPrefix: false })
  // Preflights only, as @fastify/cors answers them, need no guard.
  if (/\((?!OPTIONS\))[A-Z, -]+\)/.test(earlier)) {
    throw new Error(
      `@latchkey/sdk/fastify must be registered, with await, before any route. There are:\n${earlier}`,
    )
  }
  const routes: CollectedRoute[] = []
  app.addHook('onRoute', function (route) {
    // Taken now: Fastify goes on to use the same object for `/v1/` beside `/v1`.
    routes.push({
      methods: [route.method].flat(),
      url: route.url,
      schema: route.schema,
      declared: readDeclaration(route),
      shared: () => this.getSchemas(),
    })
  })
  return routes
}

/** `GET /v1/posts` of each route that is denied; a HEAD that Fastify made of a GET is not told again. */
export function undeclared(routes: readonly CollectedRoute[]): string[] {
  const denied = routes.filter((route) => route.declared === null && !answersPreflights(route))
  const names = new Set(denied.map(nameOf))
  return [...names].filter((name) => !names.has(name.replace(/^HEAD /, 'GET ')) || !name.startsWith('HEAD '))
}

/** The route with which @fastify/cors makes the router take any preflight. */
export function answersPreflights({ methods, url }: { methods: readonly string[]; url: string }): boolean {
  return methods.join() === 'OPTIONS' && url.endsWith('*')
}

const nameOf = ({ methods, url }: { methods: readonly string[]; url: string }) => `${methods.join()} ${url}`

function readDeclaration(route: RouteOptions): Declared | null {
  try {
    const declared = declaredBy(route.config?.auth)
    checkScopes(declared?.scopes ?? [])
    return declared
  } catch (error) {
    throw new TypeError(`${[route.method].flat().join()} ${route.url}: ${(error as Error).message}`)
  }
}
