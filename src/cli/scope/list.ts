// `latchkey scope list`: the scopes that services declare.
import { Command } from 'commander'
import { readFrame } from '../catalog/view.ts'
import { table } from '../people.ts'
import { remote } from '../remote.ts'
import { scopesOf } from './view.ts'

export const list = () =>
  remote<{ readonly service?: string }>(
    new Command('list')
      .description('List scopes, with what they let one do')
      .option('--service <id>', 'that this service declares'),
    async ({ client, output }, { service }) => {
      const all = scopesOf(await readFrame(client, { service }))
      const scopes = all.filter((one) => service === undefined || one.service === service)
      output.show({
        json: { scopes },
        quiet: scopes.map(({ name }) => name),
        people: () =>
          scopes.length > 0
            ? table(
                ['SCOPE', 'SERVICE', 'GROUP', 'RISK', 'TITLE'],
                scopes.map(({ name, service, group, risk, title }) => [name, service, group, risk, title]),
              )
            : 'No scopes.',
      })
    },
    { signIn: 'optional' },
  )
