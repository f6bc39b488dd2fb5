// `latchkey login`: takes a token, asks Latchkey whether it is good, and remembers it for this URL.
import { Command } from 'commander'
import { askSecret } from '../ask.ts'
import { createOutput, type OutputOptions, outputOptions } from '../output.ts'
import { instant } from '../people.ts'
import { profileFile, remember } from '../profile.ts'
import { refused } from '../remote.ts'
import { secretFromStdin } from '../secret-input.ts'
import { clientOf, givenBy, locate, type Session, type SessionOptions, urlOption } from '../session.ts'
import type { Token } from '../token/view.ts'

type Options = Pick<SessionOptions, 'url'> & OutputOptions & { readonly withToken?: true }

const example = 'latchkey login --with-token < .latchkey/admin-token'

export function login(): Command {
  const command = new Command('login')
    .description('Sign in: check a token and remember it for this URL')
    .option('--with-token', 'read the secret from stdin instead of asking for it')
    .addOption(urlOption())
  for (const option of outputOptions()) command.addOption(option)
  return command.action(signIn)
}

async function signIn(options: Options): Promise<void> {
  const output = createOutput(options)
  const { url, urlFrom } = await locate(options)
  const secret = await secretOf(options, url)
  const session: Session = { url, urlFrom, credential: { source: 'stdin', secret }, shadowed: [] }
  const { body: token } = await clientOf(session)
    .call<Token>('GET', '/api/v1/tokens/self')
    .catch((error) => {
      throw refused(error, session)
    })
  await remember(url, secret)
  const winner = givenBy({})[0]?.source ?? 'profile'
  output.show({
    json: { login: { url, profile: profileFile, wins: winner }, token },
    quiet: [token.id],
    people: () =>
      `Signed in to ${url} as ${token.subject} with ${token.id} (${token.name}), which ends ${instant(token.expireAt, 'never')}.`,
  })
  if (winner !== 'profile')
    output.note(`${winner} is set and still wins over what was stored: unset it to use this login.`)
}

function secretOf({ withToken }: Options, url: string): Promise<string> {
  if (withToken) return secretFromStdin('--with-token', `For example: ${example}`)
  return askSecret(`Secret of a token for ${url} (not shown): `, `Hand it over by stdin: ${example}`)
}
