// What a Fastify route declares about who may call it, in `config.auth`: the guard enforces it, the published document
// shows it.

/** Told in the catalog about a route, as `x-latchkey`. */
export type CatalogHints = {
  readonly effects?: {
    readonly readOnly?: boolean
    readonly destructive?: boolean
    readonly idempotency?: string
  }
  /** Which jobs it is good for, in the words of who looks for it. */
  readonly jobs?: readonly string[]
  /** Codes that Latchkey explains, or the service's own with their explanation. */
  readonly errors?: readonly (string | ServiceError)[]
  /** Enforced, but not shown. */
  readonly hidden?: boolean
  readonly note?: string
  readonly stability?: string
}

export type ServiceError = {
  readonly code: string
  readonly status: number
  readonly meaning: string
  readonly whatToDo: string
  readonly retry?: 'never' | 'after-delay'
}

/** The classes of the catalog for which a token is needed. `both`: a token, or a session of the browser. */
export type TokenAccess = 'token' | 'both' | 'internal' | 'admin-only'
/** `webhook-ingress`: the route checks the sender's signature itself. */
export type OtherAccess = 'public' | 'webhook-ingress' | 'browser-only'

export type RouteAuth =
  | 'public'
  | (CatalogHints & { readonly access?: TokenAccess; readonly scopes: readonly string[] })
  | (CatalogHints & { readonly access: OtherAccess })

export type Declared = {
  readonly access: TokenAccess | OtherAccess
  readonly scopes: readonly string[]
  readonly hints: CatalogHints
}

const open = new Set(['public', 'webhook-ingress', 'browser-only'])
const withToken = new Set(['token', 'both', 'internal', 'admin-only'])

/** @returns null when nothing is declared @throws TypeError when it cannot be understood */
export function declaredBy(auth: RouteAuth | undefined): Declared | null {
  if (auth === undefined) return null
  if (auth === 'public') return { access: 'public', scopes: [], hints: {} }
  const {
    access = 'token',
    scopes,
    ...hints
  } = auth as CatalogHints & {
    access?: Declared['access']
    scopes?: readonly string[]
  }
  const right = open.has(access) ? scopes === undefined : withToken.has(access) && Array.isArray(scopes)
  if (!right)
    throw new TypeError(`config.auth must be 'public' or name scopes; access ${access} does not go with it`)
  return { access, scopes: scopes ?? [], hints }
}
