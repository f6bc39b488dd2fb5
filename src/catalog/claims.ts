// Where a service's paths begin, and which hosts are its own. A base URL is set by an admin, so it gives a host to its
// service alone; servers in a document are said by the service itself, so they only narrow where it is matched
// (docs/decisions/0013). Pure.
import type { Base } from './published.ts'

const anywhere = 'http://any.invalid'

export type Claim = {
  readonly id: string
  /** null: an admin has said nothing. */
  readonly baseUrl: string | null
  /** As reading/servers.ts gives them. */
  readonly servers: readonly string[]
}

export function basesOf({ baseUrl, servers }: Pick<Claim, 'baseUrl' | 'servers'>): Base[] {
  const urls = baseUrl !== null ? [baseUrl] : servers.length > 0 ? servers : ['/']
  const bases = urls.map(baseOf)
  return [...new Map(bases.map((base) => [`${base.host} ${base.path}`, base])).values()]
}

function baseOf(url: string): Base {
  const { host, pathname, origin } = new URL(url, anywhere)
  return { host: origin === anywhere ? null : host, path: pathname.replace(/\/+$/, '') }
}

/** Of all registered services, whether they have published or not. */
export const ownHostsOf = (baseUrls: readonly (string | null)[]): Set<string> =>
  new Set(baseUrls.flatMap((url) => (url === null ? [] : [new URL(url).host])))

/** Whether a request could be for both. */
export function basesMeet(left: Base, right: Base, ownHosts: ReadonlySet<string>): boolean {
  if (left.host !== null && right.host !== null) return left.host === right.host
  const named = left.host ?? right.host
  return named === null || !ownHosts.has(named)
}
