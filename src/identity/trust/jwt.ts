// PURE: a JSON Web Token as text → its parts, or why it is none that we look at. Nothing in it is believed yet: the
// signature is keys.ts's business, what it says claims.ts's. RFC 7515, 7519, 8725.
import type { Reason } from './reason.ts'

export type Claims = Readonly<Record<string, unknown>>
export type Header = { readonly alg: Algorithm; readonly kid: string }
export type Jwt = { readonly text: string; readonly header: Header; readonly claims: Claims }

/** Asymmetric ones only, and never what the token would like (RFC 8725 §3.1). */
export const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'] as const
export type Algorithm = (typeof algorithms)[number]

export const mostCharacters = 10_000
const compact = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

export function readJwt(text: string): Jwt | Reason {
  if (text.length > mostCharacters || !compact.test(text)) return 'malformed'
  const [first, second] = text.split('.') as [string, string]
  const header = jsonObject(first)
  const claims = jsonObject(second)
  if (!header || !claims) return 'malformed'
  const read = readHeader(header)
  return typeof read === 'string' ? read : { text, header: read, claims }
}

/** Where the token says its key is to be found: an attacker's place, so whoever says so is refused. */
const bringsItsKey = ['jku', 'x5u', 'jwk', 'x5c']

function readHeader(header: Claims): Header | Reason {
  const alg = algorithms.find((one) => one === header['alg'])
  if (!alg) return 'algorithm'
  if (bringsItsKey.some((name) => Object.hasOwn(header, name))) return 'header'
  // We understand no extension (RFC 7515 §4.1.11), `b64` and `zip` included.
  if (['crit', 'b64', 'zip', 'enc'].some((name) => Object.hasOwn(header, name))) return 'header'
  // An access token, a logout token or an introspection answer is signed with the same keys (RFC 8725 §3.11).
  const { typ, cty, kid } = header
  if (typ !== undefined && typ !== 'JWT') return 'header'
  if (cty !== undefined && cty !== 'JWT') return 'header'
  if (typeof kid !== 'string' || kid === '' || kid.length > 300) return 'header'
  return { alg, kid }
}

function jsonObject(segment: string): Claims | null {
  try {
    const bytes = Buffer.from(segment, 'base64url')
    // Trailing bits that decode to nothing: two texts for one token.
    if (bytes.toString('base64url') !== segment) return null
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Claims) : null
  } catch {
    return null
  }
}

/** @returns undefined for what objects inherit: `constructor` is no claim */
export const claim = (claims: Claims, name: string): unknown =>
  Object.hasOwn(claims, name) ? claims[name] : undefined
