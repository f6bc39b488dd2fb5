// Which published endpoint a request is for: by host, then by find-my-way, the router that Fastify itself uses, so that
// a gateway's decision and a service's own routing read a path alike. Strict: case and a slash at the end count.
import FindMyWay from 'find-my-way'
import type { Endpoint } from './endpoint.ts'
import type { Published, PublishedService } from './published.ts'
import { isLiteral, isParameter, type Segment, segmentsOf } from './template.ts'

export type Wanted = {
  readonly method: string
  /** null: not known. */
  readonly host: string | null
  readonly path: string
  /** The service that the gateway names, whatever the host; null: none. */
  readonly service: string | null
}

export type Match = (wanted: Wanted) => Endpoint | null

/** @returns null where nothing fits, and where more than one service does */
export function createMatch({ services, ownHosts }: Published): Match {
  return ({ method, host, path, service }) => {
    let found: Endpoint | null = null
    for (const one of services) {
      if (service !== null && one.id !== service) continue
      const endpoint = matchIn(one, method, service === null ? host : null, path, ownHosts)
      if (endpoint === null || endpoint === found) continue
      if (found !== null) return null
      found = endpoint
    }
    return found
  }
}

/** @param host null: any will do */
function matchIn(
  { bases, endpoints }: PublishedService,
  method: string,
  host: string | null,
  path: string,
  ownHosts: ReadonlySet<string>,
): Endpoint | null {
  let found: Endpoint | null = null
  for (const base of bases) {
    const isElsewhere = base.host === null ? host !== null && ownHosts.has(host) : base.host !== host
    if (host !== null && isElsewhere) continue
    const below = pathBelow(base.path, path)
    const endpoint = below === null ? null : route(routersOf(endpoints), method, below)
    if (endpoint !== null && found !== null && endpoint !== found) return null
    found = endpoint ?? found
  }
  return found
}

function pathBelow(base: string, path: string): string | null {
  if (base === '') return path
  if (path === base) return '/'
  return path.startsWith(base) && path[base.length] === '/' ? path.slice(base.length) : null
}

type Router = FindMyWay.Instance<FindMyWay.HTTPVersion.V1>
type Routers = {
  readonly strict: Router
  /** For paths in small letters, as services read that do not mind case (Express by default); made when first needed. */
  readonly loose: () => Router
  readonly hasCapitals: boolean
}

/** @returns null too where a service that does not mind case, or a slash at the end, would take another endpoint */
function route({ strict, loose, hasCapitals }: Routers, method: string, path: string): Endpoint | null {
  const endpoint = find(strict, method, path)
  if (endpoint === null) return null
  // find-my-way takes nothing at all for a parameter at the end: "/posts/" for "/posts/{id}"; others for "/posts".
  if (path.endsWith('/') && !endpoint.path.endsWith('/')) return null
  if (!hasCapitals && !/[A-Z]/.test(path)) return endpoint
  return find(loose(), method, path.toLowerCase()) === endpoint ? endpoint : null
}

/** HEAD is GET without a body (RFC 9110 §9.3.2), unless it is declared itself. */
function find(router: Router, method: string, path: string): Endpoint | null {
  const found = router.find(method as FindMyWay.HTTPMethod, path)
  if (found) return found.store as Endpoint
  return method === 'HEAD' ? ((router.find('GET', path)?.store as Endpoint | undefined) ?? null) : null
}

const routers = new WeakMap<readonly Endpoint[], Routers>()
const nobody = () => {}
const longestParameter = 500

/** Made once for each document. */
function routersOf(endpoints: readonly Endpoint[]): Routers {
  let made = routers.get(endpoints)
  if (!made) {
    const hasCapitals = endpoints.some(({ path }) => /[A-Z]/.test(path.replaceAll(/\{[^{}]*\}/g, '')))
    const small = (path: string) => path.toLowerCase()
    let loosely: Router | undefined
    const loose = () => {
      loosely ??= routerOf(endpoints, small)
      return loosely
    }
    made = { strict: routerOf(endpoints, String), loose, hasCapitals }
    routers.set(endpoints, made)
  }
  return made
}

function routerOf(endpoints: readonly Endpoint[], spelled: (path: string) => string): Router {
  const router = FindMyWay({
    caseSensitive: true,
    ignoreTrailingSlash: false,
    maxParamLength: longestParameter,
  })
  const taken = new Set<string>()
  for (const endpoint of endpoints) {
    const pattern = patternOf(spelled(endpoint.path))
    const name = `${endpoint.method} ${pattern}`
    // Two that differ in nothing but case: whoever does not mind case has only the first of them.
    if (taken.has(name)) continue
    taken.add(name)
    router.on(endpoint.method as FindMyWay.HTTPMethod, pattern, nobody, endpoint)
  }
  return router
}

/** `/files/{name}.json` in the router's words. */
export function patternOf(path: string): string {
  let count = 0
  const pattern = segmentsOf(path).map((segment) => segmentPattern(segment, () => `p${count++}`))
  return `/${pattern.join('/')}${path.length > 1 && path.endsWith('/') ? '/' : ''}`
}

function segmentPattern(segment: Segment, name: () => string): string {
  if (isLiteral(segment)) return escaped(segment[0])
  if (isParameter(segment)) return `:${name()}`
  return segment.map((part) => (part === null ? `:${name()}(.+?)` : escaped(part))).join('')
}

const escaped = (literal: string) => literal.replaceAll(':', '::')
