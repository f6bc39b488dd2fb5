// When a new token ends: `expireAt`, `expiresIn`, the default, never; within what settings, scopes and maker allow.
import { fieldProblem, Problem } from '../http/problem.ts'
import type { Declared } from './declared.ts'
import { dayMs, durationMs } from './duration.ts'
import type { Maker } from './grants.ts'

export type ExpiryInput = { expireAt?: string | null; expiresIn?: string | number }

/** What bounds the choice. `latest` is the maker's own end, null: it has none. */
export type ExpiryLimits = {
  readonly neverAllowed: boolean
  readonly maxLifetimeDays: number | null
  readonly latest: Date | null
}

const defaultDays = 90
const farthestYears = 100

/** @returns null for never @throws Problem naming the field, or the limit that is exceeded */
export function chooseExpiry(input: ExpiryInput, limits: ExpiryLimits, now: Date): Date | null {
  const asked = readExpiry(input, now)
  const limit = earliest(
    limits.latest,
    limits.maxLifetimeDays === null ? null : plusDays(now, limits.maxLifetimeDays),
  )
  if (asked === undefined) return earliest(plusDays(now, defaultDays), limit)
  if (asked === null && !limits.neverAllowed) {
    throw new Problem(
      'policy-violation',
      'Tokens without expiry are not allowed here (LATCHKEY_NEVER_EXPIRE). Set expireAt.',
    )
  }
  if (limit !== null && (asked === null || asked > limit)) {
    throw new Problem(
      'policy-violation',
      `This token may end at ${limit.toISOString()} at the latest: ${whose(limits, limit)}.`,
    )
  }
  return asked
}

/** @returns undefined: nothing was said; null: never */
export function readExpiry({ expireAt, expiresIn }: ExpiryInput, now: Date): Date | null | undefined {
  if (expireAt !== undefined && expiresIn !== undefined) {
    throw fieldProblem('/expiresIn', 'Give expireAt or expiresIn, not both.')
  }
  if (expireAt === null) return null
  if (expireAt !== undefined) return inFuture('/expireAt', new Date(expireAt), now)
  if (expiresIn === undefined) return undefined
  const ms = durationMs(expiresIn)
  if (Number.isNaN(ms))
    throw fieldProblem('/expiresIn', 'Must be a duration, such as "90d", "12h", "P30D", or seconds.')
  return inFuture('/expiresIn', new Date(now.getTime() + ms), now)
}

/** How long a token that reaches these scopes may live when this one makes it. */
export function lifetimeOf(
  reached: Iterable<string>,
  declared: Declared,
  maker: Maker,
): Omit<ExpiryLimits, 'neverAllowed'> {
  const days = [...reached].flatMap((scope) => declared.get(scope)?.max_lifetime_days ?? [])
  const end = maker?.facts.expireAt ?? null
  return {
    maxLifetimeDays: days.length > 0 ? Math.min(...days) : null,
    latest: end === null ? null : new Date(end),
  }
}

/** Whether `end` comes after `other`; null is never. */
export const isLater = (end: Date | null, other: Date | null): boolean =>
  other !== null && (end === null || end > other)

function inFuture(pointer: string, at: Date, now: Date): Date {
  const farthest = plusDays(now, farthestYears * 365)
  if (at > now && at <= farthest) return at
  throw fieldProblem(
    pointer,
    `Must be in the future, and at most ${farthestYears} years away; for no end at all say "expireAt": null.`,
  )
}

const plusDays = (from: Date, days: number) => new Date(from.getTime() + days * dayMs)

export function earliest(a: Date | null, b: Date | null): Date | null {
  if (a === null || b === null) return a ?? b
  return a < b ? a : b
}

function whose({ latest }: ExpiryLimits, limit: Date): string {
  return latest?.getTime() === limit.getTime()
    ? 'no token outlives the one that makes it'
    : 'one of its scopes has a maximum lifetime'
}
