// `latchkey admin service update`
import { Command } from 'commander'
import { remote } from '../../remote.ts'
import { addServiceOptions, bodyOf, type ServiceOptions } from './options.ts'
import { pathOf, type Service, showService } from './view.ts'

export const update = () =>
  remote<ServiceOptions>(
    addServiceOptions(
      new Command('update')
        .description('Change a service; what is left out stays')
        .argument('<id>')
        .option('--name <name>', 'for people'),
    ).option('--no-checks-ip', 'it does not'),
    async ({ client, output }, options, id) => {
      const { body } = await client.call<Service>('PATCH', pathOf(id!), { body: bodyOf(options) })
      showService(output, body)
    },
  )
