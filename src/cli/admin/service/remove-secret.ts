// `latchkey admin service remove-secret`: ends one client secret of a service.
import { Command } from 'commander'
import { confirm, yesOption } from '../../ask.ts'
import { segment } from '../../path.ts'
import { remote } from '../../remote.ts'
import { pathOf } from './view.ts'

export const removeSecret = () =>
  remote<{ readonly yes?: true }>(
    new Command('remove-secret')
      .description('End a client secret of a service')
      .argument('<id>', 'of the service')
      .argument('<secret-id>', 'sec_…, as "latchkey admin service show" has it')
      .addOption(yesOption()),
    async ({ client, output }, options, id, secretId) => {
      const question = async () =>
        `End the client secret ${secretId} of ${id}? Who still uses it is locked out.`
      await confirm('end it', question, options)
      const path = pathOf(id!, `/credentials/${segment(secretId!)}`)
      const { body } = await client.call<{ message: string; id: string }>('DELETE', path)
      output.show({
        json: { removed: { id: body.id, message: body.message } },
        quiet: [body.id],
        people: () => `${body.message}: ${body.id}`,
      })
    },
  )
