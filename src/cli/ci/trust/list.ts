// `latchkey ci trust list`
import { Command } from 'commander'
import { addPageOptions, gather, noteMore, type PageOptions } from '../../pages.ts'
import { remote } from '../../remote.ts'
import { type Policy, policyTable } from './view.ts'

type Options = PageOptions & { readonly maker?: string; readonly team?: string }

export const list = () =>
  remote<Options>(
    addPageOptions(
      new Command('list')
        .description('List trust policies, newest first')
        .option('--maker <subject>', 'those that this subject answers for')
        .option('--team <team>', 'those whose tokens are limited to it'),
    ),
    async ({ client, output }, options) => {
      const { maker, team } = options
      const { items, nextCursor } = await gather<Policy>(
        client,
        '/api/v1/trust-policies',
        { maker, team },
        options,
      )
      output.show({
        json: { policies: items, nextCursor },
        quiet: items.map(({ id }) => id),
        people: () => (items.length > 0 ? policyTable(items) : 'No trust policies.'),
      })
      noteMore(output, nextCursor)
    },
  )
