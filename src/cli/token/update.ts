// `latchkey token update`: renames, describes, narrows. What is not said stays; nothing is ever widened.
import { Command } from 'commander'
import { usage } from '../failure.ts'
import { entriesOf, list, pairs } from '../options.ts'
import { remote } from '../remote.ts'
import { addExpiryOptions, type ExpiryOptions, expiryOf } from './expiry.ts'
import { pathOf } from './own.ts'
import { showToken, type Token } from './view.ts'

type Options = ExpiryOptions & {
  readonly name?: string
  readonly description?: string
  readonly scope?: readonly string[]
  readonly ip?: readonly string[]
  readonly metadata?: readonly string[]
}

export const update = () =>
  remote<Options>(
    addExpiryOptions(
      new Command('update')
        .description('Rename, describe or narrow a token; what is left out stays')
        .argument('<id>', 'tok_…')
        .option('--name <name>')
        .option('--description <text>', 'empty: none')
        .option('--scope <scope>', 'all that it is to keep; several times, or with commas', list)
        .option('--ip <range>', 'all that it is to keep', list)
        .option('--metadata <key=value>', 'all that it is to have; several times', pairs),
      { never: false },
    ),
    async ({ client, output }, options, id) => {
      const body = changeOf(options)
      if (Object.keys(body).length === 0)
        throw usage('There is nothing to change.', 'Say what: latchkey token update --help')
      showToken(output, (await client.call<Token>('PATCH', pathOf(id!), { body })).body)
    },
  )

function changeOf({ name, description, scope, ip, metadata, ...expiry }: Options) {
  return {
    ...(name !== undefined && { name }),
    ...(description !== undefined && { description: description === '' ? null : description }),
    ...(scope && { scopes: scope }),
    ...(ip && { ipRestriction: ip }),
    ...(metadata && { metadata: Object.fromEntries(entriesOf(metadata, '--metadata')) }),
    ...expiryOf(expiry),
  }
}
