// What an endpoint is, in the catalog and to gateways: who may call it, what it takes, gives and may answer. Made
// from our own routes (own.ts) or from what a service has published (reading/).

/** Who may call: the classes of the catalog. `both` means token or browser session. */
export const accessKinds = [
  'both',
  'token',
  'browser-only',
  'public',
  'webhook-ingress',
  'internal',
  'admin-only',
] as const
export type Access = (typeof accessKinds)[number]

export const stabilities = ['stable', 'beta', 'experimental', 'deprecated'] as const
export type Stability = (typeof stabilities)[number]

export type Endpoint = {
  /** The operationId; unique within its service. */
  readonly id: string
  readonly service: string
  /** Upper case. */
  readonly method: string
  /** Below the service's base; parameters as `{name}`. */
  readonly path: string
  readonly summary: string
  readonly description?: string
  readonly access: Access
  readonly auth: {
    readonly pat: boolean
    readonly session: boolean
    readonly clientCredentials: boolean
    /** All of them are needed. */
    readonly scopes: readonly string[]
  }
  readonly effects: {
    readonly readOnly: boolean
    readonly destructive?: boolean
    readonly idempotency?: string
  }
  readonly request?: RequestHints
  readonly response?: ResponseHint
  /** Codes of the catalog's list of errors. */
  readonly errors: readonly string[]
  readonly jobs?: readonly string[]
  readonly stability: Stability
  readonly note?: string
  /** Enforced by gateways, shown by no catalog. */
  readonly hidden?: true
}

export type RequestHints = {
  readonly contentType?: string
  readonly path?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly header?: Readonly<Record<string, string>>
  readonly hint?: Readonly<Record<string, string>>
  readonly example?: unknown
}

export type ResponseHint = {
  readonly status: number
  readonly contentType?: string
  readonly example?: unknown
}

/** A refusal that a service explains itself, beside those of problems.ts. */
export type ServiceError = {
  readonly code: string
  readonly status: number
  readonly meaning: string
  readonly whatToDo: string
  readonly retry: 'never' | 'after-delay'
}

/** Shown to admins only. */
export const isForAdmins = ({ access }: Pick<Endpoint, 'access'>): boolean =>
  access === 'internal' || access === 'admin-only'
