// `latchkey catalog publish <file>`: makes a service's document the one that gateways enforce and the catalog shows.
import { Command } from 'commander'
import { exitCodes } from '../failure.ts'
import { remote } from '../remote.ts'
import { changeLines, resultLine } from './changes.ts'
import { type SubmitOptions, submit } from './document.ts'

export const publish = () =>
  remote<SubmitOptions>(
    new Command('publish')
      .description('Publish the OpenAPI document of a service, and show what that changes')
      .argument('<file>', 'JSON or YAML; - is stdin')
      .requiredOption('--service <id>', 'whose document it is')
      .option('--dry-run', 'only say what would change; exit 1 when publishing would be refused')
      .option('--if-match <digest>', 'only if the published document is this one; else exit 7'),
    async ({ client, output }, options, file) => {
      const published = await submit(client, file!, options)
      output.show({
        json: published,
        quiet: [published.digest],
        people: () => [...changeLines(published), resultLine(published)].join('\n'),
      })
      if (published.problems.length > 0) process.exitCode = exitCodes.failed
    },
  )
