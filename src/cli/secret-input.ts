// Secrets come in by stdin or by file, never as an argument, which everybody on the machine can read and the shell keeps.
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { Failure, usage } from './failure.ts'

/** All of stdin. @param flag that asked for it, @param example of how to give it */
export async function secretFromStdin(flag: string, example: string): Promise<string> {
  if (process.stdin.isTTY) throw usage(`${flag} reads a pipe or a file, and there is a terminal.`, example)
  return only(await text(process.stdin), `${flag}: stdin`, example)
}

/** @param named the flag or variable that names the file */
export async function secretFromFile(named: string, file: string): Promise<string> {
  const content = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw unusable(`${named} names a file that cannot be read: ${file} (${error.code}).`)
  })
  return only(content, `${named}: ${file}`, 'It must hold the secret of a token, and nothing else.')
}

function only(content: string, where: string, whatToDo: string): string {
  const secret = content.trim()
  if (secret === '') throw unusable(`${where} is empty.`, whatToDo)
  if (/\s/.test(secret)) throw unusable(`${where} holds more than a secret.`, whatToDo)
  return secret
}

const unusable = (message: string, whatToDo = 'Name another, or sign in: latchkey login.') =>
  new Failure('signIn', 'no-credential', message, whatToDo)

export const looksLikeOurs =
  /(?:^|[^A-Za-z0-9])(?:[a-z][a-z0-9]{0,15}_(?:pat|svc|tmp)_[0-9A-Za-z]{36}|lks_[\w-]{20,})/

/** Before anything else: what was typed must not be sent, stored or repeated by us. @throws Failure */
export function refuseSecretArguments(args: readonly string[]): void {
  if (args.some((arg) => looksLikeOurs.test(arg)))
    throw usage(
      'An argument holds a secret. Every user of this machine can read arguments, and the shell keeps them.',
      `Revoke it and make another. ${insteadOfArgument}`,
    )
  const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args
  if (own.some((arg) => /^--token(=|$)/.test(arg)))
    throw usage('There is no --token VALUE: arguments are no place for secrets.', insteadOfArgument)
}

const insteadOfArgument =
  'Use --token-stdin, --token-file FILE, LATCHKEY_TOKEN, LATCHKEY_TOKEN_FILE or "latchkey login".'
