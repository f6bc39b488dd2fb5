// `latchkey token enable`: lets a paused token go on.
import { Command } from 'commander'
import { remote } from '../remote.ts'
import { pathOf } from './own.ts'
import { showToken, type Token } from './view.ts'

export const enable = () =>
  remote(
    new Command('enable').description('Let a disabled token go on').argument('<id>', 'tok_…'),
    async ({ client, output }, _options, id) =>
      showToken(output, (await client.call<Token>('POST', pathOf(id!, '/enable'))).body),
  )
