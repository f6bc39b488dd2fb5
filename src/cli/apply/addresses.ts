// An IP restriction, as people write it and as the API shows it, in one form: a list. Reading addresses is policy/network.ts.
import { covers, formatRange, parseRange } from '../../policy/network.ts'

/** What cannot be read stays as it is: the API says what is wrong with it. */
export function addressesOf(restriction: unknown): string[] {
  const parts = Array.isArray(restriction)
    ? restriction.map(String)
    : String(restriction ?? '').split(/[\s,]+/)
  return parts
    .filter((part) => part !== '')
    .map((part) => {
      const range = parseRange(part)
      return range ? formatRange(range) : part
    })
}

/** Whether the first lets in nobody that the second keeps out. An empty list keeps out nobody. */
export function isWithin(inner: readonly string[], outer: readonly string[]): boolean {
  if (outer.length === 0) return true
  return inner.length > 0 && inner.every((one) => outer.some((other) => isIn(one, other)))
}

function isIn(one: string, other: string): boolean {
  const [inner, outer] = [parseRange(one), parseRange(other)]
  return inner !== null && outer !== null && covers(outer, inner)
}
