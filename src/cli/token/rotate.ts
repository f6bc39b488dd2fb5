// `latchkey token rotate`: a new secret for a token that lives on. If it is the token of the login, the new secret is
// stored before anything else is done with it.
import { Command, Option } from 'commander'
import { confirm, yesOption } from '../ask.ts'
import { remember } from '../profile.ts'
import { type Remote, remote } from '../remote.ts'
import { addExpiryOptions, duration, type ExpiryOptions, expiryOf } from './expiry.ts'
import { keyOption, type OnceOptions, postOnce } from './once.ts'
import { describe, isOwn, pathOf } from './own.ts'
import { showSecret, type WithSecret } from './view.ts'

type Options = ExpiryOptions &
  OnceOptions & {
    readonly grace?: string
    readonly previousEnds?: 'grace' | 'first-use'
    readonly yes?: true
  }

export const rotate = () =>
  remote<Options>(
    addExpiryOptions(
      new Command('rotate')
        .description('Give a token a new secret; its id, its rights and, unless told otherwise, its end stay')
        .argument('<id>', 'tok_…, or self')
        .option('--grace <duration>', 'for how long the present secret goes on working (default: not at all)')
        .addOption(
          new Option('--previous-ends <when>', 'first-use: when the new secret is first used').choices([
            'grace',
            'first-use',
          ]),
        ),
      { never: true },
    )
      .addOption(keyOption())
      .addOption(yesOption()),
    async (remote, options, id) => {
      if (endsAtOnce(options))
        await confirm(
          'end the present secret at once',
          async () => `End the present secret of ${await describe(remote, id!)} at once? Else use --grace.`,
          options,
        )
      const own = await isOwn(remote, id!)
      const { grace, previousEnds } = options
      const body = {
        ...(grace !== undefined && { gracePeriod: duration(grace) }),
        ...(previousEnds && { previousEnds }),
        ...expiryOf(options),
      }
      const token = await postOnce<WithSecret>(remote, pathOf(id!, '/rotate'), body, options)
      try {
        if (own) await keep(remote, token.token)
      } finally {
        // Whatever became of storing it: nobody could ask for it again.
        showSecret(remote.output, token)
      }
    },
  )

function endsAtOnce({ grace, previousEnds }: Options): boolean {
  return grace === undefined ? previousEnds !== 'first-use' : duration(grace) === 0
}

async function keep({ session: { url, credential }, output }: Remote, secret: string): Promise<void> {
  if (credential!.source === 'profile') return remember(url, secret)
  output.note(
    `This is the token from ${credential!.source}, which still holds the former secret: replace it there.`,
  )
}
