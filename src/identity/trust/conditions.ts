// PURE: conditions against claims, one by one, with what was found. A condition holds when the claim is there, of the
// same type, and equal to the value, or to one of the values, that the policy names.
import { meetsGithubSub, sameName } from './github-sub.ts'
import { type Claims, claim } from './jwt.ts'
import { looksLike, type Provider } from './provider.ts'

export type Value = string | number | boolean
export type Conditions = Readonly<Record<string, Value | readonly Value[]>>

export type Finding = {
  readonly claim: string
  readonly expected: Value | readonly Value[]
  /** null: the token does not have it. */
  readonly actual: unknown
  readonly ok: boolean
  readonly why: string
}

export function compare(conditions: Conditions, claims: Claims, provider: Provider): Finding[] {
  return Object.entries(conditions).map(([name, expected]) => {
    const actual = claimAt(claims, name)
    const wanted = listOf(expected)
    const ok = wanted.some((value) => meets(name, value, actual, claims, provider))
    return { claim: name, expected, actual: actual ?? null, ok, why: whyOf(ok, wanted, actual) }
  })
}

/** A token of GitHub's or GitLab's is judged by a policy that says so, or not at all. */
export function fits(conditions: Conditions, claims: Claims, provider: Provider): boolean {
  if (provider === 'oidc' && looksLike(claims) !== null) return false
  const findings = compare(conditions, claims, provider)
  return findings.length > 0 && findings.every((one) => one.ok)
}

/** `/kubernetes.io/serviceaccount/uid` is a JSON pointer (RFC 6901) into the claims; anything else a claim's name. */
export function claimAt(claims: Claims, name: string): unknown {
  if (!name.startsWith('/')) return claim(claims, name)
  const steps = name.slice(1).split('/')
  return steps.reduce<unknown>((at, step) => {
    const isObject = typeof at === 'object' && at !== null && !Array.isArray(at)
    return isObject ? claim(at as Claims, step.replaceAll('~1', '/').replaceAll('~0', '~')) : undefined
  }, claims)
}

export const listOf = (value: Value | readonly Value[]): readonly Value[] =>
  typeof value === 'object' ? value : [value]

/** Names of GitHub's that are the same in any case. Not refs, environments and files: there Main is not main. */
const names = ['repository', 'repository_owner']

function meets(name: string, wanted: Value, actual: unknown, claims: Claims, provider: Provider): boolean {
  if (typeof actual !== typeof wanted) return false
  if (typeof wanted !== 'string' || typeof actual !== 'string') return actual === wanted
  if (provider === 'github' && name === 'sub') return meetsGithubSub(wanted, claims)
  if (provider === 'github' && names.includes(name)) return sameName(actual, wanted)
  if (wildcardClaims.includes(name) && wanted.endsWith('/*')) return isWithin(actual, wanted.slice(0, -1))
  return actual === wanted
}

export const wildcardClaims: readonly string[] = ['ref', 'ref_path']

/** One whole segment, not empty: `release/*` is met by release/1, not by release/1/x nor by release/. */
function isWithin(actual: string, folder: string): boolean {
  const rest = actual.slice(folder.length)
  return actual.startsWith(folder) && rest !== '' && !rest.includes('/')
}

function whyOf(ok: boolean, wanted: readonly Value[], actual: unknown): string {
  if (ok) return 'As the policy says.'
  if (actual === undefined || actual === null) return 'The token does not have this claim.'
  const types = new Set(wanted.map((value) => typeof value))
  if (!types.has(typeof actual as 'string'))
    return `The token has ${kindOf(actual)} here, the policy ${[...types].join(' or ')}.`
  return wanted.length > 1 ? 'It is none of the values of the policy.' : 'It is another value.'
}

const kindOf = (value: unknown) => (Array.isArray(value) ? 'a list' : typeof value)
