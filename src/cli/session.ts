// Which Latchkey, and who we are to it: the first credential that is given wins, the others are shadowed.
import { existsSync } from 'node:fs'
import type { Client } from '@latchkey/sdk/client'
import { Option } from 'commander'
import { connect } from './connect.ts'
import { Failure, usage } from './failure.ts'
import { profileFile, readProfile } from './profile.ts'
import { secretFromFile, secretFromStdin } from './secret-input.ts'
import { shell } from './shell.ts'

export type SessionOptions = {
  readonly url?: string | undefined
  readonly tokenStdin?: true
  readonly tokenFile?: string
}

export type Source =
  | 'stdin'
  | '--token-stdin'
  | '--token-file'
  | 'LATCHKEY_TOKEN'
  | 'LATCHKEY_TOKEN_FILE'
  | 'profile'

export type Session = {
  /** In its normal form, by which profiles are kept. */
  readonly url: string
  readonly urlFrom: '--url' | 'LATCHKEY_URL' | 'profile' | 'default'
  readonly credential: { readonly source: Source; readonly secret: string } | null
  /** Given as well, but not used. */
  readonly shadowed: readonly Source[]
}

const defaultUrl = 'http://localhost:8080'

export const urlOption = () =>
  new Option('--url <url>', `where Latchkey is (or LATCHKEY_URL; default: ${defaultUrl})`)

export const credentialOptions = () => [
  new Option('--token-stdin', 'read the secret to sign in with from stdin').conflicts('tokenFile'),
  new Option('--token-file <file>', 'read the secret to sign in with from a file'),
]

/** @throws Failure when what is given cannot be read */
export async function openSession(options: SessionOptions): Promise<Session> {
  const given = givenBy(options)
  const { url, urlFrom } = await locate(options, given.length > 0)
  const [first, ...others] = given
  if (!first) {
    const secret = (await readProfile()).tokens[url]
    const credential = secret === undefined ? null : { source: 'profile' as const, secret }
    return { url, urlFrom, credential, shadowed: [] }
  }
  const credential = { source: first.source, secret: await first.read() }
  return { url, urlFrom, credential, shadowed: others.map(({ source }) => source) }
}

type Given = { readonly source: Source; read(): Promise<string> }

/** In the order in which they count; none is read yet. */
export function givenBy({ tokenStdin, tokenFile }: SessionOptions): Given[] {
  const pipe = 'For example: latchkey status --token-stdin < secret.txt'
  return [
    tokenStdin && {
      source: '--token-stdin' as const,
      read: () => secretFromStdin('--token-stdin', pipe),
    },
    tokenFile && { source: '--token-file' as const, read: () => secretFromFile('--token-file', tokenFile) },
    shell.token && { source: 'LATCHKEY_TOKEN' as const, read: async () => shell.token!.trim() },
    shell.tokenFile && {
      source: 'LATCHKEY_TOKEN_FILE' as const,
      read: () => secretFromFile('LATCHKEY_TOKEN_FILE', shell.tokenFile!),
    },
  ].filter((one) => typeof one === 'object')
}

/** @param given a credential other than the profile's; it may be meant for elsewhere than where the last login was */
export async function locate(
  { url }: SessionOptions,
  given = false,
): Promise<Pick<Session, 'url' | 'urlFrom'>> {
  if (url !== undefined) return { url: normal(url, '--url'), urlFrom: '--url' }
  if (shell.url !== undefined) return { url: normal(shell.url, 'LATCHKEY_URL'), urlFrom: 'LATCHKEY_URL' }
  const current = given ? null : (await readProfile()).current
  return current === null
    ? { url: defaultUrl, urlFrom: 'default' }
    : { url: normal(current, profileFile), urlFrom: 'profile' }
}

function normal(url: string, from: string): string {
  try {
    return connect({ url }).url
  } catch {
    throw usage(`${from} must be an http(s) URL without user and password.`, `For example: ${defaultUrl}`)
  }
}

/** As whoever is signed in; as anybody when nobody is. */
export function clientOf({ url, credential }: Session): Client {
  try {
    return connect({ url, token: credential?.secret })
  } catch {
    throw new Failure('signIn', 'no-credential', `What ${credential?.source} holds is no secret.`, '')
  }
}

/** @throws Failure when there is no credential */
export function signedIn(session: Session): Client {
  if (session.credential) return clientOf(session)
  throw notSignedIn(session.url)
}

export const notSignedIn = (url: string) =>
  new Failure('signIn', 'sign-in-needed', `Not signed in to ${url}.`, howToSignIn())

/** A token that may do everything is named, but never taken unasked. */
export function howToSignIn(): string {
  const embedded = '.latchkey/admin-token'
  if (existsSync(embedded))
    return `To use the token of the store in this folder: latchkey login --with-token < ${embedded}`
  return 'Sign in with "latchkey login", or set LATCHKEY_TOKEN or LATCHKEY_TOKEN_FILE.'
}
