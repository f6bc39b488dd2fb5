// `ipRestriction` as people write it ↔ the normalised list that is stored and judged.
import { fieldProblem } from '../http/problem.ts'
import { covers, formatRange, parseRange } from '../policy/network.ts'

const most = 50

/**
 * @param input addresses and CIDRs, as an array or separated by commas or spaces; null and empty: no restriction.
 * Anything else that names no address is refused: `[""]` is a variable that was not set, not a wish for an open token.
 */
export function readRanges(input: string | readonly string[] | null | undefined): string[] {
  const parts = typeof input === 'string' ? separated(input) : (input ?? [])
  const ranges = parts.map(readRange)
  if (ranges.length > most) throw fieldProblem('/ipRestriction', `At most ${most} addresses or ranges.`)
  return [...new Set(ranges)]
}

function separated(text: string): string[] {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '')
  return parts.length === 0 && text !== '' ? [text] : parts
}

function readRange(text: string): string {
  const range = parseRange(text)
  if (range) return formatRange(range)
  throw fieldProblem(
    '/ipRestriction',
    `"${text.slice(0, 60)}" is no IP address or CIDR; write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32.`,
  )
}

/** How it is shown: null where there is none. */
export function showRanges(ranges: readonly string[]): string | null {
  return ranges.length === 0 ? null : ranges.join(', ')
}

/** Whether `inner` lets in nobody that `outer` keeps out. */
export function noWider(inner: readonly string[], outer: readonly string[]): boolean {
  if (outer.length === 0) return true
  return (
    inner.length > 0 &&
    inner.every((one) => outer.some((other) => covers(parseRange(other)!, parseRange(one)!)))
  )
}
