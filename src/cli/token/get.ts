// `latchkey token get`: all that is known of a token but its secret.
import { Command } from 'commander'
import { remote } from '../remote.ts'
import { pathOf } from './own.ts'
import { showToken, type Token } from './view.ts'

export const get = () =>
  remote(
    new Command('get').description('Show a token').argument('<id>', 'tok_…, or self'),
    async ({ client, output }, _options, id) =>
      showToken(output, (await client.call<Token>('GET', pathOf(id!))).body),
  )
