// When a token is to end, as the commands that make or change one are told: a duration, a time, or never.
import { type Command, Option } from 'commander'

export type ExpiryOptions = {
  readonly expiresIn?: string
  readonly expiresAt?: string
  readonly neverExpires?: true
}

export function addExpiryOptions(command: Command, { never }: { never: boolean }): Command {
  command
    .addOption(
      new Option('--expires-in <duration>', '30d, 12h, P30D or seconds').conflicts([
        'expiresAt',
        'neverExpires',
      ]),
    )
    .addOption(
      new Option('--expires-at <time>', 'RFC 3339 with zone, as 2027-02-19T00:00:00Z').conflicts(
        'neverExpires',
      ),
    )
  return never ? command.option('--never-expires', 'no end at all, if the settings allow it') : command
}

/** As the API takes it; empty: nothing was said. */
export function expiryOf({ expiresIn, expiresAt, neverExpires }: ExpiryOptions) {
  if (neverExpires) return { expireAt: null }
  if (expiresAt !== undefined) return { expireAt: expiresAt }
  return expiresIn === undefined ? {} : { expiresIn: duration(expiresIn) }
}

/** Digits alone are seconds, which the API takes as a number. */
export const duration = (text: string): string | number => (/^\d{1,9}$/.test(text) ? Number(text) : text)
