// `30d`, `12h`, `P30D`, `PT12H`, or seconds → milliseconds. Pure; what a duration is for is its reader's business.

export const dayMs = 86_400_000

const units: Record<string, number> = { w: 7 * dayMs, d: dayMs, h: 3_600_000, m: 60_000, s: 1_000 }

/** @returns NaN for what is no duration */
export function durationMs(text: string | number): number {
  if (typeof text === 'number') return text * 1_000
  const short = /^(\d{1,9})([wdhms])$/.exec(text)
  if (short) return Number(short[1]) * units[short[2]!]!
  const iso = /^P(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?$/.exec(
    text,
  )
  return iso
    ? 'wdhms'.split('').reduce((sum, unit, index) => sum + Number(iso[index + 1] ?? 0) * units[unit]!, 0)
    : Number.NaN
}
