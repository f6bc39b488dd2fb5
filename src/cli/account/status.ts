// `latchkey status`: which Latchkey, who we are to it, and which credential says so. Never shows the secret.
import { Command } from 'commander'
import { fields } from '../people.ts'
import { readProfile } from '../profile.ts'
import { remote } from '../remote.ts'
import type { Session, Source } from '../session.ts'
import { type Token, tokenPairs } from '../token/view.ts'

export const status = () =>
  remote(
    new Command('status').description('Show which Latchkey is used, as whom, and by which credential'),
    async ({ client, session, output }) => {
      const { body: token } = await client.call<Token>('GET', '/api/v1/tokens/self')
      const { url, urlFrom, credential } = session
      const { source } = credential!
      const shadowed = await shadowedBy(session)
      output.show({
        json: { status: { url, urlFrom, source, shadowed }, token },
        quiet: [token.id],
        people: () =>
          fields([
            ['url', `${url} (${urlFrom})`],
            ['credential', source],
            ['shadowed', shadowed],
            ...tokenPairs(token),
          ]),
      })
    },
  )

/** A login that something else wins over is worth knowing about here; elsewhere the file is not even opened. */
async function shadowedBy({ url, credential, shadowed }: Session): Promise<readonly Source[]> {
  if (credential?.source === 'profile') return shadowed
  const { tokens } = await readProfile()
  return Object.hasOwn(tokens, url) ? [...shadowed, 'profile'] : shadowed
}
