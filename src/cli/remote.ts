// What every command that uses Latchkey over its public API has in common: whom it asks as whom, and how it answers.
import { type Client, LatchkeyError } from '@latchkey/sdk/client'
import type { Command } from 'commander'
import { Failure } from './failure.ts'
import { createOutput, type Output, type OutputOptions, outputOptions } from './output.ts'
import {
  clientOf,
  credentialOptions,
  howToSignIn,
  notSignedIn,
  openSession,
  type Session,
  type SessionOptions,
  signedIn,
  urlOption,
} from './session.ts'

export type Remote = { readonly client: Client; readonly session: Session; readonly output: Output }

export type RemoteOptions = {
  /** `needed`: without a credential, exit 4. `optional`: what anybody may ask, such as the catalog. Default: needed. */
  readonly signIn?: 'needed' | 'optional'
  /** false: --token-stdin and --token-file are the command's own, and the credential comes from elsewhere. */
  readonly credentialOptions?: boolean
}

/**
 * Gives the command its common options, and `run` a client. `O` is what its own options come to; its arguments stand in
 * the order of their declaration.
 */
export function remote<O = unknown>(
  command: Command,
  run: (remote: Remote, options: O, ...args: string[]) => Promise<void>,
  { signIn = 'needed', credentialOptions: ours = true }: RemoteOptions = {},
): Command {
  for (const option of [urlOption(), ...(ours ? credentialOptions() : []), ...outputOptions()])
    command.addOption(option.helpGroup('Common options:'))
  return command.action(async () => {
    const options = command.opts<O & SessionOptions & OutputOptions>()
    const session = await openSession(ours ? options : { url: options.url })
    const client = signIn === 'needed' ? signedIn(session) : clientOf(session)
    const output = createOutput(options)
    await run({ client, session, output }, options, ...command.processedArgs).catch((error) => {
      throw refused(error, session)
    })
  })
}

/** A credential that is not taken: which one it was is half of the answer. */
export function refused(error: unknown, { url, credential }: Session): unknown {
  if (!(error instanceof LatchkeyError) || error.status !== 401) return error
  return Object.assign(whyRefused(error, url, credential), { cause: error })
}

function whyRefused({ code }: LatchkeyError, url: string, credential: Session['credential']): Failure {
  if (!credential) return notSignedIn(url)
  const from =
    credential.source === 'profile' ? 'The token of the last login' : `The token from ${credential.source}`
  const message = `${from} is not taken by ${url}: it is unknown, expired, disabled or revoked.`
  return new Failure('signIn', code, message, howToSignIn())
}
