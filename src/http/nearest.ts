// "Did you mean …?": the known name closest to a mistyped one.
import { distance } from 'fastest-levenshtein'

/** The nearest candidate, or null when none is near enough to be worth suggesting. */
export function nearest(name: string, candidates: Iterable<string>): string | null {
  let best: string | null = null
  let least = Math.max(2, Math.ceil(name.length / 2)) + 1
  for (const candidate of candidates) {
    const away = distance(name.slice(0, 100).toLowerCase(), candidate.toLowerCase())
    if (away < least) {
      least = away
      best = candidate
    }
  }
  return best
}

/** ` Did you mean "…"?`, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const near = nearest(name, candidates)
  return near === null ? '' : ` Did you mean "${near}"?`
}
