// The fewest of some scopes that give all of them: what another one implies is left out. Pure.

type Declared = { readonly name: string; readonly closure: readonly string[] }

export function smallestSet(wanted: readonly string[], declared: readonly Declared[]): string[] {
  const closures = new Map(declared.map(({ name, closure }) => [name, new Set(closure)]))
  const names = [...new Set(wanted)].sort()
  const gives = (one: string, other: string) => closures.get(one)?.has(other) ?? false
  return names.filter((name, index) => {
    // Of those that imply each other, the first stays.
    return !names.some(
      (other, at) => other !== name && gives(other, name) && (!gives(name, other) || at < index),
    )
  })
}
