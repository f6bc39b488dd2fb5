// `latchkey logout`: forgets the token of this URL. The token itself goes on working; revoking is another command.
import { Command } from 'commander'
import { createOutput, type OutputOptions, outputOptions } from '../output.ts'
import { forget } from '../profile.ts'
import { locate, type SessionOptions, urlOption } from '../session.ts'

type Options = Pick<SessionOptions, 'url'> & OutputOptions

export function logout(): Command {
  const command = new Command('logout')
    .description('Forget the token of the last login; it is not revoked')
    .addOption(urlOption())
  for (const option of outputOptions()) command.addOption(option)
  return command.action(async (options: Options) => {
    const { url } = await locate(options)
    const forgotten = await forget(url)
    createOutput(options).show({
      json: { logout: { url, forgotten } },
      quiet: [],
      people: () =>
        forgotten
          ? `Signed out of ${url}. The token still works elsewhere; to end it: latchkey token revoke ID`
          : `There was no login to ${url}.`,
    })
  })
}
