// Options of a form that several commands have: lists, `key=value` pairs.
import { usage } from './failure.ts'

/** For an option that may be given several times, or once with commas or blanks between. */
export const list = (value: string, before: readonly string[] = []): string[] => [
  ...before,
  ...value.split(/[\s,]+/).filter((one) => one !== ''),
]

/** For an option `key=value` that may be given several times; values keep their commas. */
export const pairs = (value: string, before: readonly string[] = []): string[] => [...before, value]

/** @param flag they were given by @throws Failure */
export function entriesOf(given: readonly string[], flag: string): [string, string][] {
  return given.map((pair) => {
    const at = pair.indexOf('=')
    if (at > 0) return [pair.slice(0, at), pair.slice(at + 1)]
    throw usage(`${flag} "${pair}" is not of the form key=value.`, `For example: ${flag} repo=acme/site`)
  })
}
