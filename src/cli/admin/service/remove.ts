// `latchkey admin service remove`: with its secrets, its scopes and what it published.
import { Command } from 'commander'
import { confirm, yesOption } from '../../ask.ts'
import { remote } from '../../remote.ts'
import { pathOf, type Service } from './view.ts'

export const remove = () =>
  remote<{ readonly yes?: true }>(
    new Command('remove')
      .description('Remove a service, its secrets and its scopes, which give tokens nothing from then on')
      .argument('<id>')
      .addOption(yesOption()),
    async ({ client, output }, options, id) => {
      const question = async () => {
        const { body } = await client.call<Service>('GET', pathOf(id!))
        return `Remove the service ${body.id} (${body.name}), its secrets and its scopes?`
      }
      await confirm('remove it', question, options)
      const { body } = await client.call<{ message: string; id: string }>('DELETE', pathOf(id!))
      output.show({
        json: { removed: { id: body.id, message: body.message } },
        quiet: [body.id],
        people: () => `${body.message}: ${body.id}`,
      })
    },
  )
