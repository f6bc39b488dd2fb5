// `latchkey ci trust remove`: ends a trust policy, and the tokens that came of it.
import { Command } from 'commander'
import { confirm, yesOption } from '../../ask.ts'
import { plain } from '../../people.ts'
import { remote } from '../../remote.ts'
import { type Policy, pathOf } from './view.ts'

type Removed = { readonly id: string; readonly message: string; readonly revokedTokens: number }

export const remove = () =>
  remote<{ readonly yes?: true }>(
    new Command('remove')
      .description('Remove a trust policy, and revoke the tokens that came of it')
      .argument('<id>', 'pol_…')
      .addOption(yesOption()),
    async ({ client, output }, options, id) => {
      const question = async () => {
        const { body } = await client.call<Policy>('GET', pathOf(id!))
        return `Remove ${body.name} (${body.id}) and revoke the tokens that came of it?`
      }
      await confirm('remove it', question, options)
      const { body } = await client.call<Removed>('DELETE', pathOf(id!))
      const { message, revokedTokens } = body
      output.show({
        json: { removed: { id: body.id, message, revokedTokens } },
        quiet: [body.id],
        people: () => plain(`${message}: ${body.id}. Tokens revoked with it: ${revokedTokens}.`),
      })
    },
  )
