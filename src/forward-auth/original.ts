// Which request a gateway asks about: its method, host and target, from the headers or the path that each gateway uses.
// Headers count only from whom we trust to write them; where two disagree, nothing passes.
import type { IncomingHttpHeaders } from 'node:http'

export type Original = {
  readonly method: string
  /** Lower case, without the port of its scheme; null: the gateway does not say. */
  readonly host: string | null
  /** Path and query, as the client sent them. */
  readonly target: string
}

export type Asking = {
  readonly method: string
  readonly headers: IncomingHttpHeaders
  /** What follows /forward-auth in the URL, from its slash on; null: nothing does. */
  readonly suffix: string | null
  readonly isTrusted: boolean
}

/** RFC 9110 §9.1: a token, case-sensitive. */
const methodShape = /^[A-Z][A-Z-]{0,30}$/
/** "_" is in no name of a host (RFC 1123 §2.1), but in names that a Docker network has. */
const hostShape = /^(?:[a-z0-9](?:[a-z0-9._-]{0,252})|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?$/

/** 'unknown': the gateway says nothing; null: what it says cannot be read, or contradicts itself. */
export function originalOf(asking: Asking): Original | 'unknown' | null {
  const said = asking.isTrusted ? saidInHeaders(asking.headers) : nothing
  if (said === null) return null
  // Envoy keeps the method and puts the path behind ours; it passes on what clients send, so headers that it does
  // not write must not say anything else.
  if (asking.suffix !== null) {
    if (said.target !== null && said.target !== asking.suffix) return null
    const host = hostOf(asking.headers.host)
    // Nothing but the host tells here which service it is: one that cannot be read would be any service's.
    if (host === null || (said.host !== null && said.host !== host)) return null
    return named(asking.method, host, asking.suffix)
  }
  if (said.target === null && said.method === null) return 'unknown'
  return said.target === null || said.method === null ? null : named(said.method, said.host, said.target)
}

/**
 * Whether a query is that of the request asked about: a gateway that was told none of its own may have put the client's there
 * (Caddy). Believed of anybody, as it only ever makes less pass.
 */
export const isOfClient = (query: string, headers: IncomingHttpHeaders): boolean =>
  targetHeaders.some((name) => {
    const target = String(headers[name] ?? '')
    return target.includes('?') && target.slice(target.indexOf('?') + 1) === query
  })
const targetHeaders = ['x-forwarded-uri', 'x-original-uri', 'x-original-url'] as const

type Said = { readonly method: string | null; readonly host: string | null; readonly target: string | null }
const nothing: Said = { method: null, host: null, target: null }

function saidInHeaders(headers: IncomingHttpHeaders): Said | null {
  const url = headers['x-original-url']
  const whole = url === undefined ? null : /^https?:\/\/([^/?#]+)(\/[^#]*)$/.exec(String(url))
  // Where the host is none, it may be a part of the path: "https://posts.example.com" and "%2f/v1/posts".
  if (url !== undefined && (whole === null || hostOf(whole[1]) === null)) return null
  const method = same(headers['x-forwarded-method'], headers['x-original-method'])
  const target = same(headers['x-forwarded-uri'], headers['x-original-uri'], whole?.[2])
  const host = same(hostOf(headers['x-forwarded-host']) ?? undefined, hostOf(whole?.[1]) ?? undefined)
  if (method === false || target === false || host === false) return null
  if (headers['x-forwarded-host'] !== undefined && hostOf(headers['x-forwarded-host']) === null) return null
  return { method, target, host }
}

/** What all that say something say; null: none does; false: they differ. */
function same(...values: readonly (string | string[] | undefined)[]): string | null | false {
  let found: string | null = null
  for (const value of values) {
    if (value === undefined) continue
    if (found !== null && found !== value) return false
    found = String(value)
  }
  return found
}

let last: { readonly text: unknown; readonly host: string | null } = { text: undefined, host: null }

/** The same few are asked about again and again. */
function hostOf(text: string | string[] | undefined): string | null {
  if (text !== last.text) last = { text, host: readHost(String(text ?? '').toLowerCase()) }
  return last.host
}

const readHost = (host: string) => (hostShape.test(host) ? host.replace(/:(?:80|443)$/, '') : null)

const named = (method: string, host: string | null, target: string): Original | null =>
  methodShape.test(method) && target.startsWith('/') ? { method, host, target } : null
