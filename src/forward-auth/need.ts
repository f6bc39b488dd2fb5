// What a request needs to pass: what the gateway's configuration says, else what the catalog says of the endpoint that
// it is for.
import type { Endpoint } from '../catalog/endpoint.ts'
import { createMatch, type Match } from '../catalog/match.ts'
import type { Published } from '../catalog/published.ts'
import { canonicalPath } from './canonical-path.ts'
import type { Original } from './original.ts'

export type Need =
  /** Nobody is asked who they are: public, or signed in a way that the service checks itself. */
  | { readonly kind: 'open' }
  /** No token will do: it is not clear what is asked for, or nobody has published it for tokens. */
  | { readonly kind: 'closed'; readonly why: 'request' | 'endpoint' }
  | {
      readonly kind: 'token'
      readonly scopes: readonly string[]
      /** Of a service account, or of an admin, besides the scopes. */
      readonly bearer: 'any' | 'service' | 'admin'
    }

export type Needed = { readonly need: Need; readonly service: string | null }

const open: Need = { kind: 'open' }
const closed: Need = { kind: 'closed', why: 'endpoint' }
const nowhere: Needed = { need: closed, service: null }
const unclear: Needed = { need: { kind: 'closed', why: 'request' }, service: null }

/**
 * What a request needs that matches no published endpoint, or cannot be read one way only, is: nothing will do. Most
 * requests are for what was asked for before, which is remembered for as long as the same is published.
 */
export function neededFor(published: Published, original: Original, service: string | null): Needed {
  const { method, host, target } = original
  if (target.length > longestKept) return neededNow(published, original, service)
  const kept = keptFor(published)
  // None of them has a space in it but for the target, which comes last.
  const key = `${method} ${host ?? ''} ${service ?? ''} ${target}`
  let needed = kept.get(key)
  if (needed === undefined) {
    needed = neededNow(published, original, service)
    if (kept.size >= mostKept) kept.clear()
    kept.set(key, needed)
  }
  return needed
}

const mostKept = 10_000
const longestKept = 200
const keptByPublished = new WeakMap<Published, Map<string, Needed>>()

function keptFor(published: Published): Map<string, Needed> {
  let kept = keptByPublished.get(published)
  if (!kept) {
    kept = new Map()
    keptByPublished.set(published, kept)
  }
  return kept
}

function neededNow(published: Published, original: Original, service: string | null): Needed {
  const path = canonicalPath(original.target)
  if (path === null) return unclear
  const match = matchOf(published)
  const wanted = { method: original.method, host: original.host, path: path.path, service }
  const endpoint = match(wanted)
  if (endpoint === null) return nowhere
  // Some services decode before they route, others after: both must come to the same.
  if (path.decoded !== null && match({ ...wanted, path: path.decoded }) !== endpoint) return unclear
  return neededAt(endpoint)
}

const matches = new WeakMap<Published, Match>()

function matchOf(published: Published): Match {
  let match = matches.get(published)
  if (!match) {
    match = createMatch(published)
    matches.set(published, match)
  }
  return match
}

const needs = new WeakMap<Endpoint, Needed>()

function neededAt(endpoint: Endpoint): Needed {
  let needed = needs.get(endpoint)
  if (!needed) {
    needed = { need: needOf(endpoint), service: endpoint.service }
    needs.set(endpoint, needed)
  }
  return needed
}

function needOf({ access, auth: { scopes } }: Endpoint): Need {
  switch (access) {
    case 'public':
    case 'webhook-ingress':
      return open
    case 'browser-only':
      return closed
    case 'both':
    case 'token':
      return { kind: 'token', scopes, bearer: 'any' }
    case 'internal':
      return { kind: 'token', scopes, bearer: 'service' }
    case 'admin-only':
      return { kind: 'token', scopes, bearer: 'admin' }
  }
}
