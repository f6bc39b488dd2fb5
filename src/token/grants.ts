// What a token about to be made may be given: declared scopes, within what its subject may now have and what its
// maker may give. "Nothing wider than its maker" is decided here and nowhere else.
import type { TokenPrincipal } from '../guard/principal.ts'
import { didYouMean } from '../http/nearest.ts'
import { fieldProblem, Problem } from '../http/problem.ts'
import { ownServiceId } from '../identity/own-scopes.ts'
import type { SubjectRow } from '../identity/queries.ts'
import type { Declared } from './declared.ts'
import { noWider } from './ip-restriction.ts'

/** Who makes the token. null: Latchkey itself, at bootstrap. */
export type Maker = TokenPrincipal | null

export const isAdmin = (maker: Maker) => maker === null || maker.facts.scopes.includes('tokens:admin')

/** All that the scopes reach. @throws Problem naming the nearest scope when one is declared by nobody */
export function reach(scopes: readonly string[], declared: Declared): Set<string> {
  return new Set(
    scopes.flatMap((scope, index) => {
      const row = declared.get(scope)
      if (row) return row.closure
      const detail = `No service declares the scope "${scope}".${didYouMean(scope, declared.keys())}`
      throw fieldProblem(`/scopes/${index}`, detail, 'unknown-scope')
    }),
  )
}

/** @throws Problem policy-violation naming what is too much */
export function refuseTooMuch(
  scopes: readonly string[],
  declared: Declared,
  subject: SubjectRow,
  maker: Maker,
): void {
  const wanted = reach(scopes, declared)
  if (subject.disabled_at !== null) {
    throw new Problem('policy-violation', `The subject ${subject.id} is disabled and can be given no tokens.`)
  }
  if (subject.scope_cap !== null) {
    const cap = new Set(subject.scope_cap.flatMap((scope) => declared.get(scope)?.closure ?? []))
    refuseOutside(wanted, (scope) => cap.has(scope), `the subject ${subject.id} may not have`)
  }
  if (maker !== null) refuseUngiven(wanted, declared, maker, 'the token that makes this one may not give')
}

function refuseUngiven(
  wanted: ReadonlySet<string>,
  declared: Declared,
  maker: TokenPrincipal,
  why: string,
): void {
  const held = new Set(maker.facts.scopes)
  // An admin hands out what products guard; what guards Latchkey itself only as far as the admin has it.
  const mayGive = (scope: string) =>
    held.has(scope) || (isAdmin(maker) && declared.get(scope)?.service_id !== ownServiceId)
  refuseOutside(wanted, mayGive, why)
}

function refuseOutside(wanted: ReadonlySet<string>, allowed: (scope: string) => boolean, why: string): void {
  const outside = [...wanted].filter((scope) => !allowed(scope))
  if (outside.length === 0) return
  throw new Problem(
    'policy-violation',
    `scopes: ${outside.join(', ')} is more than ${why}.`.replace('is more than the', 'is what the'),
  )
}

/** A token that exists, as far as it bounds who may come by its secret. */
export type Existing = Reach & { readonly scopes: readonly string[]; readonly expireAt: Date | null }

/**
 * Who is given the secret of a token can do all that it can: so only whoever could have made it as it is may have it.
 * @throws Problem policy-violation
 */
export function refuseWider(token: Existing, declared: Declared, maker: TokenPrincipal): void {
  // What nobody declares today may be declared again tomorrow, so it counts.
  const reached = new Set(token.scopes.flatMap((scope) => declared.get(scope)?.closure ?? [scope]))
  refuseUngiven(reached, declared, maker, 'the token that asks for this may not give')
  const own = [...reached].some((scope) => declared.get(scope)?.service_id === ownServiceId)
  withinMaker(token, own, maker)
  const end = maker.facts.expireAt
  if (end === null || (token.expireAt !== null && token.expireAt.getTime() <= end)) return
  throw new Problem(
    'policy-violation',
    `expireAt: this token would outlive the one that asks, which ends at ${new Date(end).toISOString()}.`,
  )
}

export type Reach = { readonly ranges: string[]; readonly team: string | null; readonly audience: string[] }

/**
 * Where the new token will work. What is left out is taken over from the maker, so that nothing gets wider by
 * silence. @throws Problem policy-violation
 */
export function withinMaker(asked: Partial<Reach>, ownScopesWanted: boolean, maker: Maker): Reach {
  const open = { ranges: asked.ranges ?? [], team: asked.team ?? null, audience: asked.audience ?? [] }
  if (maker === null) return open
  const { facts } = maker
  const ranges = asked.ranges ?? [...facts.ranges]
  if (!noWider(ranges, facts.ranges)) throw tooWide('ipRestriction', facts.ranges.join(', '))
  // Teams and audiences are what an admin's token is for; a token for Latchkey itself is another admin, so it is bound.
  if (isAdmin(maker) && !ownScopesWanted) return { ...open, ranges }
  const team = asked.team === undefined ? facts.team : asked.team
  if (facts.team !== null && team !== facts.team) throw tooWide('team', facts.team)
  const audience = asked.audience ?? [...facts.audience]
  const within =
    facts.audience.length === 0 ||
    (audience.length > 0 && audience.every((one) => facts.audience.includes(one)))
  if (!within) throw tooWide('audience', facts.audience.join(', '))
  return { ranges, team, audience }
}

function tooWide(field: string, limit: string): Problem {
  return new Problem(
    'policy-violation',
    `${field}: a token is never wider than the one that makes it, which has ${limit}.`,
  )
}
