// What a route of our own API declares about who may call it. The guard enforces it, the catalog and the OpenAPI
// document show it: there is no other list.

import type { ProblemCode } from '../http/problems.ts'
import type { OwnScope } from '../identity/own-scopes.ts'

export type RoutePolicy =
  /** Nobody is asked who they are. */
  | { readonly access: 'public' }
  /** A bearer token that has all the scopes. */
  | { readonly access: 'token'; readonly scopes: readonly OwnScope[] }
  /** A bearer token asking about itself: whatever its audience, no scope needed. */
  | { readonly access: 'holder' }
  /** A service by client id and secret, or a bearer token that has the scope; where none is named, any, whatever its audience. */
  | {
      readonly access: 'service'
      readonly scopes: readonly OwnScope[]
      readonly credentialsIn: 'header' | 'header or form'
    }

/** What the catalog says about a route beyond its schemas. */
export type CatalogEntry = {
  readonly effects: { readonly readOnly: boolean; readonly destructive?: boolean }
  /** Beyond those that follow from the policy. */
  readonly errors?: readonly ProblemCode[]
  readonly note?: string
}

declare module 'fastify' {
  interface FastifyContextConfig {
    policy?: RoutePolicy
    catalog?: CatalogEntry
  }
}
