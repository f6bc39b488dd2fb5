// PURE: what an exchange gives: scopes of the policy, as far as they were asked for, within what the policy's subject
// and the subject that answers for the policy may have now. Never more than any of them.
import type { Declared } from '../../token/declared.ts'

/** A subject's cap; null: none. */
export type Cap = readonly string[] | null

/** @param asked null: nothing in particular, so all that the policy has @returns the fewest names that say it */
export function grantedScopes(
  policy: readonly string[],
  asked: readonly string[] | null,
  caps: readonly Cap[],
  declared: Declared,
): string[] {
  const reach = (scopes: readonly string[]) =>
    new Set(scopes.flatMap((scope) => declared.get(scope)?.closure ?? []))
  const bounds = [policy, ...caps.filter((cap) => cap !== null)].map(reach)
  const isAllowed = (scope: string) => bounds.every((bound) => bound.has(scope))
  // A scope is given with all that it implies, or not at all.
  const whole = [...reach(asked ?? policy)].filter((scope) => [...reach([scope])].every(isAllowed))
  const implied = (scope: string) =>
    whole.some((other) => other !== scope && reach([other]).has(scope) && !reach([scope]).has(other))
  return whole.filter((scope) => !implied(scope)).sort()
}
