// The profile: what `latchkey login` remembers, a token per Latchkey, in a file that nobody else can read. Which
// credential counts is session.ts.
import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from './failure.ts'
import { shell } from './shell.ts'

export type Profile = {
  /** Where the last login was. */
  readonly current: string | null
  readonly tokens: Readonly<Record<string, string>>
}

export const profileFile = join(shell.configFolder, 'profile.json')

const none: Profile = { current: null, tokens: {} }

/** @throws Failure when others can read it, or when it is none of ours */
export async function readProfile(): Promise<Profile> {
  const file = await open(profileFile).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw unusable(`${profileFile} cannot be read (${error.code}).`, 'Mend its permissions.')
  })
  if (!file) return none
  try {
    const mode = (await file.stat()).mode & 0o777
    // Windows has no such bits.
    if ((mode & 0o077) !== 0 && process.platform !== 'win32')
      throw unusable(
        `${profileFile} holds secrets, and others can read it (mode ${mode.toString(8)}).`,
        `Rotate the token if they may have, and: chmod 600 ${profileFile}`,
      )
    return parse(await file.readFile('utf8'))
  } finally {
    await file.close()
  }
}

/** Signed in to `url` from now on. */
export async function remember(url: string, token: string): Promise<void> {
  const { tokens } = await readProfile()
  await write({ current: url, tokens: { ...tokens, [url]: token } })
}

/** @returns whether there was something to forget */
export async function forget(url: string): Promise<boolean> {
  const { current, tokens } = await readProfile()
  if (!Object.hasOwn(tokens, url)) return false
  const { [url]: _gone, ...others } = tokens
  await write({ current: current === url ? null : current, tokens: others })
  return true
}

/** Aside, then renamed: whoever reads meanwhile finds the old or the new one, whole. */
async function write(profile: Profile): Promise<void> {
  await mkdir(shell.configFolder, { recursive: true, mode: 0o700 })
  const aside = `${profileFile}.${randomBytes(6).toString('hex')}`
  await writeFile(aside, `${JSON.stringify(profile, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  await rename(aside, profileFile)
}

function parse(content: string): Profile {
  try {
    const { current = null, tokens } = JSON.parse(content)
    if (typeof tokens === 'object' && tokens !== null) return { current, tokens }
  } catch {}
  throw unusable(`${profileFile} is not as "latchkey login" writes it.`, 'Remove it and sign in again.')
}

const unusable = (message: string, whatToDo: string) =>
  new Failure('failed', 'profile-unusable', message, whatToDo)
