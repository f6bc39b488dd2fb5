// `latchkey token revoke`: ends a token, for ever and everywhere. A login by it is forgotten.
import { Command } from 'commander'
import { confirm, yesOption } from '../ask.ts'
import { fields, instant } from '../people.ts'
import { forget } from '../profile.ts'
import { type Remote, remote } from '../remote.ts'
import { describe, isOwn, pathOf } from './own.ts'

type Revoked = {
  readonly id: string
  readonly message: string
  readonly revokedAt: string
  readonly effectiveAt: string
}

export const revoke = () =>
  remote<{ readonly yes?: true }>(
    new Command('revoke')
      .description('Revoke a token, for ever; a pause is "disable"')
      .argument('<id>', 'tok_…, or self')
      .addOption(yesOption()),
    async (remote, options, id) => {
      const { client, output, session } = remote
      await confirm('revoke it', async () => `Revoke ${await describe(remote, id!)}, for ever?`, options)
      const ofLogin = session.credential!.source === 'profile' && (await isOwn(remote, id!))
      const { body } = await client.call<Revoked>('DELETE', pathOf(id!))
      if (ofLogin) await forget(session.url)
      showRevoked(output, body)
    },
  )

function showRevoked(output: Remote['output'], { id, message, revokedAt, effectiveAt }: Revoked): void {
  output.show({
    json: { revoked: { id, message, revokedAt, effectiveAt } },
    quiet: [id],
    people: () =>
      fields([
        ['id', id],
        ['message', message],
        ['effective', instant(effectiveAt, '-')],
      ]),
  })
}
