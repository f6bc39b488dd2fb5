// PURE: what every token must say about itself, whoever gave it out. Types are compared strictly: a number that comes
// as text, or an audience that is half a list of numbers, is not repaired but refused.
import { type Claims, claim } from './jwt.ts'
import type { Reason } from './reason.ts'

/** Between our clock and theirs. */
export const toleranceSeconds = 30
/** Since it was made. A job that runs for longer gets itself a new one. */
export const oldestSeconds = 3_600
/** From iat to exp; GitLab gives its tokens as long as the job may run. */
const longestSeconds = 86_400

export type Registered = {
  readonly iss: string
  readonly sub: string
  readonly aud: readonly string[]
  readonly jti: string
  /** Seconds. */
  readonly iat: number
  readonly nbf: number
  readonly exp: number
}

export function readRegistered(claims: Claims): Registered | Reason {
  const of = (name: string) => claim(claims, name)
  const [iss, sub, exp, iat, nbf] = [of('iss'), of('sub'), of('exp'), of('iat'), of('nbf')]
  const aud = audienceOf(of('aud'))
  if (!isText(iss, 500) || !isText(sub, 1_000) || !aud) return 'claims_malformed'
  if (!isTime(exp) || !isTime(iat) || !isTime(nbf) || exp <= iat || exp <= nbf) return 'claims_malformed'
  const jti = of('jti')
  // Without it single use cannot be had; with a number in it, it is not what OpenID Connect says.
  return isText(jti, 500) ? { iss, sub, aud, jti, exp, iat, nbf } : 'no_jti'
}

/** @param now epoch milliseconds @returns null when it is good now */
export function outOfTime({ iat, nbf, exp }: Registered, now: number): Reason | null {
  const seconds = now / 1_000
  if (exp - iat > longestSeconds) return 'too_old'
  if (seconds >= exp + toleranceSeconds) return 'expired'
  if (seconds < nbf - toleranceSeconds || seconds < iat - toleranceSeconds) return 'not_yet'
  return seconds - iat > oldestSeconds + toleranceSeconds ? 'too_old' : null
}

/** Epoch milliseconds after which the token is refused by its age alone, so that its use need not be remembered. */
export const forgettableAt = ({ iat, exp }: Registered): number =>
  (Math.min(exp, iat + oldestSeconds) + 2 * toleranceSeconds) * 1_000

/** RFC 7519 §4.1.3: a string, or an array of strings. */
function audienceOf(aud: unknown): string[] | null {
  const list = Array.isArray(aud) ? aud : [aud]
  return list.length > 0 && list.length <= 20 && list.every((one) => isText(one, 500)) ? list : null
}

const isText = (value: unknown, most: number): value is string =>
  typeof value === 'string' && value !== '' && value.length <= most && !/\p{Surrogate}|\u0000/u.test(value)

/** Seconds since 1970; milliseconds, which some send, are tens of thousands of years away. */
const isTime = (value: unknown): value is number =>
  typeof value === 'number' && value > 0 && value < 100_000_000_000
