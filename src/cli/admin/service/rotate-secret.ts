// `latchkey admin service rotate-secret`: a second client secret beside the present one. Both are good until the old one is
// removed, so that the new one can be brought into use without downtime.
import { Command } from 'commander'
import { fields } from '../../people.ts'
import { remote } from '../../remote.ts'
import { type Credential, pathOf, type Service, type WithClientSecret } from './view.ts'

type New = WithClientSecret<Credential & { readonly clientId: string }>

export const rotateSecret = () =>
  remote(
    new Command('rotate-secret')
      .description('Give a service a new client secret; the old one is good until remove-secret')
      .argument('<id>'),
    async ({ client, output }, _options, id) => {
      const { body: service } = await client.call<Service>('GET', pathOf(id!))
      const { body: credential } = await client.call<New>('POST', pathOf(id!, '/credentials'), { body: {} })
      const former = service.credentials.map((one) => one.id)
      output.show({
        json: { credential, former },
        quiet: [credential.clientSecret],
        people: () =>
          fields([
            ['id', credential.id],
            ['client id', credential.clientId],
            ['former', former],
            ['secret', credential.clientSecret],
          ]),
      })
      output.note('The secret is shown this once.')
      for (const one of former)
        output.note(`When it is in use everywhere: latchkey admin service remove-secret ${service.id} ${one}`)
    },
  )
