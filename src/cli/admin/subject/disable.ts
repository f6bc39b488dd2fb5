// `latchkey admin subject disable`: all tokens of somebody are good nowhere, from the answer on, until "enable".
import { Command } from 'commander'
import { confirm, yesOption } from '../../ask.ts'
import { remote } from '../../remote.ts'
import { changeSubject } from './view.ts'

export const disable = () =>
  remote<{ readonly yes?: true }>(
    new Command('disable')
      .description('Make all tokens of a subject inactive, everywhere, until it is enabled again')
      .argument('<subject>')
      .addOption(yesOption()),
    async (remote, options, id) => {
      await confirm('disable it', async () => `Disable all tokens of ${id}?`, options)
      await changeSubject(remote, id!, { disabled: true })
    },
  )
