// `latchkey ci trust show`
import { Command } from 'commander'
import { remote } from '../../remote.ts'
import { type Policy, pathOf, showPolicy } from './view.ts'

export const show = () =>
  remote(
    new Command('show').description('Show a trust policy with its conditions').argument('<id>', 'pol_…'),
    async ({ client, output }, _options, id) => {
      const { body } = await client.call<Policy>('GET', pathOf(id!))
      showPolicy(output, body)
    },
  )
