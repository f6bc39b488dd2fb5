// The catalog as commands get it and show it to people: what they ask for, and the members they read of the answer.
import type { Client, Query } from '@latchkey/sdk/client'
import { table } from '../people.ts'

/** With view=summary. */
export type EndpointLine = {
  readonly id: string
  readonly service: string
  readonly method: string
  readonly path: string
  readonly access: string
  readonly scopes: readonly string[]
  readonly summary: string
}

export type Endpoint = Omit<EndpointLine, 'scopes'> & {
  readonly description?: string
  readonly auth: { readonly scopes: readonly string[] }
  readonly effects: {
    readonly readOnly: boolean
    readonly destructive?: boolean
    readonly idempotency?: string
  }
  readonly request?: {
    readonly contentType?: string
    readonly path?: Readonly<Record<string, string>>
    readonly query?: Readonly<Record<string, string>>
    readonly header?: Readonly<Record<string, string>>
    readonly hint?: Readonly<Record<string, string>>
    readonly example?: unknown
  }
  readonly response?: { readonly status: number; readonly contentType?: string; readonly example?: unknown }
  readonly errors: readonly string[]
  readonly jobs?: readonly string[]
  readonly stability: string
  readonly note?: string
}

export type Refusal = {
  readonly code: string
  readonly status: number
  readonly meaning: string
  readonly whatToDo: string
  readonly service?: string
}

export type Scope = {
  readonly name: string
  readonly title: string
  readonly description?: string
  readonly service: string
  readonly risk: string
  readonly implies?: readonly string[]
  readonly maxLifetimeDays?: number
}

type Workflow = {
  readonly id: string
  readonly service: string
  readonly title: string
  readonly steps: readonly { readonly endpoint: string; readonly service: string }[]
}

export type Catalog = {
  readonly scopeGroups: readonly {
    readonly id: string
    readonly title: string
    readonly scopes: readonly Scope[]
  }[]
  readonly jobs: readonly {
    readonly job: string
    readonly service: string
    readonly scopes: readonly string[]
    readonly workflow?: string
    readonly endpoints?: readonly string[]
  }[]
  readonly services: readonly {
    readonly id: string
    readonly version?: string
    readonly baseUrl: string | null
    readonly servers?: readonly string[]
  }[]
  readonly product: { readonly name: string }
  readonly errors: readonly Refusal[]
  readonly workflows: readonly Workflow[]
  readonly endpoints: readonly Endpoint[]
}

export async function readCatalog(client: Client, query: Query): Promise<Catalog> {
  return (await client.call<Catalog>('GET', '/api/programmatic/catalog', { query })).body
}

/** All but the endpoints, which are most of it: hardly any has this method. */
export const readFrame = (client: Client, query: Query = {}): Promise<Catalog> =>
  readCatalog(client, { ...query, method: 'TRACE' })

export const endpointTable = (endpoints: readonly EndpointLine[]): string =>
  table(
    ['ID', 'SERVICE', 'METHOD', 'PATH', 'ACCESS', 'SCOPES', 'SUMMARY'],
    endpoints.map(({ id, service, method, path, access, scopes, summary }) => [
      id,
      service,
      method,
      path,
      access,
      scopes,
      summary,
    ]),
  )

export const lineOf = ({ id, service, method, path, access, auth, summary }: Endpoint): EndpointLine => {
  return { id, service, method, path, access, scopes: auth.scopes, summary }
}
