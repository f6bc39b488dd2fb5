// What publishing a document changes, in words that a person reviews: routes added, removed and changed. Pure.
import type { Endpoint } from './endpoint.ts'
import { shapeOf } from './template.ts'

export type Route = Pick<Endpoint, 'method' | 'path' | 'id' | 'access'> & {
  readonly scopes: readonly string[]
  readonly hidden?: true
}
export type ChangedRoute = {
  readonly method: string
  readonly path: string
  readonly id: string
  /** Members of the catalog's endpoint that differ. */
  readonly fields: readonly string[]
  readonly was: Route
  readonly now: Route
}
export type RouteDiff = {
  readonly added: readonly Route[]
  readonly removed: readonly Route[]
  readonly changed: readonly ChangedRoute[]
}

export function diffOf(before: readonly Endpoint[], after: readonly Endpoint[]): RouteDiff {
  const [old, fresh] = [before, after].map((list) => new Map(list.map((one) => [keyOf(one), one])))
  const both = after.flatMap((now) => {
    const was = old!.get(keyOf(now))
    return was ? [{ was, now, fields: fieldsThatDiffer(was, now) }] : []
  })
  return {
    added: after.filter((one) => !old!.has(keyOf(one))).map(routeOf),
    removed: before.filter((one) => !fresh!.has(keyOf(one))).map(routeOf),
    changed: both
      .filter(({ fields }) => fields.length > 0)
      .map(({ was, now, fields }) => {
        const { method, path, id } = now
        return { method, path, id, fields, was: routeOf(was), now: routeOf(now) }
      }),
  }
}

const keyOf = ({ method, path }: Endpoint): string => `${method} ${shapeOf(path)}`

function routeOf({ method, path, id, access, auth, hidden }: Endpoint): Route {
  return { method, path, id, access, scopes: auth.scopes, ...(hidden && { hidden }) }
}

function fieldsThatDiffer(was: Endpoint, now: Endpoint): string[] {
  const names = new Set([...Object.keys(was), ...Object.keys(now)]) as Set<keyof Endpoint>
  return [...names].filter((name) => JSON.stringify(was[name]) !== JSON.stringify(now[name])).sort()
}
