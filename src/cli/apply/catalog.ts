// What there is already of what a file may name: services, and scopes with what they imply.
import type { Client } from '@latchkey/sdk/client'
import { closure, type Implications } from '../../policy/scopes.ts'
import type { Scope, Wanted } from './wanted.ts'

export type Catalog = { readonly services: ReadonlySet<string>; readonly scopes: Implications }

type Read = {
  readonly services: readonly { readonly id: string }[]
  readonly scopeGroups: readonly { readonly scopes: readonly Scope[] }[]
}

export async function readCatalog(client: Client): Promise<Catalog> {
  const { body } = await client.call<Read>('GET', '/api/programmatic/catalog')
  return {
    services: new Set(body.services.map(({ id }) => id)),
    scopes: implicationsOf(body.scopeGroups.flatMap((group) => group.scopes)),
  }
}

/** With what the file declares. */
export function catalogWith({ services, scopes }: Catalog, { services: wanted = [] }: Wanted): Catalog {
  return {
    services: new Set([...services, ...wanted.map(({ id }) => id)]),
    scopes: new Map([...scopes, ...implicationsOf(wanted.flatMap((service) => service.scopes ?? []))]),
  }
}

const implicationsOf = (scopes: readonly Scope[]): Implications =>
  new Map(scopes.map(({ name, implies = [] }) => [name, implies]))

/** All that these scopes let one do. */
export const reachOf = (scopes: readonly string[], { scopes: known }: Catalog): ReadonlySet<string> =>
  new Set(scopes.flatMap((scope) => closure(scope, known)))
