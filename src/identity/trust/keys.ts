// An issuer's signing keys: fetched from where its discovery document says, kept for minutes, and asked for again when
// a token names one that is not there; but never more often than the cool-down, whatever is presented (WLI-03).
import { compactVerify, createLocalJWKSet, errors, type JSONWebKeySet } from 'jose'
import { LRUCache } from 'lru-cache'
import type { FetchJson } from './fetch-json.ts'
import type { Jwt } from './jwt.ts'
import type { Reason } from './reason.ts'

/** After a fetch, good or not, the issuer is left alone for so long. */
export const coolDownMs = 30_000
const shortestMs = 60_000
const longestMs = 600_000
const mostIssuers = 500
const mostKeys = 100

/** The issuer cannot be asked at the moment: no verdict about the token. */
export class IssuerOutOfReach extends Error {}

/** Checks the signature with the issuer's keys. @throws IssuerOutOfReach */
export type CheckSignature = (jwt: Jwt, issuer: string) => Promise<Reason | null>

type Known = { keys: JSONWebKeySet | null; freshUntil: number; askedAt: number; asking: Promise<void> | null }

/** @param monotonic milliseconds @param onTrouble an issuer that cannot be asked, for the log */
export function createCheckSignature(
  fetchJson: FetchJson,
  monotonic: () => number,
  onTrouble: (issuer: string, error: Error) => void,
): CheckSignature {
  const issuers = new LRUCache<string, Known>({ max: mostIssuers })

  async function ask(issuer: string, known: Known): Promise<void> {
    known.askedAt = monotonic()
    try {
      const { keys, freshMs } = await fetchKeys(issuer, fetchJson)
      known.keys = keys
      known.freshUntil = monotonic() + freshMs
    } catch (error) {
      onTrouble(issuer, error as Error)
    } finally {
      known.asking = null
    }
  }

  /** One at a time, and none within the cool-down. */
  async function askAgain(issuer: string, known: Known): Promise<void> {
    if (known.asking === null && monotonic() - known.askedAt < coolDownMs) return
    known.asking ??= ask(issuer, known)
    await known.asking
  }

  return async (jwt, issuer) => {
    const known = issuers.get(issuer) ?? {
      keys: null,
      freshUntil: -1,
      askedAt: Number.NEGATIVE_INFINITY,
      asking: null,
    }
    issuers.set(issuer, known)
    if (monotonic() >= known.freshUntil) await askAgain(issuer, known)
    else if (!hasKey(known.keys, jwt)) await askAgain(issuer, known)
    // What has not been confirmed for minutes may have been withdrawn: closed, not open.
    if (known.keys === null || monotonic() >= known.freshUntil) throw new IssuerOutOfReach()
    return hasKey(known.keys, jwt) ? verify(jwt, known.keys) : 'unknown_key'
  }
}

const hasKey = (set: JSONWebKeySet | null, { header }: Jwt) =>
  set?.keys.some(({ kid }) => kid === header.kid) ?? false

async function verify(jwt: Jwt, keys: JSONWebKeySet): Promise<Reason | null> {
  try {
    await compactVerify(jwt.text, createLocalJWKSet(keys), { algorithms: [jwt.header.alg] })
    return null
  } catch (error) {
    // No key of that id is for that algorithm, or several are.
    const isKey =
      error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys
    return isKey ? 'unknown_key' : 'bad_signature'
  }
}

async function fetchKeys(issuer: string, fetchJson: FetchJson) {
  const discovery = await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  // OpenID Connect Discovery §4.3: it must be the same, letter by letter.
  if (discovery.json['issuer'] !== issuer) throw new Error('its discovery document is of another issuer')
  const at = discovery.json['jwks_uri']
  if (typeof at !== 'string') throw new Error('its discovery document names no keys')
  const { json, maxAgeSeconds } = await fetchJson(at)
  const freshMs = Math.min(
    Math.max((maxAgeSeconds ?? Number.POSITIVE_INFINITY) * 1_000, shortestMs),
    longestMs,
  )
  return { keys: publicKeys(json['keys']), freshMs }
}

const kinds = ['RSA', 'EC', 'OKP']

/** Only what can check a signature: a shared secret, or a private key that slipped in, is none of ours to use. */
function publicKeys(keys: unknown): JSONWebKeySet {
  if (!Array.isArray(keys)) throw new Error('it has no keys')
  const usable = keys.slice(0, mostKeys).filter((key: Record<string, unknown> | null) => {
    return typeof key?.['kid'] === 'string' && kinds.includes(String(key['kty'])) && key['d'] === undefined
  })
  return { keys: usable }
}
