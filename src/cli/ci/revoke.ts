// `latchkey ci revoke`: a job ends its token when it is done (RFC 7009), by the secret itself.
import { LatchkeyError } from '@latchkey/sdk/client'
import { Command } from 'commander'
import { usage } from '../failure.ts'
import { remote } from '../remote.ts'

export const revoke = () =>
  remote(
    new Command('revoke')
      .description('End a job’s token, whose secret is in LATCHKEY_TOKEN; no error if it is over already')
      .addHelpText(
        'after',
        '\nIt is good nowhere any more when this is done. To be run whether or not the job failed.',
      ),
    async ({ client, session, output }) => {
      const { source, secret } = session.credential!
      if (source === 'profile')
        throw usage(
          'No token is given, and that of the login is not meant.',
          'Set LATCHKEY_TOKEN or LATCHKEY_TOKEN_FILE; the login’s: latchkey token revoke self',
        )
      const body = new URLSearchParams({ token: secret })
      const wasActive = await client.call('POST', '/oauth2/revoke', { body }).then(() => true, overAlready)
      output.show({
        json: { revoked: { wasActive } },
        quiet: [],
        people: () => (wasActive ? 'The token is revoked.' : 'The token was over already.'),
      })
    },
  )

/** Who is not known by the token is not harmed by it either. */
function overAlready(error: unknown): false {
  if (error instanceof LatchkeyError && error.status === 401) return false
  throw error
}
