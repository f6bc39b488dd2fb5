// `latchkey admin service create`: registers a product service. Its client secret is shown this once.
import { Command } from 'commander'
import { fields } from '../../people.ts'
import { remote } from '../../remote.ts'
import { addServiceOptions, bodyOf, type ServiceOptions } from './options.ts'
import { type Service, servicePairs, type WithClientSecret } from './view.ts'

export const create = () =>
  remote<ServiceOptions>(
    addServiceOptions(
      new Command('create')
        .description('Register a product service')
        .argument('<id>', 'as posts; it is the client id as well')
        .requiredOption('--name <name>', 'for people'),
    ),
    async ({ client, output }, options, id) => {
      const { body: service } = await client.call<WithClientSecret<Service>>('POST', '/api/v1/services', {
        body: { id, ...bodyOf(options) },
      })
      output.show({
        json: { service },
        quiet: [service.clientSecret],
        people: () => fields([...servicePairs(service), ['secret', service.clientSecret]]),
      })
      output.note('The secret is shown this once.')
    },
  )
