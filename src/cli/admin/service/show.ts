// `latchkey admin service show`
import { Command } from 'commander'
import { remote } from '../../remote.ts'
import { pathOf, type Service, showService } from './view.ts'

export const show = () =>
  remote(
    new Command('show').description('Show a service and the ids of its secrets').argument('<id>'),
    async ({ client, output }, _options, id) => {
      const { body } = await client.call<Service>('GET', pathOf(id!))
      showService(output, body)
    },
  )
