// `latchkey version`
import { Command } from 'commander'
import { version as present } from '../version.ts'
import { createOutput, type OutputOptions, outputOptions } from './output.ts'

export function version(): Command {
  const command = new Command('version').description('Show the version of this command line')
  for (const option of outputOptions()) command.addOption(option)
  return command.action((options: OutputOptions) =>
    createOutput(options).show({ json: { version: present }, quiet: [present], people: () => present }),
  )
}
