// What many slices of a noisy run come to: median, spread, percentile.

export type Figure = {
  /** null: not measured, and `note` says why. */
  readonly value: number | null
  /** Lowest and highest slice (or sample). */
  readonly spread?: readonly [number, number]
  /** Slices, or samples. */
  readonly n?: number
  /** The same program against itself in the same run: how far from 1 a ratio may be by chance. */
  readonly control?: number
  readonly note?: string
}

export const notMeasured = (why: string): Figure => ({ value: null, note: why })

export function ratioOf(ratios: readonly number[], control?: number, note?: string): Figure {
  return {
    value: median(ratios),
    spread: [Math.min(...ratios), Math.max(...ratios)],
    n: ratios.length,
    ...(control !== undefined && { control }),
    ...(note !== undefined && { note }),
  }
}

export const median = (values: readonly number[]) => percentile(values, 0.5)

/** @param part 0 to 1 */
export function percentile(values: readonly number[], part: number): number {
  if (values.length === 0) throw new RangeError('There is nothing to take a percentile of')
  const sorted = Float64Array.from(values).sort()
  const at = part * (sorted.length - 1)
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!]
  return low + (high - low) * (at - Math.floor(at))
}
