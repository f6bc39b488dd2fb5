// `latchkey admin service list`
import { Command } from 'commander'
import { remote } from '../../remote.ts'
import { type Service, serviceTable } from './view.ts'

export const list = () =>
  remote(new Command('list').description('List the registered services'), async ({ client, output }) => {
    const { body: services } = await client.call<Service[]>('GET', '/api/v1/services')
    output.show({
      json: { services },
      quiet: services.map(({ id }) => id),
      people: () => serviceTable(services),
    })
  })
