// `latchkey catalog diff <file>`: a document against the published one, with the exit codes of diff: 0 same, 1 differs.
import { LatchkeyError } from '@latchkey/sdk/client'
import { Command } from 'commander'
import { Failure } from '../failure.ts'
import { remote } from '../remote.ts'
import { changeLines } from './changes.ts'
import { type SubmitOptions, submit } from './document.ts'

const differs = 1

export const diff = () =>
  remote<Pick<SubmitOptions, 'service' | 'tokenStdin'>>(
    new Command('diff')
      .description('Compare a document with the published one: exit 0 same, 1 differs, above that trouble')
      .argument('<file>', 'JSON or YAML; - is stdin')
      .requiredOption('--service <id>', 'whose document it is'),
    async ({ client, output }, options, file) => {
      const compared = await submit(client, file!, { ...options, dryRun: true }).catch(trouble)
      const lines = changeLines(compared)
      if (compared.changed && lines.length === 0) lines.push('The document differs; no endpoint does.')
      if (compared.changed) process.exitCode = differs
      output.show({
        json: compared,
        quiet: compared.changed ? [compared.digest] : [],
        people: () => lines.join('\n'),
      })
    },
  )

/** A document that cannot be read at all would end with 1, which here says that it differs. */
function trouble(error: unknown): never {
  if (error instanceof LatchkeyError && [400, 413, 415].includes(error.status))
    throw Object.assign(new Failure('usage', error.code, error.message, 'Mend the document.'), {
      cause: error,
    })
  throw error
}
