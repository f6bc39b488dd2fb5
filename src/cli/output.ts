// What a command has found, in the form that was asked for: data on stdout, notes on stderr.
import { Option } from 'commander'
import { shell } from './shell.ts'

/** Every command has all three forms. */
export type Shown = {
  /** One object whose members are always the same. */
  readonly json: object
  /** With --quiet, a line each: the secret, or else the ids. */
  readonly quiet: readonly string[]
  /** Nothing at all when there is nothing to say, for scripts that read lines. */
  readonly people: () => string
}

export type Output = {
  show(shown: Shown): void
  /** For people alone: with --json the object says it. */
  note(text: string): void
}

export type OutputOptions = { readonly json?: boolean; readonly quiet?: boolean }

export const outputOptions = () => [
  new Option('--json', 'one JSON object with fixed members (or LATCHKEY_OUTPUT=json)'),
  new Option('--quiet', 'the secret alone, or else the ids').conflicts('json'),
]

export function createOutput({ json = false, quiet = false }: OutputOptions): Output {
  const asJson = json || (shell.json && !quiet)
  return {
    show(shown) {
      const lines = asJson ? [JSON.stringify(shown.json)] : quiet ? shown.quiet : [shown.people()]
      for (const line of lines.filter((text) => text !== '')) process.stdout.write(`${line}\n`)
    },
    note(text) {
      if (!asJson) process.stderr.write(`${text}\n`)
    },
  }
}
