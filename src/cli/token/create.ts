// `latchkey token create` (provision): a new token, whose secret is shown this once.
import { Command } from 'commander'
import { remote } from '../remote.ts'
import { keyOption, type OnceOptions, postOnce } from './once.ts'
import { showSecret, type WithSecret } from './view.ts'
import { addWantedOptions, type WantedOptions, wantedOf } from './wanted.ts'

export const create = () =>
  remote<WantedOptions & OnceOptions>(
    addWantedOptions(
      new Command('create').alias('provision').description('Create (provision) a token'),
    ).addOption(keyOption()),
    async (remote, options) => {
      const wanted = await wantedOf(remote.client, options)
      showSecret(remote.output, await postOnce<WithSecret>(remote, '/api/v1/tokens', wanted, options))
    },
  )
