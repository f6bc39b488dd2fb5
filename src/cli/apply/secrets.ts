// Where secrets that arise go: a file each, in the folder that the user names, which nobody else can read. The file is begun
// before the secret is made, so that a run that is interrupted leaves a mark instead of a secret that nobody has.
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LatchkeyError } from '@latchkey/sdk/client'
import { Failure } from '../failure.ts'

export type Secrets = {
  pathOf(name: string): string
  /** A run was interrupted before the secret of this name was in its file: perhaps it was made, and nobody has it. */
  isLost(name: string): boolean
  /** @param make makes something with a secret, and says which @throws Failure, before anything is made, when it could not be kept */
  keep<T>(name: string, make: () => Promise<T>, secretOf: (made: T) => string): Promise<T>
}

const mark = '.pending'

export async function openSecrets(folder: string): Promise<Secrets> {
  const present = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw unusable(folder, error)
  })
  const lost = new Set(
    present.filter((name) => name.endsWith(mark)).map((name) => name.slice(0, -mark.length)),
  )
  return {
    pathOf: (name) => join(folder, name),
    isLost: (name) => lost.has(name),
    async keep(name, make, secretOf) {
      const begun = join(folder, name + mark)
      const file = await begin(folder, begun)
      try {
        const made = await make()
        await file.writeFile(secretOf(made))
        await file.sync()
        await rename(begun, join(folder, name))
        return made
      } catch (error) {
        if (isRefused(error) && !lost.has(name)) await rm(begun)
        throw error
      } finally {
        await file.close()
      }
    },
  }
}

async function begin(folder: string, path: string) {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const file = await open(path, 'w', 0o600)
    // Should it have been there already, with other rights.
    await file.chmod(0o600)
    await file.sync()
    return file
  } catch (error) {
    throw unusable(folder, error as NodeJS.ErrnoException)
  }
}

/** Then nothing was made. Without an answer, or after a failure within, nobody knows. */
const isRefused = (error: unknown) =>
  error instanceof LatchkeyError && error.status >= 400 && error.status < 500

const unusable = (folder: string, { code }: NodeJS.ErrnoException) =>
  new Failure(
    'failed',
    'folder-unusable',
    `${folder} cannot be used for secrets (${code}).`,
    'Name another folder.',
  )

export const serviceFile = (id: string): string => `${id}.client-secret`

/** Readable where it can be; never the same for two tokens, whether or not the file system tells A from a. */
export function tokenFile(subject: string, name: string): string {
  if ([subject, name].every((part) => /^[a-z0-9_-]{1,60}$/.test(part))) return `${subject}.${name}.token`
  const readable = `${subject}-${name}`
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, '-')
    .slice(0, 60)
  const hash = createHash('sha256').update(`${subject}\n${name}`).digest('hex').slice(0, 16)
  return `${readable}.${hash}.token`
}
