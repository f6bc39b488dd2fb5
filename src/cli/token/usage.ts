// `latchkey token usage`: when, from where and with which scopes a token is used.
import { Command } from 'commander'
import { fields, instant } from '../people.ts'
import { remote } from '../remote.ts'
import { pathOf } from './own.ts'

type Usage = {
  readonly id: string
  readonly useCount: number
  readonly lastUsedAt: string | null
  readonly lastUsedIp: string | null
  readonly lastUserAgent: string | null
  readonly exercisedScopes: readonly string[]
}

export const usage = () =>
  remote(
    new Command('usage').description('Show how a token is used').argument('<id>', 'tok_…'),
    async ({ client, output }, _options, id) => {
      const { body } = await client.call<Usage>('GET', pathOf(id!, '/usage'))
      output.show({
        json: { usage: body },
        quiet: [body.id],
        people: () =>
          fields([
            ['id', body.id],
            ['uses', body.useCount],
            ['last used', instant(body.lastUsedAt, 'never')],
            ['from', body.lastUsedIp],
            ['by', body.lastUserAgent],
            ['scopes asked of it', body.exercisedScopes],
          ]),
      })
    },
  )
