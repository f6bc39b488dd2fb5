// What a scope name looks like and how scopes include one another. Which scopes exist is declared in identity.

/** `resource:action`, lower case, no wildcards (design §4). */
export const scopePattern = '^[a-z][a-z0-9_.-]{0,47}:[a-z][a-z0-9_.-]{0,47}$'

export type Implications = ReadonlyMap<string, readonly string[]>

/** The scope itself and all it implies, transitively; cycles are harmless. Sorted. */
export function closure(scope: string, implies: Implications): string[] {
  const reached = new Set<string>()
  const open = [scope]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (reached.has(next)) continue
    reached.add(next)
    open.push(...(implies.get(next) ?? []))
  }
  return [...reached].sort()
}
