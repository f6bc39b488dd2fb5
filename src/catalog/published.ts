// What all services have published, as every replica holds it in memory: for the catalog, and for whoever matches
// requests against it. Plain values, never changed after they were made.
import type { Endpoint, ServiceError } from './endpoint.ts'

/** Where a service's paths begin. */
export type Base = {
  /** Lower case, with the port unless it is the scheme's own; null: whatever host is asked for, but for ownHosts. */
  readonly host: string | null
  /** '' or '/prefix', without a slash at its end. */
  readonly path: string
}

export type PublishedService = {
  readonly id: string
  /** At least one. No two services have a concrete host, method and path in common (overlap.ts). */
  readonly bases: readonly Base[]
  /** Hidden ones included. Paths are below each of the bases. */
  readonly endpoints: readonly Endpoint[]
  readonly errors: readonly ServiceError[]
  /** `info.version` of the document. */
  readonly version: string
  /** `sha256:…` of the document. */
  readonly digest: string
  readonly publishedAt: Date
}

export type Published = {
  /** Only those that have published. */
  readonly services: readonly PublishedService[]
  /** Hosts that services with a base URL have to themselves: there, a base whose host is null does not count. */
  readonly ownHosts: ReadonlySet<string>
}
