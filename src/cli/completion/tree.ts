// The command tree as completion needs it: at each place, what may come next. Made from the commands themselves, so it
// has all there are.
import type { Command } from 'commander'

export type Word = { readonly word: string; readonly about: string }
export type Place = {
  /** `latchkey token list` */
  readonly path: string
  readonly words: readonly Word[]
  /** What an option takes, where that is one of a few. */
  readonly choices: readonly { readonly option: string; readonly values: readonly string[] }[]
  /** Options that take a file. */
  readonly files: readonly string[]
}

export function placesOf(command: Command, path = command.name()): Place[] {
  const { options } = command
  const commands = command.commands.flatMap((one) =>
    [one.name(), ...one.aliases()].map((word) => ({ word, about: one.description() })),
  )
  const values = command.registeredArguments.flatMap(({ argChoices, description }) =>
    (argChoices ?? []).map((word) => ({ word, about: description })),
  )
  const flags = options.map(({ long, description }) => ({ word: long!, about: description }))
  const here: Place = {
    path,
    words: [...commands, ...values, ...flags, { word: '--help', about: 'display help for command' }],
    choices: options
      .filter(({ argChoices }) => argChoices)
      .map(({ long, argChoices }) => ({ option: long!, values: argChoices! })),
    files: options.filter(({ flags }) => flags.endsWith('<file>')).map(({ long }) => long!),
  }
  const below = command.commands.flatMap((one) =>
    [one.name(), ...one.aliases()].flatMap((name) => placesOf(one, `${path} ${name}`)),
  )
  return [here, ...below]
}
