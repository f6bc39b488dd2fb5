// `latchkey token disable`: a pause, effective everywhere, that `enable` ends.
import { Command } from 'commander'
import { confirm, yesOption } from '../ask.ts'
import { remote } from '../remote.ts'
import { describe, pathOf } from './own.ts'
import { showToken, type Token } from './view.ts'

export const disable = () =>
  remote<{ readonly yes?: true }>(
    new Command('disable')
      .description('Pause a token, until it is enabled')
      .argument('<id>', 'tok_…')
      .addOption(yesOption()),
    async (remote, options, id) => {
      await confirm('disable it', async () => `Disable ${await describe(remote, id!)}?`, options)
      const { body } = await remote.client.call<Token>('POST', pathOf(id!, '/disable'))
      showToken(remote.output, body)
    },
  )
